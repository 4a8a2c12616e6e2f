"""The doctor of an instance's workers and agents, on their own host."""

from __future__ import annotations

import re
import shlex
from functools import cached_property
from typing import Any, Mapping, Optional, Sequence

from encamp.resources.base import kind
from encamp.resources.system import Reader
from encamp.resources.systemd.environment_file import environment_of
from encamp.resources.systemd.halted import drained, halted
from encamp.resources.systemd.journal import journal_since_start, journal_tail
from encamp.resources.systemd.owners import DIRECTORY, is_ours
from encamp.resources.systemd.unit_state import UnitState, unit_state
from encamp.shared.record import record
from encamp.shared.secret import Secret
from roles.doctor.kinds import api_proxy, host_limits, pull_steps, unit_fixes
from roles.doctor.kinds.api_checks import CHECKS
from roles.doctor.kinds.api_target import ApiTarget, json_of
from roles.doctor.kinds.disk import check_disk
from roles.doctor.kinds.doctor import Doctor, Found, start_report
from roles.doctor.kinds.findings import WARN, Check, Finding, examine, fail, ok, report, unknown, warn
from roles.doctor.kinds.network import is_near, same_server
from roles.doctor.kinds.repeated_errors import check_errors
from roles.doctor.kinds.stuck_runs import OWN_PROCESSES, check_own_runs
from roles.prefect.kinds.api import without_password
from roles.prefect.kinds.endpoint import Endpoint
from roles.prefect.kinds.known_failures.lookup import explain_client
from roles.prefect.kinds.releases import FLOW_RUNS, WORKERS
from roles.prefect.kinds.user_environment import names_in, text_of

NAME = re.compile(r"prefect-(worker|agent)-.+\.service")
#: The folder of an environment, which is named by release and lock.
RELEASE = re.compile(r"/envs/(\d[\w.]*?)-")
JOURNAL_LINES, SHOWN_LINES = 40, 6


@kind
class WorkerDoctor(Doctor):
    """Reports whether an instance's workers and agents on this host are healthy and reach the server. Changes nothing.

    ``name`` is the instance, ``env_file`` the settings that all its units read: units with that file are examined.
    ``api_url`` is the API that they are to use, ``version`` their release, ``home`` their home, ``server`` the server's
    name for texts. With ``fix`` a stopped or failed unit is started.
    """

    name: str
    env_file: str = ""
    api_url: str = ""
    version: str = ""
    home: str = ""
    server: str = "SERVER"
    fix: bool = False

    def examine(self, host: Reader) -> Found:
        units = [name for name in names_in(host, DIRECTORY) if NAME.fullmatch(name) and self._is_ours(host, name)]
        found: list[tuple[str, Finding]] = []
        for unit in units:
            subject = WorkerSubject(host, self, unit)
            who = unit.removeprefix("prefect-").removesuffix(".service")
            start_report(host, who, self.verdict(subject))
            found += examine(host, subject, who, self.checks(subject), lambda subject, name, finding: None)
        if not units:
            start_report(host, f"worker {self.name}", "has no worker")
            nothing = fail("no worker is installed here", "nothing was deployed", "run `fab deploy` for this host")
            report(host, f"worker {self.name}", "unit", nothing)
        return found

    def checks(self, subject: WorkerSubject) -> Sequence[Check[WorkerSubject]]:
        """What is checked of a unit, in this order."""
        return [
            CHECK_UNIT,
            CHECK_API,
            CHECK_PROXY,
            *(of_api(check, subject.target) for check in CHECKS),
            CHECK_ONLINE,
            CHECK_RUNS,
            CHECK_ERRORS,
            CHECK_STEPS,
            CHECK_LIMITS,
            CHECK_DISK,
        ]

    def verdict(self, subject: WorkerSubject) -> str:
        """The first line of a unit's report."""
        return _verdict(subject)

    def _is_ours(self, host: Reader, unit: str) -> bool:
        ours = f"\nEnvironmentFile={self.env_file}\n" in text_of(host, f"{DIRECTORY}/{unit}")
        return ours and is_ours(host, unit)


@record
class WorkerSubject:
    """One unit of a worker or agent."""

    host: Reader
    kind: WorkerDoctor
    unit: str

    @property
    def state(self) -> UnitState:
        """What systemd says of it."""
        return unit_state(self.host, self.unit)

    @cached_property
    def words(self) -> list[str]:
        """The unit's command line."""
        line = re.search(r"(?m)^ExecStart=(.*)$", text_of(self.host, f"{DIRECTORY}/{self.unit}"))
        try:
            return shlex.split(line[1]) if line else []
        except ValueError:
            return []

    @property
    def release(self) -> str:
        """The release of Prefect that the unit starts; the declared one where its command does not show it."""
        found = RELEASE.search("".join(self.words[:1]))
        return found[1] if found else self.kind.version

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """The settings that the unit reads. Holds secrets: never to be shown."""
        found: dict[str, str] = {}
        for path in re.findall(r"(?m)^EnvironmentFile=-?(\S+)$", text_of(self.host, f"{DIRECTORY}/{self.unit}")):
            found.update(environment_of(text_of(self.host, path)))
        return found

    def option(self, *names: str) -> str:
        """The value of an option on the command line; empty where it is not given."""
        pairs = zip(self.words, self.words[1:])
        return next((value for name, value in pairs if name in names), "")

    @cached_property
    def target(self) -> Optional[ApiTarget]:
        """The route that this worker takes to the server."""
        url = self.environment.get("PREFECT_API_URL", "")
        try:
            near = is_near(Endpoint.of(url))
        except ValueError:
            return None
        auth = self.environment.get("PREFECT_API_AUTH_STRING", "")
        return ApiTarget(
            self.host,
            url,
            where=f"the settings file of {self.unit}",
            version=self.release,
            auth=Secret(auth) if auth else None,
            ca_file=self.environment.get("PREFECT_API_SSL_CERT_FILE") or self.environment.get("SSL_CERT_FILE", ""),
            near=near,
            server=self.kind.server,
            work=(FLOW_RUNS, WORKERS),
        )


def _verdict(subject: WorkerSubject) -> str:
    url = without_password(subject.environment.get("PREFECT_API_URL", "")) or "no API"
    return f"uses {url}, set by {subject.unit}" + ("" if subject.state.active else f", which is {subject.state}")


def of_api(check: Check[ApiTarget], target: Optional[ApiTarget]) -> Check[WorkerSubject]:
    """A check of the API as one of a worker."""

    def run(subject: WorkerSubject) -> Optional[Finding]:
        return check.run(target) if target else None

    return Check(check.name, run, check.needs or ("API",))


def _check_unit(subject: WorkerSubject) -> Optional[Finding]:
    """The unit runs."""
    state, again = subject.state, f", restarted {subject.state.restarts} times" if subject.state.restarts else ""
    if state.active and not state.enabled:
        text, fix = f"{subject.unit} runs{again}, but does not start at boot", f"systemctl enable {subject.unit}"
        return Finding(WARN, text, "the unit is not enabled", fix, remedy=unit_fixes.enable(subject.unit))
    if state.active:
        return ok(f"{subject.unit} runs{again}")
    if state.broken:
        log = journal_tail(subject.host, subject.unit, JOURNAL_LINES)
        known = explain_client(log)
        cause, fix = (known.cause, known.fix) if known else (state.why(), f"journalctl -u {subject.unit} -e")
        remedy = unit_fixes.start(subject.unit, "restart") if state.active_state == "failed" else None
        shown = "\n".join(log.splitlines()[-SHOWN_LINES:])
        return fail(f"{subject.unit} is {state}{again}", cause, fix, shown, remedy)
    by = drained(subject.host, subject.unit)
    if by:
        text = f"{subject.unit} was drained {by}" + ("" if state.stopped else ", and finishes its flow runs")
        return Finding(WARN, text, "on purpose (`fab drain`)", "`fab undrain` for this host", closes=True)
    if state.active_state != "inactive":
        wait = "wait: a worker that stops finishes its flow runs first"
        return fail(f"{subject.unit} is {state}", "systemd is changing its state", wait)
    stopped = halted(subject.host, subject.unit)
    if stopped:
        text = f"{subject.unit} was stopped {stopped}"
        return Finding(WARN, text, "on purpose (`fab stop`)", "`fab start` for this host", closes=True)
    cause, fix = "it was stopped, or never started", f"`systemctl start {subject.unit}`, or `fab doctor --fix`"
    return fail(f"{subject.unit} is {state}", cause, fix, remedy=unit_fixes.start(subject.unit))


def _check_api(subject: WorkerSubject) -> Optional[Finding]:
    """The worker's URL is the one that the site wants."""
    url, wanted = subject.environment.get("PREFECT_API_URL", ""), subject.kind.api_url
    deploy = "run `fab deploy` for this host"
    if subject.target is None:
        return fail(f"{subject.unit} has no usable API URL", _why_no_url(subject), deploy)
    if wanted and not same_server(url, wanted):
        return fail(
            f"{without_password(url)} is not {wanted}", "the site changed since this worker was deployed", deploy
        )
    return ok(without_password(url))


def _why_no_url(subject: WorkerSubject) -> str:
    file = subject.kind.env_file
    if subject.host.stat(file) is None:
        return f"{file} is missing"
    return f"PREFECT_API_URL in {file} is missing, or is not a URL with a host"


def _check_online(subject: WorkerSubject) -> Optional[Finding]:
    """The server counts the worker as online in its pool."""
    pool, name = subject.option("--pool", "-p"), subject.option("--name", "-n")
    if subject.target is None or not pool or not subject.unit.startswith("prefect-worker-"):
        return None
    api = subject.target.api
    answer = api.call(subject.host, "POST", f"work_pools/{pool}/workers/filter", {"limit": 200})
    workers: Any = json_of(answer)
    if answer.status == 404:
        return fail(f"there is no work pool {pool}", "it was removed, or never made", "run `fab deploy` for this host")
    if answer.status != 200 or not isinstance(workers, list):
        return warn(f"the workers of pool {pool} cannot be listed: HTTP {answer.status}")
    found = [worker for worker in workers if not name or worker.get("name") == name]
    if any(str(worker.get("status", "ONLINE")) == "ONLINE" for worker in found):
        return ok(f"polls {pool}, and the server sees it")
    text = f"the server does not see {name or 'it'} in pool {pool}" + (" as online" if found else "")
    look = f"`journalctl -u {subject.unit} -n 50` shows which: `systemctl restart {subject.unit}` ends a hang"
    return fail(text, "the worker hangs, cannot reach the server, or uses another server", look)


def _check_errors(subject: WorkerSubject) -> Optional[Finding]:
    """No error repeats in the unit's journal since its start."""
    return check_errors(subject.host, subject.unit, explain_client)


def _check_runs(subject: WorkerSubject) -> Optional[Finding]:
    """The flow runs that this worker took are at work."""
    pool, name = subject.option("--pool", "-p"), subject.option("--name", "-n")
    if subject.target is None or subject.option("--type", "-t") != OWN_PROCESSES or not (pool and name):
        return None
    return check_own_runs(subject.target, subject.unit, pool, name)


def _check_proxy(subject: WorkerSubject) -> Optional[Finding]:
    """The worker's process does not send its API calls through a proxy that cannot carry them."""
    data = subject.host.read(f"/proc/{subject.state.main_pid}/environ") if subject.state.main_pid else None
    variables = (pair.partition("=") for pair in (data or b"").decode("utf-8", "replace").split("\0"))
    return api_proxy.examine(subject.host, {name: value for name, _, value in variables}, subject.target)


def _check_steps(subject: WorkerSubject) -> Optional[Finding]:
    """The host has what the pull steps of the pool's deployments use."""
    pool = subject.option("--pool", "-p")
    if subject.target is None or not pool or not subject.unit.startswith("prefect-worker-"):
        return None
    query = {"work_pools": {"name": {"any_": [pool]}}, "limit": 200}
    answer = subject.target.api.call(subject.host, "POST", "deployments/filter", query)
    deployments: Any = json_of(answer)
    if answer.status != 200 or not isinstance(deployments, list):
        return unknown(f"the deployments of pool {pool} cannot be listed: HTTP {answer.status}")
    home = re.search(r"(?m)^Environment=HOME=(.*)$", text_of(subject.host, f"{DIRECTORY}/{subject.unit}"))
    python = next(iter(subject.words), "")
    return pull_steps.examine(subject.host, deployments, python, home[1] if home else "", subject.environment)


def _check_limits(subject: WorkerSubject) -> Optional[Finding]:
    """No flow run was stopped by what the unit or the host does not let it do, since the unit started."""
    text = text_of(subject.host, f"{DIRECTORY}/{subject.unit}")
    user = re.search(r"(?m)^User=(.*)$", text)
    journal = journal_since_start(subject.host, subject.unit, host_limits.LINES)
    return host_limits.met(subject.host, host_limits.Unit(subject.unit, text, user[1] if user else "root"), journal)


def _check_room(subject: WorkerSubject) -> Optional[Finding]:
    return check_disk([path for path in ("/", subject.kind.home, "/tmp") if path])


CHECK_UNIT: Check[WorkerSubject] = Check("unit", _check_unit)
CHECK_API: Check[WorkerSubject] = Check("API", _check_api)
CHECK_ONLINE: Check[WorkerSubject] = Check("worker", _check_online, ("unit", "auth"))
CHECK_RUNS: Check[WorkerSubject] = Check("flow runs", _check_runs, ("unit", "auth"))
CHECK_ERRORS: Check[WorkerSubject] = Check("errors", _check_errors, ("unit",))
CHECK_PROXY: Check[WorkerSubject] = Check("proxy", _check_proxy)
CHECK_STEPS: Check[WorkerSubject] = Check("pull steps", _check_steps, ("worker",))
CHECK_LIMITS: Check[WorkerSubject] = Check("sandbox", _check_limits)
CHECK_DISK: Check[WorkerSubject] = Check("disk", _check_room)

"""Verification that flow runs arrive: one is run, and read back from the hosted server."""

from __future__ import annotations

import os
import time
import uuid
from typing import Any, ClassVar, Mapping, Optional, Sequence, Union

from encamp.resources.base import Change, CommandFailed, Failure, kind
from encamp.resources.system import Reader, Result, System
from encamp.resources.systemd.journal import journal_tail
from encamp.shared.secret import Secret
from encamp.shared.wire import NOT_PROVEN
from roles.prefect.kinds.api_kind import ApiKind
from roles.prefect.kinds.installs import installed
from roles.prefect.kinds.known_failures.lookup import explain, explain_client
from roles.prefect.kinds.log_errors import Repeated, repeated
from roles.prefect.kinds.memory import memory_of
from roles.prefect.kinds.user_environment import exists, names_in, profiles_path
from roles.proof.kinds import api as proof_api
from roles.proof.kinds import automation, schedule
from roles.proof.kinds import worker as proof_worker
from roles.proof.kinds.api import PREFIX, Traces
from roles.proof.kinds.flow import FILE, NO_URL, OTHER_API, script
from roles.proof.kinds.services import SCHEDULER, switched_on

NO_SCHEDULER = "schedules: the server's scheduler is disabled"
#: How many times as long as the flow run, which starts a process, the services of a slow server get.
SLOWER = 3.0
#: Seconds in which an error of the server may be why something does not work.
LATELY = 900.0
STALE_SECONDS = proof_api.STALE_HOURS * 3600


@kind
class VerificationRun(ApiKind):
    """A test flow with a task and a log line ran, and flow run, task run and log came back from the server.

    ``python`` is the interpreter that imports Prefect ("": the one found for this user). ``api_url`` ends in ``/api``.
    ``auth`` is ``user:password`` where the server requires it. ``as_user`` runs the flow ("": the agent's user).
    ``work_pool``: one of this host's ``workers`` of that pool must run it; ``queue``: it goes there (without a pool: to
    the agents that poll it). ``through`` is "profile" (just the settings that the user's own flows get) or
    "environment" (PREFECT_API_URL and the rest given by encamp, a home of its own).
    ``profile`` chooses a profile that need not be the active one. ``database``: the profile names no API, but the
    server's database, so that the run comes back from there by way of a temporary API.
    ``workdir`` is the directory to put the script in, which the flow's process can see ("": the agent's state directory
    for a profile, else /tmp). ``timeout`` is in seconds. ``unit`` is the worker's, for its journal in failures.
    ``container`` is one of Docker's that the flow runs in. ``services``: what the server does by itself must work, too,
    unless it is disabled: its scheduler makes flow runs (a worker's comes from a schedule), and an event triggers an
    automation. ``server_unit`` is the server's unit on this host: no error may repeat in its journal, nor in that of
    ``unit``. ``clone``: the worker clones the script with git. ``requirements``: the interpreter of the environment
    that the worker's flow runs install into, where one must install a package ("": they may not). ``unproven``: what
    this verification does not show, and why, for the recap.

    ``check`` requests the verification once per run of encamp; the object remembers that it is done (see ``memory``).
    """

    changes_host: ClassVar[bool] = False

    name: str
    python: str = ""
    api_url: str = ""
    auth: Optional[Secret] = None
    as_user: str = ""
    work_pool: str = ""
    workers: tuple[str, ...] = ()
    through: str = "profile"
    workdir: str = ""
    timeout: int = 180
    ca_file: str = ""
    unit: str = ""
    queue: str = ""
    profile: str = ""
    database: bool = False
    container: str = ""
    services: bool = False
    server_unit: str = ""
    clone: bool = False
    requirements: str = ""
    unproven: tuple[str, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        if memory_of(self).get("proven"):
            return []
        from encamp.resources.systemd.halted import drained

        by = drained(host, self.unit) if self.unit else None
        if by:
            host.note(f"{self.unit} was drained {by}: no flow run proves it")
            return []
        return [Change("prove", after=f"a flow run reaches {self.api_url}")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        flow = PREFIX + uuid.uuid4().hex
        directory = os.path.join(self._place(host), flow)
        prefect_home = os.path.join(host.home, ".prefect")
        had_home = exists(host, prefect_home)
        self._sweep(host)
        by_worker = bool(self.work_pool or self.queue)
        try:
            scheduled = self.services and switched_on(host, self._api, SCHEDULER)
            unproven = [*self.unproven, *([NO_SCHEDULER] if self.services and not scheduled else [])]
            own = schedule.begin(host, self._api, flow) if scheduled and not by_worker else None
            firing = self._automation(host, flow, unproven)
            token = f"encamp proof {uuid.uuid4().hex}"
            text = script(flow, token, bool(self.requirements))
            stage(host, directory, text, self.as_user)
            started = time.monotonic()
            if self.container:
                self._in_container(host, text, directory)
            elif by_worker:
                self._by_worker(host, flow, directory, scheduled)
            else:
                self._by_itself(host, directory)
            if firing:
                firing.trigger(host)
            self._judge(host, proof_api.read_back(host, self._api, flow, token), started)
            patience = SLOWER * (time.monotonic() - started)
            if own:
                own.patience = max(own.patience, patience)
                schedule.prove(host, self._api, flow, own)
            if firing:
                firing.prove(host, max(automation.PATIENCE, patience))
            self._no_error_repeats(host)
        except Failure as failure:
            known = bool(failure.detail) or not self.server_unit
            raise failure if known else _with_journal(host, self.server_unit, failure) from None
        finally:
            if self.requirements and exists(host, directory):
                from roles.proof.kinds import requirements

                requirements.remove(host, self.requirements, self.as_user, directory)
            host.remove(directory)
            self._remove(host, flow)
            if not had_home and exists(host, prefect_home) and not host.listdir(prefect_home):
                host.remove(prefect_home)  # Prefect makes it when it is imported
        memory_of(self)["proven"] = True
        for what in unproven:
            host.note(f"{NOT_PROVEN}{what} ({self.name})")

    # -- running ------------------------------------------------------------------------------------------------

    def _by_itself(self, host: System, directory: str) -> None:
        """Run the script as a user would run a flow."""
        argv = [self._interpreter(host), "-B", os.path.join(directory, FILE), "" if self.database else self.api_url]
        host.progress("running a test flow")
        self._accept(host.query(argv, "", self._environment(host, directory), self.as_user, self.timeout, directory))

    def _in_container(self, host: System, text: str, directory: str) -> None:
        """Run the script where the server's Prefect is, in a directory of the container's own."""
        from roles.prefect.kinds.container import run_script

        host.progress(f"running a test flow in {self.container}")
        argv = [self.python, directory, FILE, self.api_url]
        environment = self._environment(host, directory)
        self._accept(run_script(host, self.container, text, argv, environment, self.timeout))

    def _accept(self, result: Result) -> None:
        """Raises Failure for a script that did not end well."""
        if result.ok:
            return
        other = [line for line in result.out.splitlines() if line.startswith(OTHER_API)]
        if other:
            found = other[-1].partition(" ")[2]
            raise Failure(
                f"Prefect uses {'no API URL' if found == NO_URL else found} here, not {self._aim}",
                "another profile is active, or a variable or file overrides the profile",
                "`fab doctor` shows what sets it; `fab configure-client` corrects the profile",
            )
        raise self._flow_failed(result)

    def _flow_failed(self, result: Result) -> Failure:
        known = explain_client(result.err + result.out)
        failed = CommandFailed(result, *((known.cause, known.fix) if known else ()))
        return Failure("the test flow failed", failed.cause, failed.fix, failed.detail)

    def _by_worker(self, host: System, flow: str, directory: str, scheduled: bool) -> None:
        """Have a worker of the pool run the script: this host's, since only here is the script."""
        who = f"a worker of pool {self.work_pool}" if self.work_pool else f"an agent of queue {self.queue}"
        steps, begun = self._pull_steps(host, directory), time.time()
        deployment = proof_worker.deploy(host, self._api, flow, self.work_pool, directory, self.queue, steps)
        runs = proof_worker.Runs(self._api, self.work_pool, flow, deployment, self.workers, scheduled)
        host.progress(f"waiting for {who} to run a test flow")
        over = host.wait_for(lambda: runs.over(host), self.timeout)
        if not over:
            problem = proof_worker.why_not_taken(host, self._api, self.work_pool, runs.state, self.timeout, who)
        runs.confirm(host)
        if not over:
            raise problem.failure(journal_tail(host, self.unit) if self.unit else "")
        if runs.state != "COMPLETED":
            raise self._worker_failed(host, runs, directory, begun)

    def _pull_steps(self, host: System, directory: str) -> list[dict[str, Any]]:
        """The steps that fetch the script, and install what it needs; what they use is made."""
        place, steps, files = directory, list[dict[str, Any]](), list[str]()
        if self.requirements:
            from roles.proof.kinds import requirements

            files = requirements.make(host, directory, self.as_user)
        if self.clone:
            from roles.proof.kinds import repository

            repository.make(host, directory, self.as_user, files)
            place, steps = repository.CLONE, [repository.step(directory)]
        return [*steps, requirements.step(place)] if self.requirements else steps

    def _worker_failed(self, host: Reader, runs: proof_worker.Runs, directory: str, begun: float) -> Failure:
        reason, lines = f"the worker's flow run {runs.run} ended as {runs.state}", runs.lines[-20:]
        if not any("Error" in line for line in lines) and self.unit:
            from roles.proof.kinds.journal import errors_since

            lines += errors_since(host, self.unit, begun)
        detail = "\n".join(lines)
        if proof_worker.unseen(runs.lines, os.path.basename(directory)):
            return Failure(
                f"{reason}: its worker does not see {directory}",
                "a worker on another host took it, or the worker's unit hides that directory (ProtectHome, PrivateTmp)",
                "check which workers the pool has; workdir must be visible to this host's worker",
                detail,
            )
        known = explain_client(detail)
        return Failure(reason, known.cause if known else "", known.fix if known else "", detail)

    def _automation(self, host: Reader, flow: str, unproven: list[str]) -> Optional[automation.Automation]:
        """An automation that waits for its event; None, with the reason in ``unproven``, where there can be none."""
        if not self.services:
            return None
        reason = automation.impossible(host, self._api)
        if reason:
            unproven.append(f"events and automations: {reason}")
            return None
        made = automation.Automation(self._api, flow)
        made.create(host)
        return made

    # -- journals ----------------------------------------------------------------------------------------------

    def _no_error_repeats(self, host: Reader) -> None:
        """Raises Failure for errors that go on in the journals of the server and the worker on this host."""
        for unit in filter(None, (self.server_unit, self.unit)):
            found = _errors(host, unit)
            if found:
                fix = f"read its log: journalctl -u {unit} -e"
                raise _with_errors(Failure(f"{unit} logs errors that repeat: {found[0]}", fix=fix), found)

    def _judge(self, host: Reader, traces: Traces, started: float) -> None:
        problem = traces.missing()
        if problem:
            raise problem.failure()
        seconds = time.monotonic() - started
        host.note(
            f"flow run {traces.flow_run}, task run {traces.task_run}, log line read back in {seconds:.1f} s "
            f"({self.name})"
        )

    # -- around it ----------------------------------------------------------------------------------------------

    @property
    def _aim(self) -> str:
        return "the database by itself" if self.database else self.api_url

    def _place(self, host: Reader) -> str:
        if self.workdir:
            return self.workdir
        own = self.through == "profile" and not self.as_user
        return os.path.join(host.home, ".local/state/encamp") if own else "/tmp"

    def _interpreter(self, host: Reader) -> str:
        if self.python:
            return self.python
        found = installed(host)
        if not found:
            raise Failure(
                "Prefect is not installed for this user, so no flow can run on this machine",
                fix="run `fab configure-client --install`: it installs the server's release for this user",
            )
        return found[0].python

    def _environment(self, host: Reader, directory: str) -> Mapping[str, Union[str, Secret]]:
        """The child's environment: nothing of the caller's but where the profiles are, or all that encamp gives."""
        environment: dict[str, Union[str, Secret]] = {
            "DO_NOT_TRACK": "1",
            "PREFECT_LOCAL_STORAGE_PATH": os.path.join(directory, "storage"),  # Prefect 2.0 stores every result
        }
        if self.through == "profile":
            path = profiles_path(host)
            if path != os.path.join(host.home, ".prefect/profiles.toml"):
                environment["PREFECT_PROFILES_PATH"] = path
            if self.profile:
                environment["PREFECT_PROFILE"] = self.profile
            return environment
        environment.update({"PREFECT_API_URL": self.api_url, "PREFECT_HOME": os.path.join(directory, "home")})
        if self.auth is not None:
            environment["PREFECT_API_AUTH_STRING"] = self.auth
        if self.ca_file:
            environment["PREFECT_API_SSL_CERT_FILE"] = self.ca_file
        return environment

    def _sweep(self, host: System) -> None:
        """Remove what interrupted verifications left."""
        place = self._place(host)
        for name in names_in(host, place):
            found = host.stat(os.path.join(place, name)) if proof_api.OWN_NAME.match(name) else None
            if found and found.kind == "directory" and time.time() - found.mtime > STALE_SECONDS:
                host.remove(os.path.join(place, name))
        proof_api.remove_stale(host, self._api)

    def _remove(self, host: Reader, flow: str) -> None:
        """Leave nothing on the server. A failure here must not hide that of the verification."""
        try:
            proof_api.remove(host, self._api, flow)
        except Failure as failure:
            host.note(f"the test flow {flow} could not be removed: {failure.reason}")


def _errors(host: Reader, unit: str) -> list[Repeated]:
    """The errors of a unit that repeat and do not pass."""
    return [error for error in repeated(host, unit) if error.lasting]


def stage(host: System, directory: str, text: str, user: str) -> None:
    """Put the script into a new directory, as its user: in a place of that user's, root could be led elsewhere by a
    link that flows make there. Raises Failure."""
    program = 'umask 077 && mkdir -p "$(dirname "$1")" && mkdir "$1" && cat >"$1/$2"'
    fix = "the lines below are the system's own: that account must be able to write there"
    host.run(["sh", "-c", program, "sh", directory, FILE], text, as_user=user, fix=fix)


def _with_journal(host: Reader, unit: str, failure: Failure) -> Failure:
    """A failure, with the errors of the server's journal: those that repeat, else all of late."""
    repeating = _errors(host, unit)
    if repeating:
        return _with_errors(failure, repeating)
    from roles.proof.kinds.journal import errors_since

    lately = errors_since(host, unit, time.time() - LATELY)
    return Failure(failure.reason, failure.cause, failure.fix, "\n".join(lately))


def _with_errors(failure: Failure, found: Sequence[Repeated]) -> Failure:
    """A failure, with the errors that the server's journal has to go with it."""
    if not found:
        return failure
    known = explain(found[0].text)
    cause, fix = (known.cause, known.fix) if known else (failure.cause, failure.fix)
    return Failure(failure.reason, cause, fix, "\n".join(map(str, found)))

"""The checks at a server on its own host: unit, what a deploy probes, database, connections, disk, clock."""

from __future__ import annotations

import os
import re
import time
from typing import Callable, Optional

from encamp.resources.system import Reader, System
from encamp.resources.systemd.halted import halted
from encamp.resources.systemd.owners import applied_drop_ins, is_ours, start_command
from roles.doctor.kinds import unit_fixes
from roles.doctor.kinds.api_checks import CLOCK_CAUSE, CLOCK_FAIL, check_schedules
from roles.doctor.kinds.disk import check_disk
from roles.doctor.kinds.findings import WARN, Check, Finding, Fix, fail, ok, warn
from roles.doctor.kinds.repeated_errors import check_errors
from roles.doctor.kinds.server.denials import check_denials
from roles.doctor.kinds.server.outside import check_outside
from roles.doctor.kinds.server.postgres import start_cluster, stopped_cluster, why
from roles.doctor.kinds.server.sessions import check_indexes, check_sessions
from roles.doctor.kinds.server.subject import ServerSubject
from roles.doctor.kinds.stuck_runs import check_stuck_runs
from roles.prefect.kinds.api import Problem
from roles.prefect.kinds.door.doorway import Doorway
from roles.prefect.kinds.known_failures.lookup import explain
from roles.server.kinds.health import NOT_UP
from roles.server.kinds.probes import PROBES, Probe

#: Seconds after its start in which a server that does not answer yet is merely starting.
STARTING = 45
HEALTH_SECONDS = 90
MEBIBYTE = 1024 * 1024
#: Part of the connections from which the next client may be the one that gets none.
CROWDED = 0.8
#: Seconds that connecting to this host may have taken since the controller's clock was read.
SLACK = 30
#: What Postgres says of itself goes on with its compiler.
POSTGRES = re.compile(r".* on PostgreSQL \d[\w.]*")


def check_unit(subject: ServerSubject) -> Optional[Finding]:
    """The unit runs, and was not restarted over and over."""
    state, unit = subject.state, subject.kind.unit
    if not state.exists:
        return fail(
            f"{unit} does not exist",
            "none was deployed here, or it was removed",
            f"`fab -H {subject.kind.server} deploy`",
        )
    if not is_ours(subject.host, unit):
        text = f"{unit} is not encamp's: {state.path} runs `{start_command(subject.host, unit)}`"
        return fail(text, "encamp did not write this unit", f"`fab -H {subject.kind.server} deploy` says how to go on")
    notice = Doorway(unit).found(subject.host)
    if notice:
        fix = f"to end it: `fab -H {subject.kind.server} maintenance off`"
        return fail(f"{unit} is {notice}", "`fab maintenance on` shut it", fix)
    again = f", restarted {state.restarts} times" if state.restarts else ""
    if state.active and state.restarts and time.monotonic() - state.active_since < STARTING:
        return _crashing(subject, f"{unit} has been running for {time.monotonic() - state.active_since:.0f} s{again}")
    if state.active:
        more = applied_drop_ins(subject.host, unit)
        text = f"{unit} runs{again}" + (f", changed by {', '.join(more)}" if more else "")
        if state.enabled:
            return ok(text)
        fix, remedy = f"systemctl enable {unit}", unit_fixes.enable(unit)
        return Finding(WARN, f"{text}, but does not start at boot", "the unit is not enabled", fix, remedy=remedy)
    if state.broken:
        return _crashing(subject, f"{unit} is {state}{again}")
    if state.active_state == "inactive":
        stopped = halted(subject.host, unit)
        if stopped:
            start_it = f"`fab -H {subject.kind.server} start`"
            return Finding(WARN, f"{unit} was stopped {stopped}", "on purpose (`fab stop`)", start_it, closes=True)
        fix = f"`fab -H {subject.kind.server} doctor --fix`, or `systemctl start {unit}`"
        return fail(f"{unit} is stopped", "it was stopped, or never started", fix, remedy=start(subject))
    return fail(f"{unit} is {state.active_state}", "systemd is changing its state", "try again in a few seconds")


def _crashing(subject: ServerSubject, text: str) -> Finding:
    """A server that does not stay up: its journal shows why."""
    known, state = subject.known, subject.state
    cause = known.cause if known else state.why()
    fix = known.fix if known else f"read its log: journalctl -u {subject.kind.unit} -e"
    remedy = start(subject, "restart") if state.active_state == "failed" else None
    return fail(text, cause, fix, subject.shown_log, remedy)


def start(subject: ServerSubject, verb: str = "start") -> Fix:
    """Start or restart the unit, and wait until it answers."""
    return unit_fixes.start(subject.kind.unit, verb, lambda host: _await_answer(host, subject))


def _await_answer(host: System, subject: ServerSubject) -> None:
    api = subject.server.api
    host.wait_for(lambda: api.call(host, "GET", "health", timeout=3).status == 200, HEALTH_SECONDS)


def check_owed(subject: ServerSubject) -> Optional[Finding]:
    """The unit was started after its settings were last written."""
    state, file = subject.state, subject.host.stat(subject.kind.env_file)
    if not state.active or file is None:
        return None
    begun = time.time() - (time.monotonic() - state.begun)
    if file.mtime <= begun and not state.needs_reload:
        return None
    text = f"{subject.kind.unit} runs with outdated settings: {subject.kind.env_file} was written after its start"
    remedy = start(subject, "restart")
    return Finding("warn", text, "a deploy was interrupted, or the file was edited by hand", "restart it", "", remedy)


def check_probe(name: str, probe: Probe) -> Callable[[ServerSubject], Optional[Finding]]:
    """A probe of a deploy as a check."""

    def run(subject: ServerSubject) -> Optional[Finding]:
        problem = probe(subject.host, subject.server)
        return _explained(subject, name, problem) if problem else ok(_WELL.get(name, "as deployed"))

    return run


_WELL = {
    "port": "held by the unit's processes",
    "health": "true",
    "ready": "the database responds",
    "POST": "answers a query",
    "UI page": "is there",
}


def _explained(subject: ServerSubject, name: str, problem: Problem) -> Finding:
    """A probe's problem; where the server did not come up, its journal knows more."""
    up = time.monotonic() - subject.state.active_since
    known = subject.known if name in NOT_UP else None
    if known:
        return fail(problem.reason, known.cause, known.fix, subject.shown_log)
    if name in NOT_UP and up < STARTING:
        return fail(problem.reason, f"it was started {up:.0f} s ago and is not ready yet", "try again in a few seconds")
    return fail(problem.reason, problem.cause, problem.fix)


def check_database(subject: ServerSubject) -> Optional[Finding]:
    """The database can be reached by the server's own user with the server's own URL."""
    if not subject.environment:
        return None
    if not subject.database_url:
        return warn(
            "no connection URL is set", "the server keeps its data in a SQLite file in its home", "see database:"
        )
    found = subject.database
    if not found:
        return None
    if found.get("error"):
        stopped = stopped_cluster(subject.host, subject.kind.cluster)
        if stopped:
            remedy = start_cluster(stopped, lambda host: _await_answer(host, subject))
            return fail(f"Postgres {stopped.label} is {stopped.status}", *why(subject.host, stopped), remedy=remedy)
        known = explain(str(found["error"]))
        cause, fix = (known.cause, known.fix) if known else ("", "check that it runs and listens where the URL points")
        return fail(str(found["error"]).splitlines()[0], cause, fix)
    size = f"{found.get('size', 0) / MEBIBYTE:.1f} MiB"
    if found.get("writable") is False:
        return fail(
            f"{found['place']} is not writable for {subject.kind.user}",
            *why_not_writable(subject.host, subject.kind.user, str(found["place"])),
        )
    place = str(found.get("place"))
    server = POSTGRES.match(place)
    return ok(f"{server[0] if server else place.partition(', ')[0]}, {size}")


def why_not_writable(host: Reader, user: str, file: str) -> tuple[str, str]:
    """Why the server's user may not write its SQLite file, and what to do: file and directory must both be its own."""
    look = f"`namei -l {file}` shows owners and modes, `findmnt -T {file}` whether the file system is read-only (ro)"
    found = [(place, host.stat(place)) for place in (file, os.path.dirname(file))]
    for place, stat in found:
        if stat and stat.owner != user:
            return f"{place} belongs to {stat.owner}", f"chown {user}: {file} {os.path.dirname(file)}"
    if all(stat for _, stat in found):
        return f"it and its directory belong to {user}: their mode, or their file system, forbids it", look
    return "another owner, its mode, or its file system forbids it", look


def check_revision(subject: ServerSubject) -> Optional[Finding]:
    """The database's schema is the one that this release works with."""
    found = subject.database
    revision, heads = found.get("revision"), found.get("heads") or []
    if found.get("error") or not heads:
        return None
    if not revision:
        return warn(
            "the database has no schema yet", "no server has started on it", "start the server: it creates the schema"
        )
    if revision not in found["known"]:
        return fail(
            f"the schema has revision {revision}, which this release does not know",
            "the database was upgraded by a newer Prefect than this one",
            "deploy the newer release again, or restore the dump made before the upgrade",
        )
    if revision not in heads:
        cause = "no server of this release has started with it, or migrations at start are disabled"
        return warn(f"the schema belongs to an older release ({revision}, not {heads[0]})", cause, "restart the server")
    return ok(f"revision {revision}, this release's")


def check_connections(subject: ServerSubject) -> Optional[Finding]:
    """Postgres has connections left."""
    found = subject.database
    if "max" not in found:
        return None
    room = found["max"] - found["reserved"]
    text = f"{found['used']} of {room} connections are used"
    fix = (
        "raise max_connections, lower database_pool_size and database_max_overflow, or find out which clients hold them"
    )
    if found["used"] >= room:
        return fail(text, "no connection is free", fix)
    return warn(text, "few connections are free", fix) if found["used"] > CROWDED * room else ok(text)


def check_locks(subject: ServerSubject) -> Optional[Finding]:
    """SQLite was not found locked lately."""
    if not subject.database_url.startswith("sqlite"):
        return None
    argv = ["journalctl", "-u", subject.kind.unit, "--since", "-1day", "--reverse", "-n", "20000", "-o", "cat"]
    count = subject.host.query([*argv, "-q", "--no-pager"], timeout=15).out.count("database is locked")
    if not count:
        return ok("not locked within the last day")
    cause = "SQLite allows one writer at a time; with many concurrent runs some give up waiting"
    return warn(f"`database is locked` {count} times within the last day", cause, "use Postgres (database: postgres)")


def check_room(subject: ServerSubject) -> Optional[Finding]:
    """The disks that the server writes to have room."""
    url = subject.database_url
    file = url.partition(":///")[2].partition("?")[0] if url.startswith("sqlite") else ""
    postgres = "/var/lib/postgresql" if "/var/run/postgresql" in url or "@127.0.0.1" in url else ""
    docker = "/var/lib/docker" if subject.kind.container else ""
    return check_disk([path for path in ("/", subject.kind.home, os.path.dirname(file), postgres, docker) if path])


def check_time(subject: ServerSubject) -> Optional[Finding]:
    """This host's clock agrees with that of the machine encamp runs on."""
    ahead = time.time() - subject.kind.started
    ahead = ahead if ahead < 0 else max(0.0, ahead - SLACK)
    if abs(ahead) < CLOCK_FAIL:
        return ok("in sync with this machine")
    text = f"this host is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the machine encamp runs on"
    return fail(text, CLOCK_CAUSE, "enable time synchronization on both (`timedatectl set-ntp true`)")


def _errors(subject: ServerSubject) -> Optional[Finding]:
    return check_errors(subject.host, subject.kind.unit, explain)


def _late(subject: ServerSubject) -> Optional[Finding]:
    return check_schedules(subject.target)


def _stuck(subject: ServerSubject) -> Optional[Finding]:
    return check_stuck_runs(subject.target)


#: The probes of a deploy, in its order, each after what it needs; the unit has its own check.
_NEEDS = {"port": ("unit",), "health": ("port",)}
CHECKS: tuple[Check[ServerSubject], ...] = (
    Check("unit", check_unit),
    Check("restart", check_owed, ("unit",)),
    *(Check(name, check_probe(name, probe), _NEEDS.get(name, ("health",))) for name, probe in PROBES if name != "unit"),
    Check("outside", check_outside, ("unit",)),
    Check("firewall", check_denials),
    Check("errors", _errors, ("unit",)),
    Check("schedules", _late, ("POST",)),
    Check("stuck runs", _stuck, ("POST",)),
    Check("connection", check_database),
    Check("schema", check_revision, ("connection",)),
    Check("sessions", check_sessions, ("connection",)),
    Check("indexes", check_indexes, ("connection",)),
    Check("head-room", check_connections, ("connection",)),
    Check("locks", check_locks),
    Check("disk", check_room),
    Check("clock", check_time),
)

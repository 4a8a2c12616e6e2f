"""What systemd says of a unit, and the last lines of its journal: shared by all kinds that deal with units."""

from __future__ import annotations

from encamp.resources.base import CommandFailed, Failure
from encamp.resources.system import Reader, System
from encamp.shared.record import record

PROPERTIES = (
    "LoadState",
    "LoadError",
    "UnitFileState",
    "ActiveState",
    "SubState",
    "NeedDaemonReload",
    "NRestarts",
    "InactiveExitTimestampMonotonic",
    "ActiveEnterTimestampMonotonic",
    "MainPID",
    "Result",
    "ExecMainStatus",
)
SUFFIXES = ("service", "socket", "target", "timer", "path", "mount", "automount", "swap", "slice", "scope", "device")
# What systemd.exec(5) means by the exit statuses it sets itself, for those an operator meets.
EXIT_STATUS = {
    200: "its working directory is missing or not accessible",
    203: "its program is missing or cannot be executed",
    208: "its standard input could not be set up",
    209: "its standard output could not be set up",
    217: "its user does not exist",
    216: "its group does not exist",
    226: "its sandbox could not be set up: a path that the unit names does not exist",
    238: "its state directory could not be set up",
}
RESULTS = {
    "timeout": "it was not ready, or had not ended, within its time limit",
    "watchdog": "it stopped answering systemd's watchdog",
    "oom-kill": "the host ran out of memory and killed it",
    "start-limit-hit": "it failed too often in a short time, so systemd gave up",
    "resources": "systemd could not set it up: often an EnvironmentFile that is missing",
    "protocol": "it exited without telling systemd that it was ready",
    "signal": "a signal killed it",
    "core-dump": "it crashed with a core dump",
}


@record
class UnitState:
    """A unit as ``systemctl show`` tells it.

    ``begun`` and ``active_since`` are CLOCK_MONOTONIC seconds: when the last start began, and when the unit became
    active (0 when it never did). ``restarts`` counts automatic restarts only.
    """

    load: str
    file_state: str
    active_state: str
    sub_state: str
    needs_reload: bool
    restarts: int
    begun: float
    active_since: float
    main_pid: int
    result: str
    exit_status: int
    load_error: str = ""

    @property
    def exists(self) -> bool:
        return self.load not in ("not-found", "")

    @property
    def active(self) -> bool:
        return self.active_state in ("active", "reloading", "refreshing")

    @property
    def stopped(self) -> bool:
        """At rest. A unit that waits for its next automatic restart is neither active nor stopped."""
        return self.active_state in ("inactive", "failed")

    @property
    def broken(self) -> bool:
        """Failed, or waiting to be restarted after a failure (a crash loop)."""
        return self.active_state == "failed" or "auto-restart" in self.sub_state

    @property
    def enabled(self) -> bool:
        """Whether the unit starts at boot by links of its own (a generator's, as Debian's Postgres has, count)."""
        return self.file_state in ("enabled", "enabled-runtime", "alias", "generated", "indirect")

    def __str__(self) -> str:
        if not self.exists:
            return "no such unit"
        if self.broken:
            return f"failing ({self.sub_state})" if self.active_state != "failed" else "failed"
        return self.active_state

    def why(self) -> str:
        """The likely cause of a failure in plain words; empty when systemd knows none."""
        if self.load_error:
            return self.load_error
        if self.result == "exit-code":
            known = EXIT_STATUS.get(self.exit_status)
            return known or f"its program ended with exit status {self.exit_status}"
        return RESULTS.get(self.result, "")


def unit_name(unit: str) -> str:
    """The full name of a unit: as systemctl does, a name without a known suffix is a service's."""
    return unit if unit.rpartition(".")[2] in SUFFIXES else f"{unit}.service"


def unit_state(host: Reader, unit: str) -> UnitState:
    """Ask systemd about ``unit``, once a unit until something changes. Raises Failure where systemd does not answer."""
    name = unit_name(unit)
    return host.once(f"systemd:{name}", lambda: _show(host, name))


def _show(host: Reader, name: str) -> UnitState:
    result = host.query(["systemctl", "show", "--no-pager", f"--property={','.join(PROPERTIES)}", "--", name])
    if not result.ok:
        raise Failure(
            f"systemd does not answer about {name}",
            "this host was not booted with systemd, or systemd hangs",
            "run `systemctl is-system-running` on the host",
            result.tail,
        )
    return parse_show(result.out)


def parse_show(text: str) -> UnitState:
    """Read the ``Name=value`` lines of ``systemctl show``. What this systemd does not know counts as empty."""
    found = dict(line.partition("=")[::2] for line in text.splitlines())

    def number(name: str) -> int:
        value = found.get(name, "")
        return int(value) if value.isdigit() else 0

    return UnitState(
        load=found.get("LoadState", ""),
        file_state=found.get("UnitFileState", ""),
        active_state=found.get("ActiveState", "inactive"),
        sub_state=found.get("SubState", ""),
        needs_reload=found.get("NeedDaemonReload") == "yes",
        restarts=number("NRestarts"),
        begun=number("InactiveExitTimestampMonotonic") / 1e6,
        active_since=number("ActiveEnterTimestampMonotonic") / 1e6,
        main_pid=number("MainPID"),
        result=found.get("Result", ""),
        exit_status=number("ExecMainStatus"),
        # A bus error's name, then its message.
        load_error=found.get("LoadError", "").partition(" ")[2].strip('" '),
    )


def boot_id(host: Reader) -> str:
    """The kernel's name for this boot."""
    return (host.read("/proc/sys/kernel/random/boot_id") or b"").decode().strip()


def journal_tail(host: Reader, unit: str, lines: int = 20) -> str:
    """The last ``lines`` lines that ``unit``, or systemd about it, logged; empty where they cannot be read."""
    result = host.query(["journalctl", "-u", unit_name(unit), "-n", str(lines), "--no-pager", "-q", "-o", "cat"])
    return result.out.strip() if result.ok else ""


def change_state(host: System, verb: str, unit: str) -> None:
    """Run ``systemctl verb unit`` (start, stop, restart, reload). Raises Failure with the unit's journal.

    A unit that failed before gets a clean slate first: its start limit would refuse the new start.
    """
    name = unit_name(unit)
    if verb != "stop" and unit_state(host, name).broken:
        clear_failure(host, name)
    try:
        host.run(["systemctl", verb, "--", name])
    except CommandFailed as failed:
        raise unit_failure(host, name, f"{name} did not {verb}", failed.result.tail) from failed
    if verb != "stop" and unit_state(host, name).broken:
        # For most types of unit systemctl is content once the process exists.
        raise unit_failure(host, name, f"{name} failed as soon as it was started")


def clear_failure(host: System, unit: str) -> None:
    """Forget that a unit failed, so that its start limit starts anew."""
    try:
        host.run(["systemctl", "reset-failed", "--", unit])
    except CommandFailed:
        # The unit left the failed state, or memory, in the meantime: there is nothing to forget.
        return


def unit_failure(host: Reader, unit: str, reason: str, said: str = "") -> Failure:
    """A Failure about ``unit`` with the likely cause and its last journal lines; ``said`` is systemctl's own output."""
    journal = journal_tail(host, unit)
    cause = _show(host, unit).why() or said.partition("\n")[0]
    fix = f"read its journal; more than stands here: journalctl -u {unit} -e"
    return Failure(reason, cause, fix, journal or said)

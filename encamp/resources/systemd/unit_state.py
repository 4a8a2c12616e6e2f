"""A unit's state and the last lines of its journal: shared by all kinds that manage units."""

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
    "FragmentPath",
    "DropInPaths",
)
SUFFIXES = ("service", "socket", "target", "timer", "path", "mount", "automount", "swap", "slice", "scope", "device")
# Exit statuses set by systemd itself, from systemd.exec(5).
EXIT_STATUS = {
    200: "its working directory is missing or not accessible",
    203: "its program is missing or cannot be executed",
    205: "the resource limits of its unit could not be set",
    208: "its standard input could not be set up",
    209: "its standard output could not be set up",
    216: "its group does not exist, or systemd could not switch to it",
    217: "its user does not exist, or systemd could not switch to it",
    218: "its capabilities could not be set: this host, such as a container, lacks them",
    224: "PAM did not open a session for its user (the journal says why)",
    225: "its network namespace could not be set up, as in a container that forbids it",
    226: "its sandbox could not be set up: a path is missing, or this host forbids it (the journal says which)",
    228: "the filter of system calls that its unit sets could not be applied",
    233: "its runtime directory could not be set up",
    238: "its state directory could not be set up",
    243: "its credentials could not be set up: a file that LoadCredential names is missing, or cannot be decrypted",
}
RESULTS = {
    "timeout": "it did not start, or did not stop, within its timeout",
    "watchdog": "it stopped answering systemd's watchdog",
    "oom-kill": "the kernel killed it because memory ran out: the host's, or what its unit may use (MemoryMax)",
    "start-limit-hit": "it failed too often in a short time, so systemd stopped restarting it",
    "resources": "systemd could not set it up: often a missing EnvironmentFile (the journal says what)",
    "protocol": "it exited without notifying systemd that it was ready",
    "signal": "a signal killed it",
    "core-dump": "it crashed with a core dump",
    "exec-condition": "its ExecCondition= said no",
}


@record
class UnitState:
    """A unit's state from ``systemctl show``.

    ``begun`` and ``active_since`` are CLOCK_MONOTONIC seconds: when the last start began, and when the unit became
    active (0 when it never did). ``restarts`` counts automatic restarts only. ``path`` is the file that systemd read,
    links followed (empty: none); ``drop_ins`` are the files that change it, those for all services included.
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
    path: str = ""
    drop_ins: tuple[str, ...] = ()

    @property
    def exists(self) -> bool:
        return self.load not in ("not-found", "")

    @property
    def active(self) -> bool:
        return self.active_state in ("active", "reloading", "refreshing")

    @property
    def stopped(self) -> bool:
        """Whether it is inactive or failed. A unit waiting for an automatic restart is neither active nor stopped."""
        return self.active_state in ("inactive", "failed")

    @property
    def broken(self) -> bool:
        """Whether it failed, or waits to be restarted after a failure (a crash loop)."""
        return self.active_state == "failed" or "auto-restart" in self.sub_state

    @property
    def enabled(self) -> bool:
        """Whether the unit starts at boot through its own links (including a generator's, as for Debian's Postgres)."""
        return self.file_state in ("enabled", "enabled-runtime", "alias", "generated", "indirect")

    def __str__(self) -> str:
        if not self.exists:
            return "no such unit"
        if self.broken:
            return f"failing ({self.sub_state})" if self.active_state != "failed" else "failed"
        return self.active_state

    def why(self) -> str:
        """The cause of a failure according to systemd; empty if unknown."""
        if self.load_error:
            return self.load_error
        if self.result == "exit-code":
            known = EXIT_STATUS.get(self.exit_status)
            return known or f"its program exited with status {self.exit_status}"
        return RESULTS.get(self.result, "")


def unit_name(unit: str) -> str:
    """The full name of a unit: a name without a known suffix is a service's, as for systemctl."""
    return unit if unit.rpartition(".")[2] in SUFFIXES else f"{unit}.service"


def unit_state(host: Reader, unit: str) -> UnitState:
    """The state of ``unit``, kept until something changes. Raises Failure when systemd does not answer."""
    name = unit_name(unit)
    return host.once(f"systemd:{name}", lambda: _show(host, name))


def _show(host: Reader, name: str) -> UnitState:
    result = host.query(["systemctl", "show", "--no-pager", f"--property={','.join(PROPERTIES)}", "--", name])
    if not result.ok:
        raise Failure(
            f"systemd does not answer about {name}",
            *_silence(host),
            result.tail,
        )
    return parse_show(result.out)


def _silence(host: Reader) -> tuple[str, str]:
    """Why systemd does not answer, and what to do: it makes that directory as it boots (sd_booted(3))."""
    if host.stat("/run/systemd/system") is None:
        return "this host was not booted with systemd", "use a machine, or a container, whose first process is systemd"
    return "systemd runs; it hangs, or D-Bus does", "run `systemctl is-system-running` on the host"


def parse_show(text: str) -> UnitState:
    """Parse the ``Name=value`` lines of ``systemctl show``. Properties that this systemd lacks are empty."""
    properties = dict(line.partition("=")[::2] for line in text.splitlines())

    def number(name: str) -> int:
        value = properties.get(name, "")
        return int(value) if value.isdigit() else 0

    return UnitState(
        load=properties.get("LoadState", ""),
        file_state=properties.get("UnitFileState", ""),
        active_state=properties.get("ActiveState", "inactive"),
        sub_state=properties.get("SubState", ""),
        needs_reload=properties.get("NeedDaemonReload") == "yes",
        restarts=number("NRestarts"),
        begun=number("InactiveExitTimestampMonotonic") / 1e6,
        active_since=number("ActiveEnterTimestampMonotonic") / 1e6,
        main_pid=number("MainPID"),
        result=properties.get("Result", ""),
        exit_status=number("ExecMainStatus"),
        # A bus error's name, then its message.
        load_error=properties.get("LoadError", "").partition(" ")[2].strip('" '),
        path=properties.get("FragmentPath", ""),
        drop_ins=tuple(properties.get("DropInPaths", "").split()),
    )


def boot_id(host: Reader) -> str:
    """The kernel's id of this boot."""
    return (host.read("/proc/sys/kernel/random/boot_id") or b"").decode().strip()


def journal_tail(host: Reader, unit: str, lines: int = 20) -> str:
    """The last ``lines`` lines that ``unit``, or systemd about it, logged; empty if they cannot be read."""
    result = host.query(["journalctl", "-u", unit_name(unit), "-n", str(lines), "--no-pager", "-q", "-o", "cat"])
    return result.out.strip() if result.ok else ""


def journal_since_start(host: Reader, unit: str, lines: int) -> str:
    """The last ``lines`` lines that the present process of ``unit`` and its children logged; empty if it has none."""
    name = unit_name(unit)
    invocation = host.query(["systemctl", "show", "--property=InvocationID", "--value", "--", name]).out.strip()
    if not invocation:
        return ""
    argv = ["journalctl", f"_SYSTEMD_INVOCATION_ID={invocation}", "-n", str(lines), "--no-pager", "-q", "-o", "cat"]
    return host.query(argv, timeout=15).out


def change_state(host: System, verb: str, unit: str) -> None:
    """Run ``systemctl verb unit`` (start, stop, restart, reload). Raises Failure with the unit's journal.

    The failed state of a unit is reset first: its start limit would prevent the new start.
    """
    name = unit_name(unit)
    if verb != "stop" and unit_state(host, name).broken:
        clear_failure(host, name)
    try:
        host.run(["systemctl", verb, "--", name])
    except CommandFailed as failed:
        raise unit_failure(host, name, f"{name} did not {verb}", failed.result.tail) from failed
    if verb != "stop" and unit_state(host, name).broken:
        # For most types of unit systemctl succeeds once the process exists.
        raise unit_failure(host, name, f"{name} failed right after it started")


def clear_failure(host: System, unit: str) -> None:
    """Reset a unit's failed state and its start limit."""
    try:
        host.run(["systemctl", "reset-failed", "--", unit])
    except CommandFailed:
        # The unit is no longer failed, or no longer loaded.
        return


def unit_failure(host: Reader, unit: str, reason: str, output: str = "") -> Failure:
    """A Failure about ``unit`` with the likely cause and its last journal lines; ``output`` is systemctl's own."""
    journal = journal_tail(host, unit)
    cause = _show(host, unit).why() or output.partition("\n")[0]
    fix = f"read the rest of its journal: journalctl -u {unit} -e"
    return Failure(reason, cause, fix, journal or output)

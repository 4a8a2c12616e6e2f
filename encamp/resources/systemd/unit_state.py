"""A unit's state: shared by all kinds that manage units."""

from __future__ import annotations

from encamp.resources.base import Failure
from encamp.resources.system import Reader
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
        from encamp.resources.systemd.results import EXIT_STATUS, RESULTS

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
    return host.once(f"systemd:{name}", lambda: fresh_state(host, name))


def fresh_state(host: Reader, name: str) -> UnitState:
    """As :func:`unit_state`, asked anew. ``name``: the unit's full name."""
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

"""What a worker's unit shuts, and what its settings open again: directives of systemd.exec(5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from encamp.shared.record import record
from roles.worker.host_access import HostAccess

Directives = Iterator[tuple[str, str]]

HOMES = ("/home", "/root", "/run/user")
TEMPORARY = ("/tmp", "/var/tmp")


@record
class Opened:
    """What the settings open: ``writable`` and ``readable`` paths, each once."""

    writable: tuple[str, ...]
    readable: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.writable, *self.readable)


def opened(spec: HostAccess) -> Opened:
    """The paths that a worker's unit opens. A working directory is at least readable."""
    writable = _each_once(spec.writable_paths)
    wanted = _each_once([*spec.readable_paths, *filter(None, [spec.working_directory])])
    return Opened(writable, tuple(path for path in wanted if not any(is_below(path, other) for other in writable)))


def is_below(path: str, other: str) -> bool:
    """Whether ``path`` is ``other``, or inside it."""
    return path == other or path.startswith(f"{other}/")


def directives(spec: HostAccess, homes: Sequence[str], namespaces: bool = True) -> Directives:
    """The directives of a worker's unit, in order. It may write ``homes``: its own, and its environment.

    ``namespaces``: whether the host lets units have mount namespaces.
    """
    if not spec.sandbox:
        return
    yield "NoNewPrivileges", "yes"
    if namespaces:
        yield from _own_view(spec, homes)
    yield "RestrictSUIDSGID", "yes"
    yield "CapabilityBoundingSet", ""


def _own_view(spec: HostAccess, homes: Sequence[str]) -> Directives:
    paths = opened(spec)
    yield "PrivateTmp", "no" if set(paths.all) & set(TEMPORARY) else "yes"
    yield from _devices(spec.devices)
    yield "ProtectSystem", "strict"
    yield from _paths(paths, homes)
    for name in ("Tunables", "Modules", "Logs"):
        yield f"ProtectKernel{name}", "yes"
    yield "ProtectControlGroups", "yes"
    yield "ProtectClock", "yes"
    yield "ProtectHostname", "yes"


def _devices(devices: Sequence[str]) -> Directives:
    yield "PrivateDevices", "no" if devices else "yes"
    if devices:
        yield "DevicePolicy", "closed"
    for device in _each_once(devices):
        yield "DeviceAllow", f"{device} rw"


def _paths(paths: Opened, homes: Sequence[str]) -> Directives:
    """ProtectHome=yes leaves nothing that a path below /home could be put into, tmpfs an empty directory."""
    yield "ProtectHome", _home_protection(paths)
    shared = TEMPORARY if set(paths.all) & set(TEMPORARY) else ()
    plain = (path for path in paths.writable if not _is_hidden(path) and path not in TEMPORARY)
    for path in (*homes, *plain, *shared):
        yield "ReadWritePaths", path
    for path in filter(_is_hidden, paths.writable):
        yield "BindPaths", path
    for path in filter(_is_hidden, paths.readable):
        yield "BindReadOnlyPaths", path


def _home_protection(paths: Opened) -> str:
    if set(paths.writable) & set(HOMES):
        return "no"
    if set(paths.readable) & set(HOMES):
        return "read-only"
    return "tmpfs" if any(is_below(path, home) for path in paths.all for home in HOMES) else "yes"


def _is_hidden(path: str) -> bool:
    """Whether the unit has an empty place there, into which a path has to be bound."""
    return path not in (*HOMES, *TEMPORARY) and any(is_below(path, parent) for parent in (*HOMES, *TEMPORARY))


def _each_once(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.rstrip("/") for name in names))

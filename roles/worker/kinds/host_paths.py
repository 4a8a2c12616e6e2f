"""What a worker's unit names of its host: it must be there before the unit starts, and be usable after."""

from __future__ import annotations

from typing import ClassVar, Sequence

from encamp.resources.accounts.group import entries
from encamp.resources.base import Change, Failure, Refused, Resource, kind
from encamp.resources.system import Reader, System
from encamp.resources.systemd.unit_state import unit_state

#: Prints each path that the process may not use; the letter before it is what it is for.
SCRIPT = 'for item; do test "-${item%%/*}" "/${item#*/}" || echo "/${item#*/}"; done'


@kind
class HostParts(Resource):
    """Account, groups, paths and devices that a worker's unit names. All must exist: systemd would not start it.

    ``unit``: the unit's name. ``user``: an account that encamp does not make; empty: none.
    """

    changes_host: ClassVar[bool] = False

    unit: str
    user: str = ""
    groups: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        if self.user and not _is_known(host, "passwd", self.user):
            raise Refused(
                f"{self.unit}: this host has no account {self.user}",
                fix=f"make it (`useradd --system {self.user}`), or remove user: from the worker",
            )
        for group in self.groups:
            if not _is_known(host, "group", group):
                raise Refused(
                    f"{self.unit}: this host has no group {group}",
                    fix=f"install what makes it, or `groupadd --system {group}`, or remove it from the worker's groups",
                )
        for path in (*self.paths, *self.devices):
            if host.stat(path) is None:
                raise Refused(f"{self.unit}: {path} does not exist on this host", fix=_fix(path))
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        """Nothing to apply: what is missing is not ours to make."""


def _fix(path: str) -> str:
    if path.startswith("/dev/"):
        return "connect the device and load its driver, or remove it from devices: of the worker"
    return "create it, or mount what it belongs to, or remove it from the worker"


def _is_known(host: Reader, database: str, name: str) -> bool:
    """Whether an account or group exists; the files first, then LDAP and the like."""
    return name in entries(host, f"/etc/{database}") or host.query(["getent", database, name]).ok


@kind
class PathAccess(Resource):
    """The processes of a unit can use the paths that it opens: as their account and groups, inside its sandbox.

    ``unit``: the unit's name. ``writable``, ``readable``: paths.
    """

    changes_host: ClassVar[bool] = False

    unit: str
    writable: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        pid = unit_state(host, self.unit).main_pid
        status = (host.read(f"/proc/{pid}/status") or b"").decode("utf-8", "replace") if pid else ""
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        if "Uid" not in fields:
            return []  # it restarts just now; the steps before and after this one say whether it runs
        user, group = fields["Uid"].split()[0], fields["Gid"].split()[0]
        groups = ",".join(fields.get("Groups", "").split())
        identity = ["--reuid", user, "--regid", group, *(["--groups", groups] if groups else ["--clear-groups"])]
        items = [f"w{path}" for path in self.writable] + [f"r{path}" for path in self.readable]
        argv = ["nsenter", "--mount", "--target", str(pid), "--", "setpriv", *identity]
        answer = host.query([*argv, "--", "sh", "-c", SCRIPT, "sh", *items])
        for path in answer.out.splitlines():
            raise self._refusal(host, path)
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        """Nothing to apply: permissions of what is not ours stay."""

    def _refusal(self, host: Reader, path: str) -> Failure:
        stat = host.stat(path)
        verb, letters = ("write", "rwX") if path in self.writable else ("read", "rX")
        owned = f" ({stat.owner}:{stat.group}, {stat.mode:04o})" if stat else ""
        return Failure(
            f"the worker's account cannot {verb} {path}{owned}",
            "its permissions, those of a directory above it, or a file system that is mounted read-only",
            f"`findmnt -T {path}` shows the mount; `setfacl -R -m u:ACCOUNT:{letters} {path}`, or a group that may "
            "(groups: of the worker), then deploy again",
        )

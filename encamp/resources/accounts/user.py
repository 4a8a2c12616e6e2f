"""A user that services run as."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.accounts.group import entries
from encamp.resources.base import Change, Resource, kind
from encamp.resources.system import Reader, System


@kind
class User(Resource):
    """A system user with its primary group, home and shell, and no password.

    The home is only recorded: a Directory resource creates it. ``groups`` are supplementary groups; other memberships
    of the user stay.
    """

    name: str
    group: str = ""
    home: str = "/nonexistent"
    shell: str = "/usr/sbin/nologin"
    comment: str = ""
    groups: tuple[str, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        entry = entries(host, "/etc/passwd").get(self.name)
        if entry is None:
            return [Change("user", "absent", "present")]
        changes = []
        if entry[5] != self.home:
            changes.append(Change("home", entry[5], self.home))
        if entry[6] != self.shell:
            changes.append(Change("shell", entry[6], self.shell))
        missing = [name for name in self.groups if not _is_member(host, self.name, name)]
        if missing:
            changes.append(Change("groups", "not in", ", ".join(missing)))
        return changes

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        if changes[0].what == "user":
            host.run(self._useradd())
            return
        argv = ["usermod", "--home", self.home, "--shell", self.shell]
        if self.groups:
            argv += ["--append", "--groups", ",".join(self.groups)]
        host.run([*argv, self.name], fix="stop the processes of this user, then deploy again")

    def _useradd(self) -> list[str]:
        argv = ["useradd", "--system", "--no-create-home", "--home-dir", self.home, "--shell", self.shell]
        argv += ["--gid", self.group] if self.group else ["--user-group"]
        if self.comment:
            argv += ["--comment", self.comment]
        if self.groups:
            argv += ["--groups", ",".join(self.groups)]
        return [*argv, self.name]


def _is_member(host: Reader, user: str, group: str) -> bool:
    entry = entries(host, "/etc/group").get(group)
    return entry is not None and user in entry[3].split(",")

"""A user that services run as."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.accounts.group import account, entries
from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.system import Reader, System


@kind
class User(Resource):
    """A system user with its primary group, home and shell, and no password.

    The home is only recorded: a Directory resource creates it. ``groups`` are supplementary groups; other memberships
    of the user stay. A user of that name with another home is not encamp's: it is refused, or with ``as_found`` used as
    it is, wherever the host has it from (/etc/passwd, LDAP, sssd). ``setting``: the setting that chose the name.
    """

    name: str
    group: str = ""
    home: str = "/nonexistent"
    shell: str = "/usr/sbin/nologin"
    comment: str = ""
    groups: tuple[str, ...] = ()
    as_found: bool = False
    setting: str = ""

    def refuse(self, host: Reader) -> None:
        entry = account(host, "passwd", self.name)
        if entry is None:
            self._refuse_shared_group(host)
        elif not self.as_found and entry[5] != self.home:
            raise Refused(
                f"this host has a user {self.name} that encamp did not make: "
                f"uid {entry[2]}, home {entry[5]}, shell {entry[6]}",
                fix="encamp does not change it. " + self._choice(),
            )

    def check(self, host: Reader) -> list[Change]:
        entry = account(host, "passwd", self.name)
        if entry is None:
            return [Change("user", "absent", "present")]
        if self.as_found:
            return []
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

    def _refuse_shared_group(self, host: Reader) -> None:
        """Raise Refused where people are in the group that a new user is to get: they could read its files."""
        entry = account(host, "group", self.group) if self.group else None
        if entry is not None and entry[3] and not self.as_found:
            raise Refused(
                f"this host has a group {self.group} that encamp did not make, with the members {entry[3]}",
                "they could read the secrets of a service with this group",
                self._choice(),
            )

    def _choice(self) -> str:
        if not self.setting:
            return "Declare another name"
        return f"Set {self.setting}: to another account; {self.setting}: {self.name} uses this one as it is"


def _is_member(host: Reader, user: str, group: str) -> bool:
    entry = entries(host, "/etc/group").get(group)
    return entry is not None and user in entry[3].split(",")

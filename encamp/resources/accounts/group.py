"""A group of the system."""

from __future__ import annotations

from typing import Optional, Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.system import Reader, System


@kind
class Group(Resource):
    """A group, with a system gid if it has to be created; one from LDAP or sssd counts as existing."""

    name: str

    def check(self, host: Reader) -> list[Change]:
        return [] if account(host, "group", self.name) else [Change("group", "absent", "present")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.run(["groupadd", "--system", self.name])


def account(host: Reader, database: str, name: str) -> Optional[list[str]]:
    """The fields of a user (``database``: passwd) or group (group), wherever the host has it from; None if nowhere.

    getent is asked only for names that are not in the file: where LDAP or sssd answer, it may take long.
    """
    found = entries(host, f"/etc/{database}").get(name)
    if found is not None:
        return found
    answer = host.once(f"getent {database} {name}", lambda: host.query(["getent", database, name]))
    fields = answer.out.strip().split(":") if answer.ok else []
    return fields if len(fields) >= 4 else None


def entries(host: Reader, path: str) -> dict[str, list[str]]:
    """Lines of /etc/passwd or /etc/group by their first field."""

    def parse() -> dict[str, list[str]]:
        lines = (host.read(path) or b"").decode("utf-8", "replace").splitlines()
        return {line.split(":")[0]: line.split(":") for line in lines if ":" in line}

    return host.once(path, parse)

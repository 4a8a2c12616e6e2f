"""A group of the system."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.system import Reader, System


@kind
class Group(Resource):
    """A group in /etc/group, with a system gid if it has to be created."""

    name: str

    def check(self, host: Reader) -> list[Change]:
        return [] if self.name in entries(host, "/etc/group") else [Change("group", "absent", "present")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.run(["groupadd", "--system", self.name])


def entries(host: Reader, path: str) -> dict[str, list[str]]:
    """Lines of /etc/passwd or /etc/group by their first field."""

    def parse() -> dict[str, list[str]]:
        lines = (host.read(path) or b"").decode("utf-8", "replace").splitlines()
        return {line.split(":")[0]: line.split(":") for line in lines if ":" in line}

    return host.once(path, parse)

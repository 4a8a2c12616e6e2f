"""A symbolic link that points where it should."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.files.paths import expand
from encamp.resources.system import Reader, System


@kind
class Symlink(Resource):
    """A symbolic link that points at ``target``, switched atomically. A file or directory in its place is refused.

    Both paths may begin with ``~/``, the home of the user the agent runs as.
    """

    path: str
    target: str = ""

    def check(self, host: Reader) -> list[Change]:
        path, target = expand(host, self.path), expand(host, self.target)
        found = host.stat(path)
        if found is None:
            return [Change("link", "absent", target)]
        if found.kind != "symlink":
            raise Refused(f"{path} is a {found.kind}, not a link", fix="move it out of the way, then deploy")
        return [] if found.target == target else [Change("target", found.target, target)]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        path = expand(host, self.path)
        parent = path.rpartition("/")[0]
        if host.stat(parent) is None:
            host.mkdir(parent)
        host.symlink(path, expand(host, self.target))

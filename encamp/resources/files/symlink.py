"""A symbolic link to a given target."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.files.paths import expand
from encamp.resources.system import Reader, System


@kind
class Symlink(Resource):
    """A symbolic link that points at ``target``, switched atomically. A file or directory at ``path`` is refused.

    Both paths may begin with ``~/``, the home of the user the agent runs as.
    """

    path: str
    target: str = ""

    def check(self, host: Reader) -> list[Change]:
        path, target = expand(host, self.path), expand(host, self.target)
        stat = host.stat(path)
        if stat is None:
            return [Change("link", "absent", target)]
        if stat.kind != "symlink":
            raise Refused(f"{path} is a {stat.kind}, not a link", fix="move it away, then deploy again")
        return [] if stat.target == target else [Change("target", stat.target, target)]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        path = expand(host, self.path)
        parent = path.rpartition("/")[0]
        if host.stat(parent) is None:
            host.mkdir(parent)
        host.symlink(path, expand(host, self.target))

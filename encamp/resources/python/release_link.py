"""The link to the environment in use, and the removal of old environments."""

from __future__ import annotations

import re
from typing import Sequence

from encamp.resources.base import Change, Failure, Refused, Resource, kind
from encamp.resources.files.paths import expand
from encamp.resources.python.environment import MARKER
from encamp.resources.system import Reader, System

SHOWN = 4
#: The name of an environment of encamp's: release, first digits of the lock's hash, and what chose the Python.
NAME = re.compile(r"[0-9.]+-[0-9a-f]{12}(-.*)?")


@kind
class ReleaseLink(Resource):
    """A symlink to the environment in use, switched atomically; old environments beside it are removed.

    path: the link, such as /opt/prefect/default; ``~/`` is the user's home.
    target: the environment, such as /opt/prefect/envs/3.9.1-1f0c9a4b2d3e.
    keep: how many complete environments to keep for rollback, including the one in use. Targets of other links in the
        directory of ``path`` (releases of other instances) always stay and are not counted, and so do environments
        that encamp did not make. A link to one of those is refused.
    """

    path: str
    target: str
    keep: int = 3

    def refuse(self, host: Reader) -> None:
        path, envs = expand(host, self.path), _parent(expand(host, self.target))
        stat = host.stat(path)
        if stat is None:
            return
        if stat.kind != "symlink":
            raise _not_a_link(path, stat.kind)
        if _parent(stat.target) != envs:
            raise Refused(
                f"{path} is a link to {stat.target}, not to a release below {envs}",
                "encamp did not create it",
                "move it away, then deploy again",
            )

    def check(self, host: Reader) -> list[Change]:
        path, target = expand(host, self.path), expand(host, self.target)
        stat = host.stat(path)
        changes = []
        if stat is not None and stat.kind != "symlink":
            raise _not_a_link(path, stat.kind)
        if stat is None or stat.target != target:
            changes.append(Change("release", stat.target if stat else "", target))
        old = self._old(host)
        if old:
            more = f" and {len(old) - SHOWN} more" if len(old) > SHOWN else ""
            changes.append(Change("old environments", ", ".join(old[:SHOWN]) + more, "removed"))
        return changes

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        target = expand(host, self.target)
        if host.stat(f"{target}/{MARKER}") is None:
            raise Failure(f"{target} is not a complete environment", "it was not created yet, or was damaged")
        host.symlink(expand(host, self.path), target)
        for name in self._old(host):
            environment = f"{_parent(target)}/{name}"
            host.remove(f"{environment}/{MARKER}")  # first: an interrupted removal must not look complete
            host.remove(environment)

    def _old(self, host: Reader) -> list[str]:
        """Names of the environments to remove: all but the newest ``keep``, and incomplete ones of encamp's."""
        target = expand(host, self.target)
        envs, current = _parent(target), target.rsplit("/", 1)[1]
        linked = _linked(host, _parent(expand(host, self.path)), envs) - {current}
        finished = {}
        for name in host.listdir(envs):
            if name not in linked and name != current and host.stat(f"{envs}/{name}/pyvenv.cfg"):
                mark = host.stat(f"{envs}/{name}/{MARKER}")
                if mark or NAME.fullmatch(name):
                    finished[name] = mark.mtime if mark else 0.0
        newest = sorted((name for name in finished if finished[name]), key=lambda name: -finished[name])
        kept = newest[: max(self.keep - 1, 0)]
        return sorted(name for name in finished if name not in kept)


def _not_a_link(path: str, kind: str) -> Refused:
    return Refused(
        f"{path} is a {kind}, not a link to a release", "encamp did not create it", "move it away, then deploy again"
    )


def _linked(host: Reader, directory: str, envs: str) -> set[str]:
    """Names in ``envs`` that a link in ``directory`` points to."""
    stats = (host.stat(f"{directory}/{name}") for name in host.listdir(directory))
    return {link.target.rsplit("/", 1)[1] for link in stats if link and _parent(link.target) == envs}


def _parent(path: str) -> str:
    return path.rpartition("/")[0]

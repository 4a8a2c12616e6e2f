"""The link that chooses among the environments beside each other, and the removal of old ones."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.files.paths import expand
from encamp.resources.python.environment import MARKER
from encamp.resources.system import Reader, System

SHOWN = 4


@kind
class ReleaseLink(Resource):
    """A symlink to the environment in use, switched in one step; old environments beside it are removed.

    path: the link, such as /opt/prefect/default; ``~/`` is the user's home.
    target: the environment, such as /opt/prefect/envs/3.9.1-1f0c9a4b2d3e.
    keep: how many complete environments to keep for rollback, the one in use included. What another link in the
        directory of ``path`` points to (another instance's release) stays in any case and is not counted.
    """

    path: str
    target: str
    keep: int = 3

    def check(self, host: Reader) -> list[Change]:
        path, target = expand(host, self.path), expand(host, self.target)
        found = host.stat(path)
        changes = []
        if found is not None and found.kind != "symlink":
            raise Failure(
                f"{path} is a {found.kind}, not a link to a release",
                "encamp did not make it",
                "move it away, then deploy again",
            )
        if found is None or found.target != target:
            changes.append(Change("release", found.target if found else "", target))
        old = self._old(host)
        if old:
            more = f" and {len(old) - SHOWN} more" if len(old) > SHOWN else ""
            changes.append(Change("old environments", ", ".join(old[:SHOWN]) + more, "removed"))
        return changes

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        target = expand(host, self.target)
        if host.stat(f"{target}/{MARKER}") is None:
            raise Failure(f"{target} is not a complete environment", "it was not made yet, or was damaged")
        host.symlink(expand(host, self.path), target)
        for name in self._old(host):
            environment = f"{_parent(target)}/{name}"
            host.remove(f"{environment}/{MARKER}")  # first: a removal that is killed must not look complete
            host.remove(environment)

    def _old(self, host: Reader) -> list[str]:
        """Names of the environments to remove: all but the newest ``keep``, and leftovers of interrupted runs."""
        target = expand(host, self.target)
        envs, current = _parent(target), target.rsplit("/", 1)[1]
        linked = _linked(host, _parent(expand(host, self.path)), envs) - {current}
        finished = {}
        for name in host.listdir(envs):
            if name not in linked and name != current and host.stat(f"{envs}/{name}/pyvenv.cfg"):
                mark = host.stat(f"{envs}/{name}/{MARKER}")
                finished[name] = mark.mtime if mark else 0.0
        newest = sorted((name for name in finished if finished[name]), key=lambda name: -finished[name])
        kept = newest[: max(self.keep - 1, 0)]
        return sorted(name for name in finished if name not in kept)


def _linked(host: Reader, directory: str, envs: str) -> set[str]:
    """Names in ``envs`` that a link in ``directory`` points to."""
    found = (host.stat(f"{directory}/{name}") for name in host.listdir(directory))
    return {link.target.rsplit("/", 1)[1] for link in found if link and _parent(link.target) == envs}


def _parent(path: str) -> str:
    return path.rpartition("/")[0]

"""A virtual environment on top of a locked one, for an account that may install into it."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.system import Reader, System

PTH = "encamp.pth"


@kind
class EnvironmentOverlay(Resource):
    """The packages of the environment at ``base`` are importable in the one at ``path``, which belongs to ``user``.

    Both were made by a PythonEnv, with the same Python. What ``path`` has itself comes first, so that a package which
    ``user`` installs counts; those of ``base`` are seen by pip, and stay as they are.
    """

    path: str
    base: str
    user: str

    def check(self, host: Reader) -> list[Change]:
        changes = []
        place, wanted = self._packages(host, self.path), self._packages(host, self.base)
        if not place or host.read(f"{place}/{PTH}") != f"{wanted}\n".encode():
            changes.append(Change("packages", after=f"those of {self.base} as well"))
        stat = host.stat(place) if place else None
        if stat is None or stat.owner != self.user:
            changes.append(Change("owner", stat.owner if stat else "", self.user))
        return changes

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        place, wanted = self._packages(host, self.path), self._packages(host, self.base)
        if not place or not wanted:
            raise Failure(f"{self.path if not place else self.base} has no packages", fix="deploy again")
        host.write(f"{place}/{PTH}", f"{wanted}\n")
        host.run(["chown", "-hR", f"{self.user}:", self.path])

    @staticmethod
    def _packages(host: Reader, path: str) -> str:
        """Where an environment keeps its packages; empty where there is none."""
        names = [name for name in host.listdir(f"{path}/lib") if name.startswith("python3")]
        return f"{path}/lib/{names[0]}/site-packages" if names else ""

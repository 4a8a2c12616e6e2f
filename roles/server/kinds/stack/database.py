"""A database volume that fits the Postgres of the image."""

from __future__ import annotations

from typing import ClassVar, Sequence

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.docker import api as docker_api
from encamp.resources.docker.volume import mountpoint
from encamp.resources.system import Reader, System


@kind
class StackDatabase(Resource):
    """A database volume that is empty, or of the same major version as the image's Postgres. Never changes anything.

    ``volume`` is its name, ``image`` the image that is to run on it; one that does not state its version (PG_MAJOR) is
    accepted.
    """

    changes_host: ClassVar[bool] = False

    volume: str
    image: str = ""

    def check(self, host: Reader) -> list[Change]:
        place = mountpoint(host, self.volume)
        data = (host.read(f"{place}/PG_VERSION") or b"").decode().strip() if place else ""
        program = self._major(host) if data else ""
        if data and program and data != program:
            raise Refused(
                f"the volume {self.volume} contains a database of Postgres {data}, but {self.image} "
                f"is Postgres {program}",
                "Postgres does not start with the files of another major version",
                f"set postgres_image to an image of Postgres {data}; or dump, remove the volume, deploy and restore",
            )
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("an expectation never changes a host")

    def _major(self, host: Reader) -> str:
        config = (docker_api.inspect(host, "images", self.image) or {}).get("Config") or {}
        variables = dict(str(line).partition("=")[::2] for line in config.get("Env") or ())
        return variables.get("PG_MAJOR", "")

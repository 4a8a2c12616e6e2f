"""The password of the database in a Compose stack: made on the host, and never anywhere else."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.docker.volume import mountpoint
from encamp.resources.files.file import attribute_changes
from encamp.resources.system import Reader, System

MODE = 0o600


@kind
class StackPassword(Resource):
    """A random password in a file, made once on the host, and the same as a libpq password file.

    ``path``: the password alone, as the Postgres image reads it, root's. ``pgpass``: the password file of ``user``, the
    database role, which belongs to ``owner``. ``volume``: the database's; where it holds a database already and the
    password is gone, none is generated: it could not be used to log in.
    """

    path: str
    pgpass: str
    user: str
    owner: str = "root"
    volume: str = ""

    def check(self, host: Reader) -> list[Change]:
        password = self._password(host)
        if not password:
            self._refuse_used(host)
            return [Change("password", "absent", "made")]
        changes = _differs(host, self.path, "root")
        if (host.read(self.pgpass) or b"").decode("utf-8", "replace") != self._line(password):
            changes.append(Change("password file", "differs", "as declared"))
        return changes + _differs(host, self.pgpass, self.owner)

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        import secrets

        password = self._password(host) or secrets.token_hex(20)
        host.write(self.path, password + "\n", "root", "root", MODE)
        host.write(self.pgpass, self._line(password), self.owner, "", MODE)

    def _password(self, host: Reader) -> str:
        return (host.read(self.path) or b"").decode("ascii", "replace").strip()

    def _line(self, password: str) -> str:
        return f"*:*:*:{self.user}:{password}\n"

    def _refuse_used(self, host: Reader) -> None:
        place = mountpoint(host, self.volume)
        if place and host.stat(f"{place}/PG_VERSION"):
            raise Refused(
                f"the volume {self.volume} contains a database, but its password ({self.path}) is missing",
                "the file was removed, or the volume came from another host",
                f"restore the file; or delete the database permanently: docker volume rm {self.volume}",
            )


def _differs(host: Reader, path: str, owner: str) -> list[Change]:
    found = host.stat(path)
    return attribute_changes(found, owner, "", MODE) if found else [Change("file", "absent", path)]

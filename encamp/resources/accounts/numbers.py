"""The uid and gid of an account, for programs that do not know its name."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.accounts.group import account
from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.files.file import File
from encamp.resources.system import Reader, System


@kind
class AccountNumbers(Resource):
    """A file with a user's uid and gid as ENCAMP_UID and ENCAMP_GID: a container knows none of the host's names.

    ``path``: the file, readable by everyone. ``user``: must exist by then.
    """

    path: str
    user: str

    def check(self, host: Reader) -> list[Change]:
        if account(host, "passwd", self.user) is None:
            return [Change("file", "absent", "present")]
        return self._file(host).check(host)

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        self._file(host).apply(host, [Change("content")])

    def _file(self, host: Reader) -> File:
        entry = account(host, "passwd", self.user)
        if entry is None:
            raise Failure(
                f"user {self.user} does not exist on this host", fix="declare the User before its AccountNumbers"
            )
        return File(self.path, f"ENCAMP_UID={entry[2]}\nENCAMP_GID={entry[3]}\n")

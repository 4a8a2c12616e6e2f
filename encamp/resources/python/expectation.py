"""A Python on the host that a release supports, checked before anything changes."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.files.paths import expand, is_series
from encamp.resources.system import Reader, System


@kind
class PythonExpectation(Resource):
    """An interpreter within ``requires`` (such as ``>=3.10,<3.15``). Never changes anything.

    ``python``: its path; empty: any on the host. A series such as 3.11 is installed by uv if the host lacks it.
    ``unless``: a path; if it exists, nothing is checked. ``older``: releases for hosts with older Pythons.
    """

    name: str
    requires: str = ""
    python: str = ""
    unless: str = ""
    older: str = ""

    def check(self, host: Reader) -> list[Change]:
        if not is_series(self.python) and not (self.unless and host.stat(expand(host, self.unless))):
            from encamp.resources.python.interpreters import choose

            try:
                choose(host, expand(host, self.python), self.requires)
            except Refused as refused:
                hint = f" ({self.older})" if self.older else ""
                raise Refused(refused.reason, refused.cause, refused.fix + hint) from None
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("an expectation never changes a host")

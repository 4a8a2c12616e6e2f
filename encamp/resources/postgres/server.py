"""The server programs of Postgres."""

from __future__ import annotations

import re

from encamp.resources.base import Change, kind
from encamp.resources.packages import apt
from encamp.resources.packages.apt import INSTALLED
from encamp.resources.packages.installed import Packages
from encamp.resources.system import Reader

#: A server's package; the package ``postgresql`` only requires the newest one that a source has.
PACKAGE = re.compile(r"postgresql-\d+(\.\d+)?")


@kind
class PostgresServer(Packages):
    """An installed Postgres server of any major version; without one, the distribution's packages.

    Fields as of Packages. A host that has one keeps it: a package source with a newer Postgres adds no second server.
    """

    def check(self, host: Reader) -> list[Change]:
        return [] if host.os_release().family == "debian" and _has_server(host) else super().check(host)


def _has_server(host: Reader) -> bool:
    return any(state == INSTALLED and PACKAGE.fullmatch(name) for name, state in apt.states(host).items())

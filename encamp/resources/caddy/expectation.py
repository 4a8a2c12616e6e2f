"""Requirements of a host before Caddy is configured."""

from __future__ import annotations

from typing import Mapping, Sequence

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.caddy import paths as caddy
from encamp.resources.system import Reader, System
from encamp.shared.record import factory

MARK = "# certificate authority: "
#: The first release of each distribution that has the package.
SINCE = {"debian": 12, "ubuntu": 24}


@kind
class CaddyExpectation(Resource):
    """A host with Caddy or a package of it, whose certificates come from the same authority.

    ``authorities`` maps a certificate's file to the first lines that it may have, which name the authority. A file that
    names another one is refused: clients that trust the old one could no longer connect.
    """

    name: str
    authorities: Mapping[str, Sequence[str]] = factory(dict)

    def check(self, host: Reader) -> list[Change]:
        release = host.os_release()
        since = SINCE.get(release.id, 0)
        if host.stat(caddy.PROGRAM) is None and _number(release.version) < since:
            raise Refused(
                f"{release.pretty} has no Caddy package, which tls: needs",
                f"the distribution has it since release {since}",
                "upgrade the host, or set tls: off, use your own proxy and set its address as public_url",
            )
        for path, wanted in self.authorities.items():
            _check_authority(host, path, wanted)
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("an expectation never changes a host")


def _check_authority(host: Reader, path: str, wanted: Sequence[str]) -> None:
    first = (host.read(path) or b"").partition(b"\n")[0].decode("utf-8", "replace")
    if first.startswith(MARK) and first not in wanted:
        raise Refused(
            f"{path} was issued by another encamp certificate authority, not by this site's",
            "the previous deploy ran on another machine, or the secret tls-ca was removed here; clients that trust "
            "that authority would reject a certificate from this one",
            "copy the site's folder secrets/ from the machine that deployed before; for a new authority, "
            f"remove {path} on the host, deploy, then configure every client again",
        )


def _number(version: str) -> float:
    try:
        return float(version)
    except ValueError:
        return float("inf")

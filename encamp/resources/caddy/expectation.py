"""What a host must offer before Caddy is put in front of anything."""

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
    """A host that has Caddy or whose distribution brings it, and whose certificates come from the same authority.

    ``authorities`` maps a certificate's file to the first lines that it may have, which name the authority. A file that
    names another is refused: every client that trusts the old one would be cut off.
    """

    name: str
    authorities: Mapping[str, Sequence[str]] = factory(dict)

    def check(self, host: Reader) -> list[Change]:
        release = host.os_release()
        since = SINCE.get(release.id, 0)
        if host.stat(caddy.PROGRAM) is None and _number(release.version) < since:
            raise Refused(
                f"{release.pretty} has no package of Caddy, which tls: needs",
                f"the distribution brings it since release {since}",
                "upgrade the host; or set tls: off, with a proxy of your own in front and its address as public_url",
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
            f"{path} was issued by another certificate authority of encamp than this site's",
            "the deploy before came from another machine, or the secret tls-ca was removed here; clients that trust "
            "that authority would refuse a certificate of this one",
            "copy the site's folder secrets/ from the machine that deployed before; if a new authority is meant, "
            f"remove {path} on the host, deploy, then configure every client again",
        )


def _number(version: str) -> float:
    try:
        return float(version)
    except ValueError:
        return float("inf")

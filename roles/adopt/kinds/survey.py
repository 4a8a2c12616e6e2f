"""Reports the servers that encamp did not set up, for ``fab adopt``."""

from __future__ import annotations

import base64
import json
from typing import Any, ClassVar, Mapping, Sequence

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.system import Reader, System
from encamp.shared.secret import Secret
from roles.adopt.kinds.database_place import place_of
from roles.adopt.kinds.found import FoundServer, found_servers
from roles.adopt.kinds.obstacles import obstacle_of, stop_command
from roles.adopt.kinds.secrecy import without_login

_BLOCK = 1024


@kind
class Survey(Resource):
    """Every server on the host that encamp did not set up, as one finding each; the host is not changed.

    ``pad``: random hexadecimal digits, never used before, that nothing else has. The servers' settings, which hold
    secrets, come back covered by it: what passes through events and records is useless without the pad.
    """

    changes_host: ClassVar[bool] = False

    name: str
    pad: Secret

    def check(self, host: Reader) -> list[Change]:
        found = found_servers(host)
        for server in found:
            host.finding({"text": str(server), "server": json.dumps(_described(host, server))})
        secrets = {server.name: _secrets(server) for server in found}
        host.finding({"text": f"{len(found)} servers", "sealed": sealed(json.dumps(secrets), self.pad)})
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("a survey never changes a host")


def sealed(text: str, pad: Secret) -> str:
    """``text`` covered by a one-time pad, in base64; its length is rounded up. Raises Failure for a pad too short."""
    data, key = text.encode(), bytes.fromhex(pad.reveal())
    data += b" " * (-len(data) % _BLOCK)
    if len(data) > len(key):
        raise Failure("the settings of the servers found are too long to be sent", fix="adopt one server at a time")
    return base64.b64encode(bytes(a ^ b for a, b in zip(data, key))).decode()


def _described(host: Reader, server: FoundServer) -> Mapping[str, Any]:
    """What may be shown of a server."""
    answer, obstacle = server.answer, obstacle_of(host, server)
    known = {
        "name": server.name,
        "kind": server.kind,
        "keeper": server.process.keeper.name,
        "user": server.process.user,
        "path": server.path,
        "running": server.running,
        "bind": server.bind,
        "port": server.port,
        "project": server.project,
        "problem": server.problem,
        "database": server.database,
        "drop_ins": list(server.drop_ins),
        "stop": stop_command(host, server),
        "obstacle": obstacle.reason if obstacle else "",
        "remedy": obstacle.fix if obstacle else "",
        "runners": [[each.job, each.keeper, each.kind, each.pool, each.api_url] for each in server.runners],
    }
    if answer is None:
        return known
    return {
        **known,
        "release": answer.release,
        "python": answer.python,
        "home": answer.home,
        "sqlite": answer.sqlite,
        "place": place_of(host, server),
        "counts": dict(answer.counts),
        "api_url": without_login(answer.api_url),
        "ui_api_url": without_login(answer.ui_api_url),
        "has_auth": answer.auth is not None,
        "given": sorted(answer.given),
        "unread": answer.problem,
    }


def _secrets(server: FoundServer) -> Mapping[str, Any]:
    answer = server.answer
    if answer is None:
        return {}
    given = {name: value.reveal() for name, value in answer.given.items()}
    auth = answer.auth.reveal() if answer.auth else ""
    return {"database_url": answer.database_url.reveal(), "auth": auth, "given": given}

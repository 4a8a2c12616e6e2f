"""A hand-made server as the controller knows it, from the findings of a survey."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from encamp.shared.record import record, replace
from encamp.shared.secret import Secret


@record
class Discovery:
    """A server that encamp did not set up.

    ``keeper`` is what keeps it running: a unit's or a container's name, or a program such as tmux.
    ``place``: file, container or url, as ``roles.adopt.kinds.database_place`` tells them apart; empty without an
    answer of its installation, for which ``problem`` is the reason. ``unread``: why its database could not be read.
    ``runners``: (job, keeper, kind, pool, API URL) of workers, agents and separate services. ``given``: its PREFECT_*
    settings. ``stop``: the command that stops it. ``obstacle``: why encamp cannot continue it, if so; ``remedy``: what
    its owner can do.
    """

    name: str
    kind: str
    keeper: str
    user: str
    path: str
    running: bool
    bind: str
    port: int
    project: str
    problem: str
    database: str
    drop_ins: Sequence[str]
    runners: Sequence[Sequence[str]]
    stop: str = ""
    obstacle: str = ""
    remedy: str = ""
    release: str = ""
    python: str = ""
    home: str = ""
    sqlite: str = ""
    place: str = ""
    counts: Mapping[str, int] = {}
    api_url: str = ""
    ui_api_url: str = ""
    has_auth: bool = False
    unread: str = ""
    database_url: Secret | None = None
    auth: Secret | None = None
    given: Mapping[str, Secret] = {}


def discoveries(servers: Sequence[str], sealed: str, pad: Secret) -> list[Discovery]:
    """The servers that a survey reported, with the settings that ``pad`` uncovers."""
    hidden = json.loads(_uncovered(sealed, pad)) if sealed else {}
    return [_discovery(json.loads(text), hidden) for text in servers]


def _uncovered(sealed: str, pad: Secret) -> str:
    data, key = base64.b64decode(sealed), bytes.fromhex(pad.reveal())
    return bytes(a ^ b for a, b in zip(data, key, strict=False)).decode()


def _discovery(shown: dict[str, Any], hidden: Mapping[str, Mapping[str, Any]]) -> Discovery:
    shown.pop("given", None)
    found, secrets = Discovery(**shown), hidden.get(str(shown["name"]), {})
    if not secrets:
        return found
    return replace(
        found,
        database_url=Secret(secrets["database_url"]),
        auth=Secret(secrets["auth"]) if secrets["auth"] else None,
        given={name: Secret(value) for name, value in secrets["given"].items()},
    )

"""An attempt to connect from this machine, which an agent asks for: it sees what arrives on its host."""

from __future__ import annotations

import json
from collections.abc import Collection

from encamp.support import reaching
from encamp.support.reaching import Attempt


def answer(address: str, port: int, doors: Collection[tuple[str, int]]) -> bytes:
    """How it ended, as JSON. Only to one of ``doors``: a host must not make this machine connect elsewhere."""
    unasked = Attempt("failed", "this machine was not asked to connect there")
    found = reaching.attempt(address, port) if (address, port) in doors else unasked
    return json.dumps({"result": found.result, "text": found.text}).encode()

"""How an attempt to connect ends, in the same words wherever one is made."""

from __future__ import annotations

import json
import socket

import pytest

from encamp.cloud.reach import ReachableFromHere
from encamp.cloud.step import Undecided
from encamp.support.reaching import attempt
from encamp.transport import knock


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def test_each_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = port_of(listener)
        assert (attempt("127.0.0.1", port).result, attempt("127.0.0.1", port).text) == ("open", "")
    assert attempt("127.0.0.1", port).result == "refused"
    unknown = attempt("nosuch.invalid", 1)
    assert unknown.result == "failed" and unknown.text.startswith("its name has no address there")


def test_a_proof_and_a_knock_say_the_same() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = port_of(listener)
        assert ReachableFromHere("x", "127.0.0.1", port, "vm1").check(None) == []  # type: ignore[arg-type]
    said = json.loads(knock.answer("127.0.0.1", port, [("127.0.0.1", port)]))
    assert said == {"result": "refused", "text": "connection refused"}
    with pytest.raises(Undecided, match=f"127.0.0.1:{port} does not answer this machine: {said['text']}"):
        ReachableFromHere("x", "127.0.0.1", port, "vm1").check(None)  # type: ignore[arg-type]
    assert "not asked to connect there" in json.loads(knock.answer("127.0.0.1", port, []))["text"]

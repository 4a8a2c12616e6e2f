"""Fabric's configuration is shared by all hosts of a run, and they connect at once."""

from __future__ import annotations

import socket

import fabric
import pytest

from encamp.connection import Address, connect
from encamp.errors import Unreachable


def test_a_connection_does_not_write_into_the_configuration_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be empty for other threads while fabric merges what was written."""
    config = fabric.Config()
    merged: list[object] = []
    merge = fabric.Config.merge
    monkeypatch.setattr(fabric.Config, "merge", lambda self: (merged.append(self), merge(self)))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, and nothing listens
        address = Address("h", "127.0.0.1", closed.getsockname()[1], "u", tries=1)
        with pytest.raises(Unreachable):
            connect(address, config)
    assert merged, "fabric does not write into configurations any more: no clone is needed"
    assert not any(one is config for one in merged)

"""A Secret shows itself to nobody."""

from __future__ import annotations

import json
import pickle

import pytest

from encamp.shared.secret import Redactor, Secret
from encamp.shared.wire import from_wire, to_wire


def test_no_way_of_printing_shows_it() -> None:
    secret = Secret("hunter2")
    shown = [str(secret), repr(secret), f"{secret}", f"{secret:>20}", "%s" % secret, repr([secret])]  # noqa: UP031
    assert "hunter2" not in " ".join(shown)
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_it_travels_as_itself() -> None:
    assert from_wire(json.loads(json.dumps(to_wire({"a": [Secret("x")]})))) == {"a": (Secret("x"),)}


def test_the_redactor_replaces_longer_values_first() -> None:
    assert Redactor([Secret("ab"), Secret("abc"), Secret("")])("abcd ab") == "***d ***"

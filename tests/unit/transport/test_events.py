"""The types of events, and their description for programs."""

from __future__ import annotations

import re
import typing

import pytest

from encamp.transport import events
from tests.checkout import CHECKOUT

DESCRIBED = (CHECKOUT / "docs/json-events.md").read_text("utf-8")
EVENTS = [*typing.get_args(events.HostEvent), *typing.get_args(events.RunLevelEvent)]
#: Fields of every event, and of all events about a host.
COMMON = {"event", "time", "host"}


def kind(event: type) -> str:
    """The value of its field ``event``."""
    (word,) = typing.get_args(typing.get_type_hints(event)["event"])
    return str(word)


def names(text: str) -> set[str]:
    """The words between backticks."""
    return {word for quoted in re.findall(r"`([^`]+)`", text) for word in re.findall(r"\w+", quoted)}


@pytest.mark.parametrize("event", EVENTS, ids=kind)
def test_every_event_and_field_is_described(event: type) -> None:
    row = re.search(rf"^\| `{kind(event)}` \|(.*)\|$", DESCRIBED, re.MULTILINE)
    assert row, f"docs/json-events.md has no row for {kind(event)}"
    of_host = names(DESCRIBED.partition("A host in `recap`:")[2])
    described = names(row[1]) | (of_host if kind(event) == "ended" else set())
    assert set(typing.get_type_hints(event)) - COMMON <= described


def test_every_described_event_has_a_type() -> None:
    table = DESCRIBED.partition("| event | fields |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == {kind(event) for event in EVENTS}

"""What a resource remembers while one agent run lasts.

The loop builds each resource once and calls check, apply and check on that same object, so the object itself is the one
place that is neither shared between runs nor lost between those calls (``host.once`` forgets on every change, and a
module-level store would be ambient state). Resources are frozen; the note book is not a field, so neither equality nor
the wire sees it.
"""

from __future__ import annotations

from typing import Any

from encamp.resources.base import Resource
from encamp.resources.system import Reader

ATTRIBUTE = "_remembered"


def memory_of(resource: Resource) -> dict[str, Any]:
    """The note book of this object: empty at first, gone with the object."""
    if ATTRIBUTE not in vars(resource):
        object.__setattr__(resource, ATTRIBUTE, {})
    book: dict[str, Any] = vars(resource)[ATTRIBUTE]
    return book


def note_once(resource: Resource, host: Reader, text: str) -> None:
    """Tell the operator ``text`` the first time only: check runs again after apply."""
    noted: set[str] = memory_of(resource).setdefault("noted", set())
    if text not in noted:
        noted.add(text)
        host.note(text)

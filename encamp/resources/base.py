"""What a resource is.

A kind is a class of fields in a file of its own, decorated with :func:`kind`. Its first field names it on the host
(its identity). ``check`` gets a :class:`Reader`, which has no method that writes, and returns what differs. ``apply``
gets a :class:`System` and makes exactly those changes. ``refuse`` finds what is the owner's and would be replaced. The
loop in ``encamp.agent`` owns check mode, diffs, redaction, handlers and the second check.

Shipped to hosts: Python 3.9 syntax, standard library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, ClassVar, Sequence, TypeVar

from encamp.resources.system import Reader, Result, System
from encamp.shared.record import record, values, with_fields

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**options: bool) -> Callable[[Any], Any]:
        return lambda function: function


K = TypeVar("K")


@record
class Change:
    """One difference between a host and its declaration.

    ``what`` names the aspect ("mode", "content"); ``before`` and ``after`` are short texts for the operator. ``diff``
    is a unified diff if one was requested. Never put a secret into any of them.
    """

    what: str
    before: str = ""
    after: str = ""
    diff: str = ""

    def __str__(self) -> str:
        if self.before and self.after:
            return f"{self.what}: {self.before} -> {self.after}"
        return f"{self.what}: {self.after or self.before}" if self.after or self.before else self.what


class Failure(Exception):
    """A step failed on the host.

    ``reason``: what happened. ``cause``: the cause, where it was checked or is likely. ``fix``: what to do. ``detail``:
    the last lines of output.
    """

    def __init__(self, reason: str, cause: str = "", fix: str = "", detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.cause, self.fix, self.detail = reason, cause, fix, detail


class Refused(Failure):
    """The host cannot become what is declared, and encamp does not try."""


class CommandFailed(Failure):
    """A command that must succeed exited with an error."""

    def __init__(self, result: Result, cause: str = "", fix: str = "") -> None:
        super().__init__(f"`{' '.join(result.argv)}` exited {result.code}", cause, fix, result.tail)
        self.result = result


@dataclass_transform(frozen_default=True)
def kind(cls: type[K]) -> type[K]:
    """Turn a class with annotated fields into a kind: a record with the equality and ``repr`` of :class:`Resource`."""
    with_fields(cls)
    return cls


class Resource:
    """Base of all kinds. Subclasses are decorated with :func:`kind`; the first field is the identity."""

    #: False for kinds that wait for something or verify it: they never count as a change.
    changes_host: ClassVar[bool] = True
    #: True for kinds whose check mostly waits (for a child process, for a server): it may run before its turn, in a
    #: thread, and again in its turn, on another object.
    waits: ClassVar[bool] = False
    #: Pure Python packages outside encamp whose sources are sent with the kind.
    ships: ClassVar[tuple[str, ...]] = ()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and values(self) == values(other)

    def __hash__(self) -> int:
        return hash((type(self), self.identity))

    def __repr__(self) -> str:
        return f"{type(self).__name__}{values(self)}"

    @property
    def doors(self) -> Sequence[tuple[str, int]]:
        """Addresses and ports that ``check`` may ask the controller to connect to (``Reader.knock``)."""
        return ()

    @property
    def identity(self) -> str:
        """What this resource is on the host: the value of the first field."""
        return str(getattr(self, next(iter(self.__record_fields__))))  # type: ignore[attr-defined]

    @property
    def id(self) -> str:
        """Unique name within a host's plan, such as ``File:/etc/prefect/default/server.env``."""
        return f"{type(self).__name__}:{self.identity}"

    def refuse(self, host: Reader) -> None:
        """Raise Refused where ``apply`` would replace something that encamp did not make.

        Called for all steps of a run before its first change, so it costs a run without changes nothing.
        """

    def check(self, host: Reader) -> list[Change]:
        """The differences from the declaration; empty when there are none. Raises Failure or Refused."""
        raise NotImplementedError

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        """Make exactly ``changes``. Raises Failure."""
        raise NotImplementedError


@record
class Mark:
    """When a handler was notified: the boot, and CLOCK_MONOTONIC seconds within it."""

    boot: str
    monotonic: float


class HandlerResource(Resource):
    """A kind that acts when notified, unless ``needed`` finds that it already happened (the unit started since)."""

    def needed(self, host: Reader, mark: Mark) -> bool:
        """Whether the action is still needed for a notification made at ``mark``."""
        return True

    def check(self, host: Reader) -> list[Change]:
        return []


def unified(before: str, after: str, path: str) -> str:
    """A unified diff of two texts of ``path``, with what may be a secret in them concealed: a file may hold what was
    declared once, or is its owner's."""
    import difflib

    from encamp.shared.secret_names import concealed

    old, new = (concealed(text).splitlines() for text in (before, after))
    lines = difflib.unified_diff(old, new, f"{path} (now)", f"{path} (new)", lineterm="")
    return "\n".join(lines)


def octal(mode: int) -> str:
    """A mode in octal digits: 0644."""
    return f"{mode:04o}"

"""The events of a run, one type a kind; docs/json-events.md describes them.

They are what an agent sends and what ``--json`` writes: mappings, told apart by ``event``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, Union

#: How a step ended.
StepStatus = Literal["ok", "changed", "unknown", "failed"]
#: How a host ended. ``moved on``: it has drifted from a saved plan.
Status = Literal["ok", "failed", "unreachable", "locked", "moved on", "interrupted", "not reached"]


class ChangeData(TypedDict):
    """One thing that a step changed, or would change."""

    what: str
    before: str
    after: str
    diff: str


class FailureData(TypedDict, total=False):
    """Why something failed."""

    step: str
    reason: str
    cause: str
    fix: str
    detail: str


class WarningEvent(TypedDict):
    """Something found about a host before it was touched."""

    event: Literal["warning"]
    text: str


class ConnectEvent(TypedDict):
    """A host is started: its stages, and how many steps they have."""

    event: Literal["connect"]
    stages: Sequence[str]
    steps: int


class StartEvent(TypedDict):
    """A step is started. ``number`` counts from 0; -1: a handler."""

    event: Literal["start"]
    step: str
    number: int


class ProgressEvent(TypedDict):
    """What a long step is doing."""

    event: Literal["progress"]
    text: str


class MeasureEvent(TypedDict):
    """How far a long step is; ``total`` 0: unknown, ``text`` empty: bytes sent to the host."""

    event: Literal["measure"]
    text: str
    done: float
    total: float


class _StepFields(TypedDict):
    event: Literal["step"]
    step: str
    status: StepStatus
    seconds: float
    changes: Sequence[ChangeData]


class StepEvent(_StepFields, total=False):
    """A step has ended. With ``failed``: why; of a saved plan: ``found``, the keyed hash of what was found."""

    reason: str
    cause: str
    fix: str
    detail: str
    found: str


class NoteEvent(TypedDict):
    """A text that people should read."""

    event: Literal["note"]
    text: str


class _FindingFields(TypedDict):
    event: Literal["finding"]
    text: str


class FindingEvent(_FindingFields, total=False):
    """A result of ``fab doctor``, ``fab adopt`` or ``fab backups``.

    ``verdict``: a new examination begins; ``fixed``: what was repaired. ``server``: a server that was found, as JSON;
    ``sealed``: settings of the servers found, covered by a pad that only the controller has. ``backups``: those of a
    database, as JSON.
    """

    name: str
    status: str
    cause: str
    fix: str
    remedy: str
    detail: str
    patient: str
    verdict: str
    fixed: str
    server: str
    sealed: str
    backups: str


class LogEvent(TypedDict):
    """Lines of a host's logs, each (seconds since 1970, unit, level, text).

    ``position``: where to go on after them; empty where more of the same look follow.
    """

    event: Literal["log"]
    lines: Sequence[tuple[float, str, str, str]]
    position: Mapping[str, str]


class _DoneFields(TypedDict):
    event: Literal["done"]
    outcome: Status


class DoneEvent(_DoneFields, total=False):
    """The agent has finished. ``holder``: who has the host's lock."""

    counts: Mapping[str, int]
    seconds: float
    failure: FailureData
    holder: Mapping[str, Any]


class CrashEvent(TypedDict):
    """A bug in the agent."""

    event: Literal["crash"]
    reason: str
    detail: str


class NeedEvent(TypedDict):
    """The agent asks for a blob. Answered, and not passed on."""

    event: Literal["need"]
    sha256: str


class ImportEvent(TypedDict):
    """The agent asks for the source of a module. Answered, and not passed on."""

    event: Literal["import"]
    module: str


class KnockEvent(TypedDict):
    """The agent asks for an attempt to connect. Answered, and not passed on."""

    event: Literal["knock"]
    address: str
    port: int


class AliveEvent(TypedDict):
    """A heartbeat. Answered, and not passed on."""

    event: Literal["alive"]


class RunEvent(TypedDict):
    """The first event: what is run, on which hosts."""

    event: Literal["run"]
    format: int
    encamp: str
    time: float
    command: str
    inventory: str
    hosts: Sequence[str]
    check: bool


class HostResult(TypedDict):
    """How a host ended, and what that cost."""

    status: Status
    counts: Mapping[str, int]
    seconds: float
    execs: int
    bytes_sent: int
    bytes_received: int
    left: Sequence[str]
    failure: FailureData
    notes: Sequence[str]


class EndedEvent(HostResult):
    """A host, or a stage of it, has finished."""

    host: str
    time: float
    event: Literal["ended"]


class ErrorEvent(TypedDict):
    """What stopped the run as a whole. ``where``: file and line."""

    event: Literal["error"]
    time: float
    reason: str
    cause: str
    fix: str
    where: str


class SlowStep(TypedDict):
    """One of the steps that took longest."""

    host: str
    step: str
    seconds: float


class NamedHostResult(HostResult):
    """The result of a host in the recap."""

    host: str


class RecapEvent(TypedDict):
    """The last event: how the run ended."""

    event: Literal["recap"]
    time: float
    exit_code: int
    seconds: float
    lost_events: int
    slowest: Sequence[SlowStep]
    hosts: Sequence[NamedHostResult]


#: What listeners receive about a host while it is at work.
HostEvent = Union[
    WarningEvent,
    ConnectEvent,
    StartEvent,
    ProgressEvent,
    MeasureEvent,
    StepEvent,
    NoteEvent,
    FindingEvent,
    LogEvent,
    DoneEvent,
    CrashEvent,
]
#: What an agent sends.
AgentEvent = Union[HostEvent, NeedEvent, ImportEvent, KnockEvent, AliveEvent]
#: What the events of a run are besides those of hosts.
RunLevelEvent = Union[RunEvent, EndedEvent, ErrorEvent, RecapEvent]

"""From roles to what one host is sent. Everything wrong with the declarations is found here, with no host touched."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Union

from encamp.cloud.step import ControllerResource
from encamp.errors import EncampError, PlanError
from encamp.resources.base import HandlerResource, Resource
from encamp.resources.system import Content
from encamp.shared.record import record, replace
from encamp.shared.secret import Secret
from encamp.shared.wire import INLINE_LIMIT, BlobStore, LargeFile, kind_path, to_wire


@record
class Step:
    """A resource in its place in a plan.

    ``notify``: handlers that run when it changed. ``when_changed``: the step runs only when something of its
    instance changed before it, in this run or in an interrupted earlier one. ``instance``: the one that it is for;
    empty: all of them.
    """

    resource: Resource
    notify: tuple[HandlerResource, ...] = ()
    when_changed: bool = False
    instance: str = ""


@record
class Flush:
    """Handlers due so far run here, so that what follows sees their effect."""


FLUSH = Flush()
Item = Union[Resource, Step, Flush]


def for_instance(instance: str, item: Item) -> Item:
    """``item`` as one of an instance; empty: of the host."""
    if isinstance(item, Flush):
        return item
    return replace(item, instance=instance) if isinstance(item, Step) else Step(item, instance=instance)


@record
class HostPlan:
    """The declared state of one host, step by step. ``labels`` are the ids of its steps.

    ``saved`` is what the agent receives of a saved plan (see ``saved_plan``), where one is made or applied.
    """

    host: str
    items: tuple[Step | Flush, ...]
    saved: Mapping[str, Any] | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps without the control items between them."""
        return tuple(item for item in self.items if isinstance(item, Step))

    def part(self, here: bool) -> HostPlan:
        """The steps that the controller carries out itself (``here``), or those of the host."""
        items = [item for item in self.items if here == _is_here(item)]
        return replace(self, items=tuple(items), saved=_saved_part(self.saved, self, here))

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(step.resource.id for step in self.steps)

    @property
    def doors(self) -> frozenset[tuple[str, int]]:
        """Where steps may let the controller connect."""
        return frozenset(door for step in self.steps for door in step.resource.doors)

    @property
    def handlers(self) -> tuple[HandlerResource, ...]:
        """Every handler that a step notifies, once."""
        return tuple({handler.id: handler for step in self.steps for handler in step.notify}.values())


def _is_here(item: Step | Flush) -> bool:
    return isinstance(item, Step) and isinstance(item.resource, ControllerResource)


def _saved_part(saved: Mapping[str, Any] | None, plan: HostPlan, here: bool) -> Mapping[str, Any] | None:
    """What a saved plan expects of the steps here, or of all others."""
    if saved is None or "expected" not in saved:
        return saved
    ours = {step.resource.id for step in plan.steps if _is_here(step)}
    return {
        **saved,
        "expected": {label: found for label, found in saved["expected"].items() if here == (label in ours)},
    }


def build(host: str, items: Iterable[Item]) -> HostPlan:
    """Order and validate what the roles declared for ``host``. Equal declarations merge.

    Raises PlanError when two roles declare the same thing differently, or a kind cannot be what it was declared.
    """
    try:
        return _placed(host, items)
    except EncampError:
        raise
    except ValueError as error:
        raise PlanError(f"{host}: {error}", "correct the setting that it comes from") from None


def _placed(host: str, items: Iterable[Item]) -> HostPlan:
    places: dict[str, int] = {}
    order: list[Step | Flush] = []
    for item in items:
        if isinstance(item, Flush):
            order.append(item)
            continue
        step = item if isinstance(item, Step) else Step(item)
        place = places.setdefault(step.resource.id, len(order))
        if place == len(order):
            order.append(step)
        else:
            order[place] = _merged(host, order[place], step)
    return HostPlan(host, tuple(order))


def _merged(host: str, earlier: Step | Flush, later: Step) -> Step:
    """One step for a resource that two roles declare alike: it notifies what either wants."""
    assert isinstance(earlier, Step)
    if (earlier.resource, earlier.when_changed) != (later.resource, later.when_changed):
        raise PlanError(f"{host}: {later.resource.id} is declared twice, with different values")
    notify = tuple(dict.fromkeys([*earlier.notify, *later.notify]))
    return replace(earlier, notify=notify, instance=earlier.instance if earlier.instance == later.instance else "")


def step_wire(item: Step | Flush, store: BlobStore) -> dict[str, Any]:
    """A step, or a control item between steps, as JSON data."""
    if isinstance(item, Flush):
        return {"control": "flush"}
    wire: dict[str, Any] = {"id": item.resource.id, "resource": resource_wire(item.resource, store)}
    if item.notify:
        wire["notify"] = [handler.id for handler in item.notify]
    if item.when_changed:
        wire["when_changed"] = True
    elif item.resource.waits:
        wire["ahead"] = True
    if item.instance:
        wire["part"] = item.instance
    return wire


def resource_wire(resource: Resource, store: BlobStore) -> dict[str, Any]:
    """A resource as JSON data, with content above the inline limit replaced by its hash."""
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(resource):  # type: ignore[arg-type]
        value = getattr(resource, field.name)
        if isinstance(value, bytes):
            value = store.put(value)
        elif isinstance(value, LargeFile):
            value = store.put_file(value)
        elif field.type in ("Content", Content):
            value = _stored(value, store)
        if field.default is dataclasses.MISSING or value != field.default:
            fields[field.name] = to_wire(value)
    return {"kind": kind_path(type(resource)), "fields": fields}


def _stored(content: Content, store: BlobStore) -> Content:
    text = content.reveal() if isinstance(content, Secret) else content
    if isinstance(text, str) and len(text) > INLINE_LIMIT:
        return store.put(text.encode(), secret=isinstance(content, Secret))
    return content


def third_party(plan: HostPlan) -> Sequence[str]:
    """Packages outside encamp whose sources the plan's kinds need on the host."""
    return sorted({package for step in plan.steps for package in step.resource.ships})

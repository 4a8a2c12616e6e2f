"""Records against real frozen dataclasses of the same fields."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any, ClassVar

import pytest

from encamp.shared.record import factory, record, replace


@record
class Point:
    """A place."""

    x: int
    y: int = 2
    tags: dict[str, str] = factory(dict)

    unit: ClassVar[str] = "m"


@record
class Named(Point):
    name: str = dataclasses.field(default="p", metadata={"help": "its name"})


@dataclasses.dataclass(frozen=True)
class Twin:
    x: int
    y: int = 2
    tags: dict[str, str] = dataclasses.field(default_factory=dict)
    name: str = dataclasses.field(default="p", metadata={"help": "its name"})


@pytest.mark.parametrize(
    ("given", "named"), [((1,), {}), ((1, 3), {"name": "q"}), ((), {"x": 1, "tags": {"a": "b"}}), ((1, 2, {}, "z"), {})]
)
def test_the_same_values_as_a_dataclass(given: tuple[Any, ...], named: dict[str, Any]) -> None:
    ours, theirs = Named(*given, **named), Twin(*given, **named)
    assert dataclasses.asdict(ours) == dataclasses.asdict(theirs)
    assert repr(ours) == repr(theirs).replace("Twin", "Named")
    assert ours == Named(*given, **named) and ours != theirs


@pytest.mark.parametrize(
    ("given", "named"), [((), {}), ((1, 2, {}, "n", 5), {}), ((1,), {"x": 2}), ((1,), {"colour": "red"})]
)
def test_arguments_that_a_dataclass_refuses(given: tuple[Any, ...], named: dict[str, Any]) -> None:
    for cls in (Named, Twin):
        with pytest.raises(TypeError):
            cls(*given, **named)


def test_dataclasses_reads_a_record_s_fields() -> None:
    for ours, theirs in zip(dataclasses.fields(Named), dataclasses.fields(Twin)):
        assert (ours.name, ours.type, ours.default, ours.metadata) == (
            theirs.name,
            theirs.type,
            theirs.default,
            theirs.metadata,
        )
        assert (ours.default_factory is dataclasses.MISSING) == (theirs.default_factory is dataclasses.MISSING)
    assert dataclasses.is_dataclass(Named)


def test_a_copy_with_other_values() -> None:
    point = Named(1)
    assert replace(point, y=5) == dataclasses.replace(point, y=5) == Named(1, 5)
    assert point.y == 2 and point.tags is not Named(1).tags


def test_equal_records_hash_alike() -> None:
    assert hash(Named(1, tags=())) == hash(Named(1, tags=()))  # type: ignore[arg-type]
    assert len({Named(1, tags=()), Named(2, tags=())}) == 2  # type: ignore[arg-type]


def test_defining_records_needs_neither_dataclasses_nor_inspect() -> None:
    code = (
        "import sys\n"
        "from encamp.shared.record import record\n"
        "@record\nclass A:\n    __annotations__ = {'x': 'int'}\n"
        "assert A(1).x == 1\n"
        "print({'dataclasses', 'inspect'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=".", capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"

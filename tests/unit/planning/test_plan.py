"""Plans: order, duplicates, handlers, and what travels."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import encamp
from encamp.errors import PlanError
from encamp.planning import plan
from encamp.planning.job import Job, RunIdentity
from encamp.planning.plan import FLUSH, Step
from encamp.resources.files.file import File
from encamp.resources.systemd.restart import Restart
from encamp.shared.secret import Secret
from encamp.shared.wire import BlobStore, from_wire
from encamp.transport import bundle


def test_equal_declarations_merge_and_the_first_place_counts() -> None:
    built = plan.build("h", [File("/a"), File("/b"), FLUSH, File("/a")])
    assert built.labels == ("File:/a", "File:/b")


def test_contradicting_declarations_are_refused_with_host_and_id() -> None:
    with pytest.raises(PlanError, match="h: File:/a is declared twice"):
        plan.build("h", [File("/a", "x"), File("/a", "y")])


def test_a_job_carries_handlers_by_id_and_leaves_defaults_out() -> None:
    step = Step(File("/a", mode=0o600), notify=(Restart("x.service"),))
    job = Job(plan.build("h", [step]), RunIdentity("x", "test")).wire(BlobStore())
    assert job["handlers"]["Restart:x.service"]["fields"] == {"unit": "x.service"}
    assert job["steps"][0]["resource"]["fields"] == {"path": "/a", "mode": 0o600}
    assert job["steps"][0]["notify"] == ["Restart:x.service"]


def test_long_content_is_replaced_by_its_hash_and_kept_for_the_asking() -> None:
    store = BlobStore()
    wire = plan.resource_wire(File("/a", Secret("s" * 5000)), store)
    arrived = from_wire(wire)
    assert "sss" not in repr(wire)
    assert arrived.content.secret and store.get(arrived.content.sha256) == b"s" * 5000


def test_a_resource_arrives_as_it_left() -> None:
    file = File("/a", Secret("p%40\n"), "o", "g", 0o400, ("visudo", "-c", "{}"))
    assert from_wire(plan.resource_wire(file, BlobStore())) == file


def test_the_bundle_holds_what_the_job_needs_and_no_more() -> None:
    found = bundle.sources(["encamp.resources.files.file"], [])
    assert {"encamp", "encamp.agent.main", "encamp.resources.files.file", "encamp.shared.wire"} <= set(found)
    assert not any("service" in name or "inventory" in name for name in found)


def test_third_party_packages_travel_whole_where_a_kind_needs_them() -> None:
    found = bundle.sources([], ["tomlkit"])
    assert found["tomlkit"][0] and "tomlkit.parser" in found


def test_stripped_sources_mean_the_same_on_the_same_lines() -> None:
    root = Path(encamp.__file__).parent.parent
    for path in [*root.glob("encamp/**/*.py"), *root.glob("roles/**/kinds/**/*.py")]:
        text = path.read_text()
        plain = ast.parse(bundle.stripped(text))
        assert _shape(plain) == _shape(ast.parse(text)), path
        assert text.count("\n") == bundle.stripped(text).count("\n"), path


def _shape(tree: ast.Module) -> list[tuple[object, ...]]:
    """Every node but docstrings, with its line."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0].value = ast.Constant("")
    return [
        (type(node), getattr(node, "lineno", 0), getattr(node, "value", 0) if isinstance(node, ast.Constant) else 0)
        for node in ast.walk(tree)
    ]


def test_what_a_function_imports_travels_on_demand_only() -> None:
    assert "encamp.resources.python.simple_index" not in bundle.sources(["encamp.resources.python.uv.tool"])
    assert {"encamp.resources.python.simple_index", "encamp.resources.base"} <= set(
        bundle.on_demand("encamp.resources.python.simple_index")
    )
    known = bundle.sources(["encamp.resources.python.uv.tool"])
    later = bundle.on_demand("encamp.resources.python.simple_index", known)
    assert "encamp.resources.python.simple_index" in later and not later.keys() & known.keys()
    assert bundle.on_demand("encamp.inventory.load") == {}
    assert bundle.on_demand("encamp.resources.nothing") == {}

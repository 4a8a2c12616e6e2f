"""Cases as data: cases/<area>/<topic>.yaml says what a host is like and what a kind finds and does there.

CONTRIBUTING.md ("A new case") describes the format. An unknown or duplicate key fails, and so does an answer of a case
that nothing asked for.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import encamp.resources
from encamp.resources.base import Failure, HandlerResource, Mark, Refused, Resource
from encamp.shared.secret import Secret
from tests.unit.resources.case_host import CaseHost, matches, require_keys

CASES = Path(__file__).parent / "cases"
FILE_KEYS = {"kind", "fields", "host", "cases"}
OUTCOMES = {"changes", "invalid", "fails", "refuses", "needed"}
CASE_KEYS = {*OUTCOMES, "fields", "host", "does", "writes", "notes", "cause", "fix", "detail", "mark"}


class Loader(yaml.SafeLoader):
    """YAML with ``!secret``, and without duplicate keys."""


def _mapping(loader: Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [key.value for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    assert not twice, f"{node.start_mark}: duplicate key {', '.join(map(str, twice))}"
    return loader.construct_mapping(node, deep=True)


Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
Loader.add_constructor("!secret", lambda loader, node: Secret(loader.construct_scalar(node)))


def _kinds() -> dict[str, type[Resource]]:
    for module in pkgutil.walk_packages(encamp.resources.__path__, "encamp.resources."):
        importlib.import_module(module.name)
    found: dict[str, type[Resource]] = {}
    below = [Resource]
    while below:
        for kind in below.pop().__subclasses__():
            below.append(kind)
            if kind.__module__.startswith("encamp.resources."):
                found[kind.__name__] = kind
    return found


KINDS = _kinds()


def _all() -> Iterator[Any]:
    for path in sorted(CASES.rglob("*.yaml")):
        name = path.relative_to(CASES).with_suffix("")
        data = yaml.load(path.read_text(), Loader)
        require_keys(str(name), data, FILE_KEYS)
        for title, case in data["cases"].items():
            require_keys(f"{name}: {title}", case, CASE_KEYS)
            outcomes = OUTCOMES & set(case)
            assert len(outcomes) == 1 or outcomes in ({"changes", "fails"}, {"changes", "refuses"}), (name, title)
            yield pytest.param(data, case, id=f"{name}: {title}")


def _merged(base: Any, more: Any) -> Any:
    """Mappings of the file with those of the case laid over them; anything else is the case's."""
    if isinstance(base, dict) and isinstance(more, dict):
        return {**base, **{key: _merged(base.get(key), value) for key, value in more.items()}}
    return more


def _value(data: Any) -> Any:
    return tuple(map(_value, data)) if isinstance(data, list) else data


@pytest.mark.parametrize(("file", "case"), list(_all()))
def test_case(file: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    run(file, case)


GROUP = {"kind": "Group", "fields": {"name": "x"}, "host": {"files": {"/etc/group": ""}}}
ABSENT = {"changes": ["group: absent -> present"]}


@pytest.mark.parametrize(
    "case",
    [
        {"changes": []},
        {**ABSENT, "does": []},
        {**ABSENT, "does": ["groupadd x"]},
        {**ABSENT, "does": [{"run": "groupadd --system x", "stdin": "y"}]},
        {**ABSENT, "does": [{"run": "groupadd --system x", "input": ""}]},
        {**ABSENT, "writes": {"/etc/x": "y"}},
        {**ABSENT, "notes": ["y"]},
        {**ABSENT, "fails": "y"},
        {"refuses": "y"},
        {**ABSENT, "host": {"answers": {"id x": ""}}},
        {**ABSENT, "host": {"answer": {}}},
        {**ABSENT, "host": {"files": {"/etc/x": {"content": ""}}}},
    ],
    ids=str,
)
def test_a_wrong_case_fails(case: Mapping[str, Any]) -> None:
    run(GROUP, {**ABSENT, "does": ["groupadd --system x"]})
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        run(GROUP, case)


def test_duplicate_keys_fail() -> None:
    with pytest.raises(AssertionError, match="duplicate key a"):
        yaml.load("{a: 1, a: 2}", Loader)


def run(file: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    fields = {name: _value(value) for name, value in _merged(file.get("fields", {}), case.get("fields", {})).items()}
    kind = KINDS[file["kind"]]
    if "invalid" in case:
        with pytest.raises(ValueError) as error:
            kind(**fields)
        assert matches(f"*{case['invalid']}*", str(error.value)), error.value
        return
    host, resource = CaseHost(_merged(file.get("host", {}), case.get("host", {}))), kind(**fields)
    if "needed" in case:
        assert isinstance(resource, HandlerResource)
        assert resource.needed(host, Mark(**case["mark"])) is case["needed"]
    elif "fails" in case or "refuses" in case:
        _fails(resource, host, case)
    else:
        _succeeds(resource, host, case)
    _compare(resource, host, case)


def _succeeds(resource: Resource, host: CaseHost, case: Mapping[str, Any]) -> None:
    resource.refuse(host)
    changes = resource.check(host)
    assert [str(change) for change in changes] == case["changes"]
    assert not host.done, "check changed the host"
    if {"does", "writes"} & set(case):
        assert changes, "nothing to apply"
        resource.apply(host, changes)
        if not host.has_run:
            assert resource.check(host) == [], "applied, but still not as declared"


def _fails(resource: Resource, host: CaseHost, case: Mapping[str, Any]) -> None:
    """The failure is the check's; with ``changes`` it is the failure of applying them."""
    with pytest.raises(Failure) as error:
        resource.refuse(host)
        changes = resource.check(host)
        assert [str(change) for change in changes] == case.get("changes"), "the check did not fail"
        resource.apply(host, changes)
    assert isinstance(error.value, Refused) == ("refuses" in case)
    reason = case["refuses"] if "refuses" in case else case["fails"]
    for part, expected in {
        "reason": reason,
        **{name: case.get(name, "") for name in ("cause", "fix", "detail")},
    }.items():
        assert matches(f"*{expected}*", getattr(error.value, part)), (part, vars(error.value))


def _compare(resource: Resource, host: CaseHost, case: Mapping[str, Any]) -> None:
    """What was done, written and noted, with what the case says."""
    assert host.notes == case.get("notes", [])
    if "does" in case:
        steps = [step if isinstance(step, dict) else {"run": step} for step in case["does"]]
        assert len(steps) == len(host.done), host.done
        for step, (line, stdin) in zip(steps, host.done):
            require_keys("does", step, {"run", "stdin"})
            assert matches(step["run"], line) and matches(step.get("stdin", "*"), stdin), (line, stdin)
    for path, text in case.get("writes", {}).items():
        assert (host.read(path) or b"").decode() == host.text(text), path
    unused = set(case.get("host", {}).get("answers", {})) - host.used
    assert not unused, f"nothing asked for: {', '.join(unused)}"
    for secret in (value for value in vars(resource).values() if isinstance(value, Secret)):
        assert secret.reveal() not in repr((host.notes, [line for line, _ in host.done]))

"""Whatever stands in an inventory, in files of variables or on the command line: a message, never a traceback."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encamp.cli.options import Options
from encamp.commands import deploy, settings
from encamp.errors import EncampError
from encamp.inventory import location, ranges
from encamp.inventory.load import load_inventory
from encamp.planning import rollout
from tests.unit.fuzz import DOCUMENTS, NAMES, ODD, TEXTS, TREES, VARIABLES, bounded, mapping, yaml_text

pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # long names of strategies

GOOD = """
all:
  vars: {adhoc: true}
  children:
    servers: {hosts: {"vm[1:3]": {public_url: "http://vm.example.com:4200"}}}
    web: {hosts: {"web[01:12]": }, children: {eu: {hosts: {fe80--1: , a.example.com: }}}}
"""
TERMS = st.sampled_from(
    [
        *("vm1", "web", "eu", "all", "*", "~", "~(", "~web(?:1", "web[0]", "web[-1]", "web[1:]", "web[99]", "web[:]"),
        *(
            "root@vm1",
            "@vm1",
            "vm1:22",
            "vm1:0",
            "vm1:99999",
            "vm1:",
            ":22",
            "[::1]",
            "[::1]:22",
            "::1",
            "fe80::1%eth0",
        ),
        *(
            "[::1",
            "u@[::1]:2",
            "a@b@c",
            "&web",
            "!web",
            "&",
            "!",
            "!!x",
            "&!x",
            "[",
            "]",
            "{",
            "web[",
            "web[9" * 9,
            "{,}",
        ),
    ]
)
PATTERNS = st.one_of(
    st.lists(st.one_of(TERMS, TEXTS), max_size=4).flatmap(
        lambda terms: st.lists(
            st.sampled_from([",", ":", ":&", ":!", " ", ""]), min_size=len(terms), max_size=len(terms)
        ).map(lambda joints: "".join(term + joint for term, joint in zip(terms, joints, strict=True)))
    ),
    st.text(max_size=20),
    st.text(alphabet="[]{}()~!&:,*?@.-^$\\|09aweb ", max_size=16),
)


@contextmanager
def folder(files: Mapping[str, str]) -> Iterator[Path]:
    """A site of these files. What no file can hold is replaced."""
    with tempfile.TemporaryDirectory() as name:
        for file, text in files.items():
            path = Path(name, file)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8", errors="replace")
        yield Path(name)


def used(place: Path, **options: Any) -> None:
    """A site is read and checked, its settings are shown and its hosts are planned, as far as they can be."""
    given_options = Options(config=None, inventory=str(place), **options)  # type: ignore[arg-type]  # no connection
    try:
        fleet, selected = deploy.load(given_options, "plan")
        for host in selected:
            settings.rows(host)
        deploy.prepare(fleet, selected, True, given_options.instance)
    except EncampError as error:
        assert str(error).strip(), "an error says what is wrong"


def read(place: Path) -> None:
    """Every variable of every host is looked at."""
    try:
        loaded = load_inventory(place)
    except EncampError:
        return
    for host in loaded.hosts.values():
        for name in host.variables:
            try:
                host.variables[name]
            except EncampError:
                pass


@given(DOCUMENTS)
@bounded(150)
def test_any_inventory(text: str) -> None:
    with folder({"hosts.yml": text}) as place:
        read(place)
        used(place, hosts="all")


@given(st.sampled_from(["group_vars/all.yml", "group_vars/servers", "host_vars/vm1.json"]), DOCUMENTS)
@bounded(80)
def test_any_file_of_variables(file: str, text: str) -> None:
    with folder({"hosts.yml": GOOD, file: text}) as place:
        used(place, hosts="vm1")


@given(VARIABLES)
@bounded(150)
def test_any_variables_of_a_server(variables: Any) -> None:
    with folder({"hosts.yml": GOOD, "host_vars/vm1.yml": yaml_text(variables)}) as place:
        used(place, hosts="vm1")


@given(PATTERNS, st.one_of(st.just(""), PATTERNS))
@bounded(300)
def test_any_host_pattern(hosts: str, limit: str) -> None:
    with folder({"hosts.yml": GOOD}) as place:
        used(place, hosts=hosts, limit=limit)


@given(st.lists(st.one_of(st.tuples(NAMES, TEXTS).map("=".join), TEXTS, mapping(NAMES, TREES, 1).map(str)), max_size=3))
@bounded(150)
def test_any_override(pairs: list[str]) -> None:
    with folder({"hosts.yml": GOOD}) as place:
        try:
            location.parse_overrides(pairs)
        except EncampError:
            return
        used(place, hosts="vm1", overrides=pairs)


@given(st.text(max_size=20))
@bounded(60)
def test_any_instance(name: str) -> None:
    with folder({"hosts.yml": GOOD, "host_vars/vm1.yml": "instances: {default: {}, two: {port: 4202}}"}) as place:
        used(place, hosts="vm1", instance=name)


@given(st.one_of(st.text(alphabet="[]:0129azAZ-.²", max_size=16), TEXTS))
@bounded(200)
def test_any_range(name: str) -> None:
    try:
        assert ranges.expand(name)
    except ValueError as error:
        assert str(error)


@given(TEXTS, TEXTS, st.booleans(), ODD)
@bounded(60)
def test_any_pace(batch: str, most: str, fatal: bool, wait: str) -> None:
    for parse in (lambda: rollout.parse(batch, most, fatal), lambda: rollout.seconds("--wait", wait)):
        try:
            parse()
        except EncampError as error:
            assert str(error)

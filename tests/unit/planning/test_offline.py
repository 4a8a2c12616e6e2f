"""Bundles on the controller: made, read, refused, and put into plans."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.errors import UsageError
from encamp.planning import offline, plan
from encamp.planning.offline import Bundle
from encamp.planning.plan import HostPlan
from encamp.resources.files.directory import Directory
from encamp.resources.offline.received import OfflineBundle
from encamp.resources.packages.installed import Packages
from encamp.resources.python.environment import PythonEnv
from encamp.resources.python.uv.tool import UvTool

FACTS = {"release": "debian 12", "architecture": "amd64", "python": "3.11"}


def declared(sha256: str = "a" * 64, uv: str = "1.0", packages: tuple[str, ...] = ("postgresql",)) -> HostPlan:
    """What a host downloads, and a directory."""
    return plan.build(
        "vm1",
        [
            Packages("postgres", debian=packages),
            UvTool("/opt/uv", uv, (), index_url="https://index.example/simple", ca_file="/ca.pem"),
            PythonEnv("/opt/envs/3.9.1-aaa", "lock", sha256, "/opt/uv", index_url="https://index.example/simple"),
            Directory("/etc/prefect"),
        ],
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "collected"
    for name in ("wheels/a.whl", "debs/b.deb"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(name.encode() * 1000)
    path = tmp_path / "site.bundle"
    offline.write(path, folder, FACTS, offline.needs([declared()]))
    return path


def test_a_bundle_says_what_is_in_it(file: Path) -> None:
    manifest = offline.read(file).manifest
    assert manifest["locks"] == {"a" * 64: "3.9.1-aaa"} and manifest["uv"] == "1.0"
    assert manifest["packages"] == ["postgresql"] and manifest["python"] == "3.11" and manifest["encamp"]
    assert sorted(manifest["files"]) == ["debs/b.deb", "wheels/a.whl"]


def test_a_plan_downloads_nothing_any_more(file: Path) -> None:
    bundle = offline.read(file)
    found = [step.resource for step in offline.applied(declared(), bundle).steps]
    kinds = {type(one): one for one in found}
    assert found.index(kinds[OfflineBundle]) == 1, "before everything else, but for the check of its space"
    assert kinds[Packages].source == f"{bundle.host_path}/debs"  # type: ignore[attr-defined]
    for kind in (UvTool, PythonEnv):
        assert kinds[kind].index_url == f"{bundle.host_path}/wheels"  # type: ignore[attr-defined]
    assert kinds[Directory] == Directory("/etc/prefect")
    nothing = plan.build("vm2", [Directory("/etc/prefect")])
    assert offline.applied(nothing, bundle) is nothing


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (declared(sha256="b" * 64), "no wheels of 3.9.1-aaa"),
        (declared(uv="2.0"), "no uv 2.0"),
        (declared(packages=("postgresql", "caddy")), "no package caddy"),
    ],
)
def test_a_bundle_older_than_the_inventory(file: Path, wanted: HostPlan, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        offline.applied(wanted, offline.read(file))
    assert "make it again" in caught.value.fix and "vm1" in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[: len(data) // 2], "no whole bundle"),
        (lambda data: b"", "no whole bundle"),
        (lambda data: data.replace(b"debs/b.debdebs", b"debs/b.debEVIL", 1), "debs/b.deb is missing, altered"),
        (lambda data: b"no tar at all" * 1000, "no whole bundle"),
    ],
)
def test_a_damaged_bundle(file: Path, damage, said: str) -> None:  # type: ignore[no-untyped-def]
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UsageError, match=said):
        offline.read(file)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        offline.read(tmp_path / "none")


def test_the_same_files_give_the_same_bundle(file: Path, tmp_path: Path) -> None:
    first: Bundle = offline.read(file)
    offline.write(tmp_path / "again", tmp_path / "collected", FACTS, offline.needs([declared()]))
    assert offline.read(tmp_path / "again").host_path == first.host_path

"""What a bundle is made of: which wheels fit, what a lock pins, and an environment made without a network."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from encamp.resources.base import Failure
from encamp.resources.offline.tags import Target, rank
from encamp.resources.offline.wheels import CollectedWheels, pins
from encamp.resources.python import simple_index
from encamp.resources.python.environment import PythonEnv
from tests.unit.local_index import LocalIndex, serving, wheel
from tests.unit.roles.client.laptop import Laptop, converge

DEBIAN_12 = Target((3, 11), (2, 36), "x86_64")
UV = str(Path(sys.executable).with_name("uv"))


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("a-1.0-py3-none-any.whl", (1, 0)),
        ("a-1.0-py2.py3-none-any.whl", (1, 0)),
        ("a-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", (4, 2)),
        ("a-1.0-cp311-cp311-manylinux2014_x86_64.whl", (4, 2)),
        ("a-1.0-cp39-abi3-manylinux_2_28_x86_64.whl", (3, 2)),
        ("a-1.0-1-cp311-cp311-linux_x86_64.whl", (4, 1)),
        ("a-1.0-cp312-abi3-manylinux_2_28_x86_64.whl", None),
        ("a-1.0-cp310-cp310-manylinux_2_17_x86_64.whl", None),
        ("a-1.0-cp311-cp311-manylinux_2_39_x86_64.whl", None),
        ("a-1.0-cp311-cp311-manylinux_2_17_aarch64.whl", None),
        ("a-1.0-cp311-cp311-musllinux_1_2_x86_64.whl", None),
        ("a-1.0-cp311-cp311-macosx_11_0_arm64.whl", None),
        ("a-1.0-cp311-cp311-win_amd64.whl", None),
        ("a-1.0-cp313-cp313t-manylinux_2_17_x86_64.whl", None),
        ("a-1.0.tar.gz", None),
    ],
)
def test_wheels_that_fit(name: str, fits: tuple[int, int] | None) -> None:
    assert rank(name, DEBIAN_12) == fits


def test_pins_of_a_lock() -> None:
    lock = Path(__file__).resolve().parents[4] / "roles/locks/prefect-3.9.1.txt"
    text = lock.read_text("utf-8")
    found = {pin.name: pin for pin in pins(text)}
    assert len(found) == len(re.findall(r"(?m)^[\w.-]+==", text)) > 100
    assert found["prefect"].version == "3.9.1" and not found["prefect"].conditional and found["prefect"].hashes
    assert found["async-timeout"].conditional


def test_a_folder_stands_in_for_an_index(tmp_path: Path) -> None:
    host, name, data = Laptop(str(tmp_path)), "uv-1.0-py3-none-any.whl", wheel("uv", "1.0")
    (tmp_path / name).write_bytes(data)
    assert simple_index.route(host, str(tmp_path)) is None, "no network is asked for"
    fetched = simple_index.fetch(host, str(tmp_path), "uv", name, hashlib.sha256(data).hexdigest())
    assert fetched == data
    with pytest.raises(Failure, match="does not match the pinned hash"):
        simple_index.fetch(host, str(tmp_path), "uv", name, "0" * 64)
    with pytest.raises(Failure, match=r"does not have uv-2\.0"):
        simple_index.fetch(host, str(tmp_path), "uv", "uv-2.0-py3-none-any.whl", "0" * 64)


def test_a_wheel_that_came_out_after_the_lock_is_passed_over(index: LocalIndex, tmp_path: Path) -> None:
    lock = lock_of(index, "one")
    index.add("one-1.0-1-py3-none-any.whl", b"later")
    converge(collected(index, tmp_path, lock), Laptop(str(tmp_path)))
    assert [path.name for path in (tmp_path / "wheels").iterdir()] == ["one-1.0-py3-none-any.whl"]


@pytest.fixture
def index() -> Iterator[LocalIndex]:
    with serving(LocalIndex()) as found:
        yield found


def lock_of(index: LocalIndex, *projects: str, conditional: str = "") -> str:
    """A lock of projects that the index offers, each with one wheel."""
    text = ""
    for project in projects:
        name = f"{project}-1.0-py3-none-any.whl"
        sha256 = index.add(name, wheel(project, "1.0"))
        text += f"{project}==1.0 \\\n    --hash=sha256:{sha256}\n"
    return text + (
        f"{conditional}==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:{'0' * 64}\n" if conditional else ""
    )


def collected(index: LocalIndex, folder: Path, lock: str, mark: str = "1") -> CollectedWheels:
    return CollectedWheels("test", str(folder / "wheels"), lock, UV, index_url=index.url, mark=mark)


@pytest.mark.skipif(not shutil.which("python3") or sys.platform != "linux", reason="wheels for Linux")
def test_wheels_are_collected_proved_and_used_without_a_network(index: LocalIndex, tmp_path: Path) -> None:
    host = Laptop(str(tmp_path))
    lock = lock_of(index, "one", "two", conditional="colorful")
    index.add("colorful-1.0-py3-none-win_amd64.whl", b"no")
    converge(collected(index, tmp_path, lock), host)
    assert sorted(path.name for path in (tmp_path / "wheels").iterdir()) == [
        "one-1.0-py3-none-any.whl",
        "two-1.0-py3-none-any.whl",
    ]
    asked = len([path for path, _ in index.asked if path.endswith(".whl")])
    converge(collected(index, tmp_path, lock, mark="2"), host)
    again = len([path for path, _ in index.asked if path.endswith(".whl")])
    assert again == asked, "what is there with the right hash is not fetched again"
    index.files.clear()
    digest = hashlib.sha256(lock.encode()).hexdigest()
    env = PythonEnv(
        str(tmp_path / "env"), lock, digest, UV, index_url=str(tmp_path / "wheels"), cache_dir=str(tmp_path / "cache")
    )
    converge(env, host)
    assert list((tmp_path / "env").glob("lib/*/site-packages/one.py"))


@pytest.mark.skipif(not shutil.which("python3") or sys.platform != "linux", reason="wheels for Linux")
def test_a_file_with_another_hash_is_not_taken(index: LocalIndex, tmp_path: Path) -> None:
    lock = lock_of(index, "one")
    index.add("one-1.0-py3-none-any.whl", wheel("one", "1.0", {"one.py": "evil\n"}))
    with pytest.raises(Failure, match="does not match the pinned hash"):
        converge(collected(index, tmp_path, lock), Laptop(str(tmp_path)))


@pytest.mark.skipif(not shutil.which("python3") or sys.platform != "linux", reason="wheels for Linux")
def test_a_package_without_a_wheel_for_this_host(index: LocalIndex, tmp_path: Path) -> None:
    lock = lock_of(index, "one")
    index.files.clear()
    index.add("one-1.0-cp35-cp35m-win32.whl", b"no")
    with pytest.raises(Failure, match=r"one 1\.0 has no wheel for Python 3\.\d+ on"):
        converge(collected(index, tmp_path, lock), Laptop(str(tmp_path)))

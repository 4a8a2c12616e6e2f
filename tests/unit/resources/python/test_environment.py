"""uv by hash, environments from locks, the release link: with the real uv, from an index of our own."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import uv

from encamp.agent.system import Host
from encamp.resources.base import Failure, Refused
from encamp.resources.python.environment import MARKER, PythonEnv
from encamp.resources.python.interpreters import choose, fits
from encamp.resources.python.managed import ManagedPython
from encamp.resources.python.release_link import ReleaseLink
from encamp.resources.python.simple_index import fetch, split_credentials
from encamp.resources.python.uv.errors import explain, is_network
from encamp.resources.python.uv.tool import UvTool
from encamp.resources.system import Result
from encamp.shared.secret import Secret
from encamp.shared.wire import BlobStore
from roles.prefect import uv_release
from tests.unit.local_index import LocalIndex, serving, wheel

STORE = BlobStore()


@pytest.fixture
def host() -> Host:
    return Host(lambda blob: STORE.get(blob.sha256), lambda kind, text: None)


@pytest.fixture
def index() -> Iterator[LocalIndex]:
    with serving(LocalIndex()) as running:
        yield running


@pytest.fixture
def lock(index: LocalIndex) -> str:
    digest = index.add("greet-1.0-py3-none-any.whl", wheel("greet", "1.0"))
    return f"greet==1.0 --hash=sha256:{digest}\n"


def environment(path: Path, lock: str, index: LocalIndex, requires_python: str = "", python: str = "") -> PythonEnv:
    return PythonEnv(
        path=str(path / "envs/1.0-abc"),
        lock=lock,
        lock_sha256=hashlib.sha256(lock.encode()).hexdigest(),
        uv=uv.find_uv_bin(),
        python=python or sys.executable,
        requires_python=requires_python,
        index_url=index.url,
        cache_dir=str(path / "cache"),
    )


class TestPythonEnv:
    def test_is_made_once_and_then_left_alone(self, tmp_path: Path, host: Host, lock: str, index: LocalIndex) -> None:
        env = environment(tmp_path, lock, index)
        changes = env.check(host)
        assert [str(change) for change in changes] == ["environment: to be created"]
        env.apply(host, changes)
        asked = len(index.asked)
        assert env.check(host) == []
        assert len(index.asked) == asked
        code = "import greet; print(greet.VERSION)"
        said = subprocess.run([f"{env.path}/bin/python", "-c", code], capture_output=True, text=True)
        assert said.stdout == "1.0\n"

    def test_every_user_can_read_it_whatever_the_umask(
        self, tmp_path: Path, host: Host, lock: str, index: LocalIndex
    ) -> None:
        before = os.umask(0o077)
        try:
            env = environment(tmp_path, lock, index)
            env.apply(host, env.check(host))
        finally:
            os.umask(before)
        entries = [entry for entry in Path(env.path).rglob("*") if not entry.is_symlink()]
        assert len(entries) > 10
        modes = {entry: entry.stat().st_mode for entry in [*entries, Path(env.path)]}
        assert [entry for entry, mode in modes.items() if not mode & 0o004 or mode & 0o022] == []
        assert list(Path(env.path).rglob("greet*.pyc"))

    @pytest.mark.parametrize("damage", ["no mark", "cut mark", "no python", "another lock"])
    def test_what_is_incomplete_is_made_again(
        self, damage: str, tmp_path: Path, host: Host, lock: str, index: LocalIndex
    ) -> None:
        env = environment(tmp_path, lock, index)
        env.apply(host, env.check(host))
        left_over = Path(env.path, "left-over")
        left_over.touch()
        if damage == "no mark":
            Path(env.path, MARKER).unlink()
        elif damage == "cut mark":
            Path(env.path, MARKER).write_text('{"lock": "')
        elif damage == "no python":
            Path(env.path, "bin/python").unlink()
            Path(env.path, "bin/python").symlink_to("/nowhere/python3.10")
        else:
            lock = "# resolved again\n" + lock
            env = environment(tmp_path, lock, index)
        changes = env.check(host)
        assert len(changes) == 1
        env.apply(host, changes)
        assert env.check(host) == []
        assert not left_over.exists()

    def test_a_wrong_hash_installs_nothing(self, tmp_path: Path, host: Host, lock: str, index: LocalIndex) -> None:
        bad = lock[:-65] + "0" * 64 + "\n"
        env = environment(tmp_path, bad, index)
        with pytest.raises(Failure, match="does not match its hash"):
            env.apply(host, env.check(host))
        assert host.stat(env.path) is None

    def test_a_package_without_hash_is_refused(self, tmp_path: Path, host: Host, lock: str, index: LocalIndex) -> None:
        env = environment(tmp_path, "greet==1.0\n", index)
        with pytest.raises(Failure) as failure:
            env.apply(host, env.check(host))
        assert "hash" in failure.value.detail

    def test_an_unsupported_python_names_what_there_is(
        self, tmp_path: Path, host: Host, lock: str, index: LocalIndex
    ) -> None:
        env = environment(tmp_path, lock, index, requires_python=">=3.99")
        with pytest.raises(Refused, match=r"is Python 3\.\d+\.\d+, but >=3\.99 is required"):
            env.apply(host, env.check(host))
        assert host.stat(env.path) is None

    def test_another_python_asked_for_makes_it_again(
        self, tmp_path: Path, host: Host, lock: str, index: LocalIndex
    ) -> None:
        env = environment(tmp_path, lock, index)
        env.apply(host, env.check(host))
        other = tmp_path / "python3.99"
        other.write_text("")
        assert len(environment(tmp_path, lock, index, python=str(other)).check(host)) == 1

    def test_a_missing_ca_file_is_named(self, tmp_path: Path, host: Host, lock: str, index: LocalIndex) -> None:
        env = environment(tmp_path, lock, index)
        env = PythonEnv(**{**vars(env), "ca_file": "/nowhere/site.pem"})
        with pytest.raises(Failure, match=r"/nowhere/site\.pem: this CA file does not exist"):
            env.apply(host, env.check(host))

    def test_credentials_reach_the_index_and_no_argv(
        self, tmp_path: Path, host: Host, lock: str, index: LocalIndex
    ) -> None:
        index.login = "me:p@ss word"
        url = Secret(index.url.replace("://", "://me:p%40ss%20word@"))
        spy = tmp_path / "uv"
        spy.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/argv\nexec {uv.find_uv_bin()} "$@"\n')
        spy.chmod(0o755)
        env = PythonEnv(**{**vars(environment(tmp_path, lock, index)), "index_url": url, "uv": str(spy)})
        env.apply(host, env.check(host))
        assert env.check(host) == []
        calls = (tmp_path / "argv").read_text()
        assert "pip install" in calls
        assert "p%40ss" not in calls


class TestReleaseLink:
    def made(self, envs: Path, name: str, age: int = 0) -> Path:
        """An environment as PythonEnv leaves it, finished ``age`` seconds before the others."""
        path = envs / name
        path.mkdir(parents=True)
        (path / "pyvenv.cfg").touch()
        (path / MARKER).write_text("{}")
        os.utime(path / MARKER, (1_000_000 - age, 1_000_000 - age))
        return path

    def test_switches_and_keeps_the_newest(self, tmp_path: Path, host: Host) -> None:
        envs = tmp_path / "envs"
        made = {name: self.made(envs, name, age) for age, name in enumerate(["e5", "e4", "e3", "e2", "e1"])}
        for name in ("3.8.8-0123456789ab", "3.8.8-0123456789ab-py3.11", "mine"):
            (envs / name).mkdir()
            (envs / name / "pyvenv.cfg").touch()
        (envs / "foreign").mkdir()
        (tmp_path / "blue").symlink_to(made["e1"])
        link = ReleaseLink(str(tmp_path / "default"), str(made["e5"]), keep=2)
        link.apply(host, link.check(host))
        assert link.check(host) == []
        assert os.readlink(tmp_path / "default") == str(made["e5"])
        assert sorted(path.name for path in envs.iterdir()) == ["e1", "e4", "e5", "foreign", "mine"]

    def test_going_back_to_an_old_one_does_not_remove_it(self, tmp_path: Path, host: Host) -> None:
        envs = tmp_path / "envs"
        made = [self.made(envs, f"e{age}", age) for age in range(4)]
        link = ReleaseLink(str(tmp_path / "default"), str(made[3]), keep=2)
        link.apply(host, link.check(host))
        assert sorted(path.name for path in envs.iterdir()) == ["e0", "e3"]

    def test_never_points_at_what_is_not_complete(self, tmp_path: Path, host: Host) -> None:
        (tmp_path / "envs/half").mkdir(parents=True)
        link = ReleaseLink(str(tmp_path / "default"), str(tmp_path / "envs/half"))
        with pytest.raises(Failure, match="not a complete environment"):
            link.apply(host, link.check(host))
        assert not (tmp_path / "default").is_symlink()

    def test_leaves_alone_what_is_no_link(self, tmp_path: Path, host: Host) -> None:
        (tmp_path / "default").mkdir()
        with pytest.raises(Failure, match="is a directory, not a link"):
            ReleaseLink(str(tmp_path / "default"), str(self.made(tmp_path / "envs", "e1"))).check(host)

    def test_refuses_a_link_to_an_environment_of_the_owners(self, tmp_path: Path, host: Host) -> None:
        (tmp_path / "venv").mkdir()
        (tmp_path / "default").symlink_to(tmp_path / "venv")
        link = ReleaseLink(str(tmp_path / "default"), str(self.made(tmp_path / "envs", "e1")))
        with pytest.raises(Refused, match=f"default is a link to {tmp_path}/venv, not to a release below"):
            link.refuse(host)
        other = ReleaseLink(str(tmp_path / "other"), link.target)
        other.apply(host, other.check(host))
        other.refuse(host)


class TestUvTool:
    FILE = "uv-9.9.9-py3-none-any.whl"

    def tool(self, path: Path, index: LocalIndex) -> tuple[UvTool, bytes]:
        """A uv whose program is a small script, offered by ``index`` for this machine's platform."""
        data = wheel("uv", "9.9.9", {"uv-9.9.9.data/scripts/uv": "#!/bin/sh\necho uv 9.9.9\n"})
        digest = index.add(self.FILE, data)
        machine = {"arm64": "aarch64"}.get(os.uname().machine, os.uname().machine)
        platform = f"{machine}-{'linux-gnu' if sys.platform == 'linux' else 'darwin'}"
        return UvTool(str(path / "bin/uv"), "9.9.9", ((platform, self.FILE, digest),), index.url), data

    @pytest.mark.parametrize("html_only", [False, True])
    def test_comes_from_the_index(self, html_only: bool, tmp_path: Path, host: Host, index: LocalIndex) -> None:
        index.html_only = html_only
        tool, _ = self.tool(tmp_path, index)
        tool.apply(host, tool.check(host))
        assert tool.check(host) == []
        assert subprocess.check_output([tool.path]) == b"uv 9.9.9\n"

    def test_comes_from_the_controller(self, tmp_path: Path, host: Host, index: LocalIndex) -> None:
        tool, data = self.tool(tmp_path, index)
        tool = UvTool(**{**vars(tool), "index_url": "http://127.0.0.1:9/simple", "wheel": STORE.put(data)})
        tool.apply(host, tool.check(host))
        assert tool.check(host) == []
        assert index.asked == []

    def test_repairs_exactly_what_differs(self, tmp_path: Path, host: Host, index: LocalIndex) -> None:
        tool, _ = self.tool(tmp_path, index)
        tool.apply(host, tool.check(host))
        asked = len(index.asked)
        os.chmod(tool.path, 0o700)
        assert [change.what for change in tool.check(host)] == ["mode"]
        tool.apply(host, tool.check(host))
        assert (tool.check(host), len(index.asked)) == ([], asked)
        with open(tool.path, "a") as program:
            program.write("echo changed\n")
        assert [change.what for change in tool.check(host)] == ["uv"]
        tool.apply(host, tool.check(host))
        assert subprocess.check_output([tool.path]) == b"uv 9.9.9\n"

    def test_altered_content_is_not_installed(self, tmp_path: Path, host: Host, index: LocalIndex) -> None:
        tool, data = self.tool(tmp_path, index)
        index.files[self.FILE] = data + b"x"
        with pytest.raises(Failure, match="does not match the pinned hash"):
            tool.apply(host, tool.check(host))
        assert tool.check(host) != []

    def test_another_platform_is_refused(self, tmp_path: Path, host: Host, index: LocalIndex) -> None:
        tool, _ = self.tool(tmp_path, index)
        tool = UvTool(**{**vars(tool), "wheels": (("mips-linux-gnu", self.FILE, "0" * 64),)})
        with pytest.raises(Refused, match="not pinned for"):
            tool.apply(host, tool.check(host))

    def test_the_pinned_release_is_complete(self) -> None:
        platforms = [platform for platform, _, _ in uv_release.WHEELS]
        assert platforms == ["x86_64-linux-gnu", "aarch64-linux-gnu", "x86_64-darwin", "aarch64-darwin"]
        for platform, filename, sha256 in uv_release.WHEELS:
            assert filename.startswith(f"uv-{uv_release.VERSION}-py3-none-")
            assert ("macosx" in filename) == ("darwin" in platform)
            assert len(sha256) == 64 and int(sha256, 16)


class TestSimpleIndex:
    def test_credentials_go_to_the_index_alone(self, host: Host, index: LocalIndex) -> None:
        index.login = "me:p@ss"
        digest = index.add("greet-1.0-py3-none-any.whl", b"data")
        url = Secret(index.url.replace("://", "://me:p%40ss@"))
        assert fetch(host, url, "greet", "greet-1.0-py3-none-any.whl", digest) == b"data"
        with pytest.raises(Failure, match="HTTP 401") as failure:
            fetch(host, index.url, "greet", "greet-1.0-py3-none-any.whl", digest)
        assert "index_url" in failure.value.fix

    def test_an_empty_answer_is_asked_for_again(self, host: Host, index: LocalIndex) -> None:
        digest = index.add("greet-1.0-py3-none-any.whl", b"data")
        index.empty_answers = 1
        assert fetch(host, index.url, "greet", "greet-1.0-py3-none-any.whl", digest) == b"data"

    def test_an_address_is_parted_from_its_credentials(self) -> None:
        assert split_credentials("https://a:b%2Fc@index.example:8443/simple") == (
            "https://index.example:8443/simple",
            {"Authorization": "Basic YTpiL2M="},
        )
        assert split_credentials("https://index.example/simple") == ("https://index.example/simple", {})


@pytest.mark.parametrize(
    ("version", "requires", "expected"),
    [
        ("3.11.2", ">=3.10,<3.15", True),
        ("3.9.18", ">=3.10,<3.15", False),
        ("3.15.0", "<3.15,>=3.10", False),
        ("3.10.0", ">=3.10", True),
        ("3.12.4", "<=3.12", False),
        ("3.9.7", ">=3.9,!=3.9.7", False),
        ("3.11.2", "", True),
    ],
)
def test_python_ranges(version: str, requires: str, expected: bool) -> None:
    assert fits(version, requires) is expected


def test_an_unknown_range_is_refused() -> None:
    with pytest.raises(Refused, match="cannot parse '~=3'"):
        fits("3.11.2", "~=3")


@pytest.mark.parametrize(
    ("said", "reason", "again"),
    [
        ("failed to copy file: No space left on device (os error 28)", "no space left", False),
        ("error sending request for url\ninvalid peer certificate: UnknownIssuer", "does not trust", False),
        ("error sending request for url\ntcp connect error\nConnection refused (os error 111)", "cannot fetch", True),
        ("Failed to fetch: https://x/\nHTTP status client error (403 Forbidden) for url", "refuses access", False),
        ("Failed to download `a==1`\nHash mismatch for `a==1`", "does not match its hash", False),
        ("x Failed to build `pendulum==2.1.2`\nbuild backend returned an error", "no wheel for this host", False),
        ("Because a==1 was not found in the package registry, No solution found", "lacks packages of the lock", False),
    ],
)
def test_what_uv_says_is_told_in_plain_words(said: str, reason: str, again: bool) -> None:
    result = Result(("uv",), 1, "", said)
    assert reason in explain(result, "").reason
    assert is_network(result) is again
    assert said.splitlines()[-1] in explain(result, "").detail


class TestManagedPython:
    """uv's own download needs a network; its place and its failure do not."""

    @staticmethod
    def bring(root: Path, version: str) -> Path:
        """An interpreter where uv puts it."""
        programs = root / f"cpython-{version}-linux-x86_64-gnu/bin"
        programs.mkdir(parents=True)
        link = programs / f"python{version.rpartition('.')[0]}"
        link.symlink_to(sys.executable)
        return link

    def test_what_uv_brought_is_found_newest_first(self, tmp_path: Path, host: Host) -> None:
        self.bring(tmp_path, "2.99.9")
        newest = self.bring(tmp_path, "2.99.10")
        assert ManagedPython("2.99", str(tmp_path)).check(host) == []
        assert choose(host, "2.99", "", str(tmp_path))[0] == str(newest)

    def test_a_series_that_is_not_there_is_to_be_brought(self, tmp_path: Path, host: Host) -> None:
        self.bring(tmp_path, "2.99.9")
        assert [str(change) for change in ManagedPython("2.9", str(tmp_path)).check(host)] == ["python: 2.9"]

    def test_a_mirror_out_of_reach_is_told_in_plain_words(
        self, tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("encamp.resources.python.uv.run.TRIES", 1)
        kind = ManagedPython(
            *("3.8", str(tmp_path / "python"), uv.find_uv_bin(), "http://127.0.0.1:9"),
            cache_dir=str(tmp_path / "cache"),
        )
        with pytest.raises(Failure, match=r"uv could not install Python 3\.8 on this host") as error:
            kind.apply(host, kind.check(host))
        assert "python_mirror" in error.value.fix and "127.0.0.1:9" in error.value.detail

    def test_an_environment_stays_when_its_own_series_is_asked_for(
        self, tmp_path: Path, host: Host, lock: str, index: LocalIndex
    ) -> None:
        env = environment(tmp_path, lock, index)
        env.apply(host, env.check(host))
        series = f"{sys.version_info[0]}.{sys.version_info[1]}"
        assert environment(tmp_path, lock, index, python=series).check(host) == []
        assert environment(tmp_path, lock, index, python="3.8").check(host)

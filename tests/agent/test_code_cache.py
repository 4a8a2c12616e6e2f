"""The sources that a host keeps compiled: sent once, believed only where root alone could have written them."""

from __future__ import annotations

import getpass
import grp
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from encamp.agent.boot import STAGE0
from encamp.agent.code_cache import KEEP
from encamp.resources.base import Resource
from encamp.resources.files.directory import Directory
from encamp.resources.files.file import File
from encamp.resources.files.symlink import Symlink
from encamp.shared.wire import BlobStore
from encamp.transport import bundle
from encamp.transport.agent_exec import run_agent
from encamp.transport.launch import LaunchSpec
from encamp.transport.local import LocalLink
from encamp.transport.traffic import Traffic
from tests.agent.conftest import job, pythons, statuses
from tests.agent.kinds import Broken, Late, Needs, Stubborn

ME = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}
Deploy = Callable[..., tuple[list[dict[str, Any]], int]]
#: Only root keeps anything: as another user, every run is as the first.
ROOT = os.geteuid() == 0


@pytest.fixture
def deploy(tmp_path: Path, kept: Path) -> Deploy:
    """A run as ``fab deploy`` makes it: its events, and the bytes it sent."""

    def run(*items: Resource, check: bool = False, python: str = sys.executable) -> tuple[list[dict[str, Any]], int]:
        store, traffic = BlobStore(), Traffic()
        wanted = {**job(items, tmp_path / "state", store, check), "keep": not check}
        remote = LaunchSpec("here", python, become=False)
        return list(run_agent(LocalLink(), remote, bundle.pack(wanted), store, traffic)), traffic.sent

    return run


def announced(kept: Path) -> list[str]:
    """The hashes in what stage 0 says first."""
    boot = STAGE0.replace("/run/encamp", str(kept))
    done = subprocess.run([sys.executable, "-I", "-S", "-c", boot], input=b"", capture_output=True, check=False)
    return done.stdout.decode().split()[3:]


def told(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in event.items() if key != "seconds"} for event in events]


def test_a_second_run_sends_the_job_alone_and_tells_the_same(deploy: Deploy, tmp_path: Path) -> None:
    item = File(str(tmp_path / "f"), "x", **ME)
    deploy(item)
    first, second = deploy(item), deploy(item)
    assert told(first[0]) == told(second[0])
    assert second[1] < 1000 if ROOT else second[1] > 10_000


def test_no_module_is_sent_twice(deploy: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither to one run, nor, where root keeps them, to the next one."""
    answers: list[set[str]] = []
    whole = bundle.on_demand

    def on_demand(*arguments: Any) -> Any:
        answers.append(set(whole(*arguments)))
        return whole(*arguments)

    monkeypatch.setattr(bundle, "on_demand", on_demand)
    item, first = Late("x"), bundle.pack(job([Late("x")], tmp_path / "state", BlobStore())).modules
    assert statuses(deploy(item)[0]) == {item.id: "ok"}
    assert len(answers) == 2 and len(set.union(first, *answers)) == len(first) + sum(map(len, answers))
    answers.clear()
    deploy(item)
    deploy(item)
    assert len(answers) == (0 if ROOT else 4)


@pytest.mark.skipif(not ROOT, reason="only root keeps anything")
class TestKept:
    def test_what_another_job_s_handler_needed_is_not_kept(self, deploy: Deploy, kept: Path, tmp_path: Path) -> None:
        """Nothing of this job's key would notice that it has changed."""
        left = {"kind": "tests.agent.kinds:Append", "fields": {"path": str(tmp_path / "log")}}
        (tmp_path / "state").mkdir()
        pending = {"Append:x": {"resource": left, "mark": ["an earlier boot", None]}}
        (tmp_path / "state/pending.json").write_text(json.dumps(pending))
        item = Needs(str(tmp_path))
        deploy(item)
        assert (tmp_path / "log").read_text() == "ran\n" and not kept.exists()
        deploy(item)
        assert announced(kept)

    def test_a_file_that_is_not_whole_is_not_believed(self, deploy: Deploy, kept: Path, tmp_path: Path) -> None:
        item = File(str(tmp_path / "f"), "x", **ME)
        deploy(item)
        [file] = kept.iterdir()
        assert announced(kept) == [file.name.partition("-")[0]]
        data = file.read_bytes()
        for bad in (data[:-1], data[:200] + bytes([data[200] ^ 1]) + data[201:], b"", b"x" * 40):
            file.write_bytes(bad)
            assert announced(kept) == []
        assert statuses(deploy(item)[0]) == {item.id: "ok"}
        assert file.read_bytes() == data

    def test_a_file_under_another_name_is_not_believed(self, deploy: Deploy, kept: Path) -> None:
        deploy(Directory(str(kept.parent)))
        [file] = kept.iterdir()
        file.rename(kept / ("0" * 64 + file.name[64:]))
        assert announced(kept) == []

    @pytest.mark.parametrize("mode", [0o755, 0o710, 0o701, 0o777])
    def test_a_directory_that_others_can_enter_is_not_used(
        self, deploy: Deploy, kept: Path, mode: int, tmp_path: Path
    ) -> None:
        item = File(str(tmp_path / "f"), "x", **ME)
        deploy(item)
        kept.chmod(mode)
        assert announced(kept) == []
        before = sorted(kept.iterdir())
        assert deploy(item)[1] > 10_000
        assert sorted(kept.iterdir()) == before

    def test_another_s_directory_and_a_link_are_not_used(self, deploy: Deploy, kept: Path, tmp_path: Path) -> None:
        item = File(str(tmp_path / "f"), "x", **ME)
        deploy(item)
        os.chown(kept, 65534, -1)
        assert announced(kept) == []
        os.chown(kept, 0, -1)
        kept.rename(tmp_path / "elsewhere")
        kept.symlink_to(tmp_path / "elsewhere")
        assert announced(kept) == []
        assert deploy(item)[1] > 10_000

    def test_each_python_has_its_own(self, deploy: Deploy, kept: Path, tmp_path: Path) -> None:
        item = File(str(tmp_path / "f"), "x", **ME)
        versions = set()
        for python in pythons()[:KEEP]:
            deploy(item, python=python)
            assert statuses(deploy(item, python=python)[0]) == {item.id: "ok"}
            versions.add(subprocess.check_output([python, "-c", "import sys; print('%x' % sys.hexversion)"], text=True))
        assert {f"{path.name.rpartition('-')[2]}\n" for path in kept.iterdir()} == versions

    def test_only_the_latest_few_are_kept(self, deploy: Deploy, kept: Path, tmp_path: Path) -> None:
        kept.mkdir(mode=0o700)
        for number in range(KEEP + 2):
            (kept / f"old{number}").touch()
            os.utime(kept / f"old{number}", (number, number))
        deploy(Symlink(str(tmp_path / "link"), "x"))
        assert len(list(kept.iterdir())) == KEEP and announced(kept)

    def test_what_is_no_whole_deploy_leaves_nothing(self, deploy: Deploy, kept: Path, tmp_path: Path) -> None:
        deploy(File(str(tmp_path / "f"), "x", **ME), check=True)
        for item in (Needs(str(tmp_path / "missing")), Stubborn("x"), Broken("x")):
            deploy(item)
        assert not kept.exists()

    def test_a_bug_in_a_kept_kind_is_told_with_its_place(self, deploy: Deploy, tmp_path: Path) -> None:
        (tmp_path / "there").touch()
        deploy(Needs(str(tmp_path / "there")))
        events, sent = deploy(Broken("x"))
        assert sent < 5000  # the same module: its sources were kept
        assert "tests/agent/kinds.py" in events[-2]["detail"]

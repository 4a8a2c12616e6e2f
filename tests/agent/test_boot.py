"""Stage 0 and the pipes: split reads, stray lines, a lost controller, a kill in the middle, two runs at once."""

from __future__ import annotations

import getpass
import grp
import os
import signal
from collections.abc import Callable
from pathlib import Path

from encamp.agent.boot import STAGE0
from encamp.planning.plan import Step
from encamp.resources.files.file import File
from tests.agent.conftest import Converge, events, start_agent, statuses, wait_for
from tests.agent.kinds import Append, Slow

ME = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}
Payload = Callable[..., bytes]


def test_stage0_is_small_and_holds_no_data() -> None:
    assert len(STAGE0) < 2500


def test_a_payload_in_small_pieces_after_a_stray_line(payload: Payload, tmp_path: Path) -> None:
    data = payload(File(str(tmp_path / "f"), "x", **ME))
    agent = start_agent()
    assert agent.stdin and agent.stdout
    assert agent.stdout.readline().startswith(b"READY 1 3.")
    for piece in [b"stray password line\n", data[:7], *(data[i : i + 999] for i in range(7, len(data), 999))]:
        agent.stdin.write(piece)
        agent.stdin.flush()
    output, _ = agent.communicate(timeout=60)
    assert events(output)[-1]["outcome"] == "ok"


def test_input_that_ends_early_ends_the_agent_with_nothing_done(payload: Payload, tmp_path: Path) -> None:
    agent = start_agent()
    agent.communicate(payload(File(str(tmp_path / "f"), "x", **ME))[:-10], timeout=60)
    assert agent.returncode == 3
    assert not (tmp_path / "f").exists()


def test_a_cut_link_stops_after_the_step_at_hand(payload: Payload, tmp_path: Path) -> None:
    data = payload(Slow(str(tmp_path / "slow"), seconds=2), File(str(tmp_path / "after"), **ME))
    agent = start_agent()
    assert agent.stdin and agent.stdout and agent.stderr
    agent.stdin.write(data)
    agent.stdin.flush()
    wait_for(tmp_path / "slow")
    agent.stdin.close()
    agent.stdout.close()
    agent.stderr.close()
    assert agent.wait(timeout=60) == 4
    assert not (tmp_path / "after").exists()


def test_a_kill_between_a_change_and_its_handler_loses_no_handler(
    payload: Payload, converge: Converge, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    items = [Step(File(str(tmp_path / "f"), **ME), notify=(Append(str(log)),)), Slow(str(tmp_path / "slow"))]
    agent = start_agent()
    assert agent.stdin
    agent.stdin.write(payload(*items))
    agent.stdin.flush()
    wait_for(tmp_path / "slow")
    agent.send_signal(signal.SIGKILL)
    agent.wait(timeout=60)
    assert not log.exists()
    found = statuses(converge(*items))
    assert found[f"File:{tmp_path}/f"] == "ok" and found[f"Append:{log}"] == "changed"
    assert log.read_text() == "ran\n"


def test_a_second_run_is_refused_with_the_holder_and_the_lock_dies_with_its_process(
    payload: Payload, converge: Converge, tmp_path: Path
) -> None:
    agent = start_agent()
    assert agent.stdin
    agent.stdin.write(payload(Slow(str(tmp_path / "slow"))))
    agent.stdin.flush()
    wait_for(tmp_path / "slow")
    refused = converge(File(str(tmp_path / "f"), **ME))[-1]
    assert refused["outcome"] == "locked"
    assert refused["holder"]["who"] == "tester" and refused["holder"]["pid"] == agent.pid
    agent.kill()
    agent.wait(timeout=60)
    assert converge(File(str(tmp_path / "f"), **ME))[-1]["outcome"] == "ok"

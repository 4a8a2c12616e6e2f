"""What a proof concludes from the traces it finds."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from encamp.agent.system import Host
from encamp.resources.base import CommandFailed
from roles.prefect.kinds.memory import memory_of
from roles.proof.kinds.api import OWN_NAME, Traces
from roles.proof.kinds.flow import ENTRYPOINT, FILE, script
from roles.proof.kinds.flow_run import VerificationRun, stage
from roles.proof.kinds.worker import unseen
from tests.unit.roles.client.laptop import Laptop


@pytest.mark.parametrize(
    ("traces", "word"),
    [
        (Traces(), "the server has no record of it"),
        (Traces("f", "CRASHED", "boom"), "CRASHED: boom"),
        (Traces("f", "COMPLETED"), "its task run did not"),
        (Traces("f", "COMPLETED", task_run="t"), "the log line did not"),
    ],
)
def test_the_first_thing_missing_is_named(traces: Traces, word: str) -> None:
    problem = traces.missing()
    assert problem and word in problem.reason


def test_nothing_missing() -> None:
    assert Traces("f", "COMPLETED", "", "t", "l").missing() is None


def test_the_script_is_python_and_holds_its_names() -> None:
    text = script("encamp-proof-'x\"", "token\\n")
    names = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    assert "encamp-proof-'x\"" in names and "token\\n" in names
    assert ENTRYPOINT.startswith(f"{FILE}:") and "def proof()" in text


def test_a_worker_that_does_not_see_the_directory() -> None:
    began = "Executing deployment step: set_working_directory"
    assert unseen([began], "flow")
    assert unseen(["FileNotFoundError: [Errno 2] No such file or directory: '/x/flow'"], "flow")
    assert not unseen([began, "Deployment step 'set_working_directory' completed successfully"], "flow")
    assert not unseen(["No such file or directory: '/other'"], "flow")


@pytest.mark.parametrize("name", ["encamp-proof-", "encamp-proof-mine", "x-encamp-proof-" + "0" * 32, "etl"])
def test_flows_of_users_are_never_taken_for_a_proofs(name: str) -> None:
    assert not OWN_NAME.match(name)


def test_a_proof_is_asked_for_once_a_run(tmp_path: object) -> None:
    host = Laptop(str(tmp_path))
    proof = VerificationRun("x", api_url="http://h/api")
    assert len(proof.check(host)) == 1 and len(proof.check(host)) == 1
    memory_of(proof)["proven"] = True
    assert proof.check(host) == [] and VerificationRun("x", api_url="http://h/api").check(host) != []
    assert proof == VerificationRun("x", api_url="http://h/api")


@pytest.fixture
def machine() -> Host:
    return Host(lambda blob: b"", lambda *words: None)


def test_the_script_is_its_users_alone(machine: Host, tmp_path: Path) -> None:
    place = tmp_path / "state/encamp-proof-x"
    stage(machine, str(place), "a\n", "")
    assert (place / FILE).read_text() == "a\n"
    assert [path.stat().st_mode & 0o777 for path in (place, place / FILE)] == [0o700, 0o600]
    with pytest.raises(CommandFailed):
        stage(machine, str(place), "b\n", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_link_of_the_users_leads_root_nowhere(machine: Host, tmp_path: Path) -> None:
    """Everything is done as that user, who may not write where the link leads."""
    for folder in [tmp_path, *list(tmp_path.parents)[:-2]]:
        folder.chmod(folder.stat().st_mode | 0o011)
    victim, home = tmp_path / "victim", tmp_path / "home"
    victim.mkdir()
    home.symlink_to(victim)
    with pytest.raises(CommandFailed):
        stage(machine, str(home / "encamp-proof-x"), "a\n", "nobody")
    assert not list(victim.iterdir())

"""Saved plans as files: sealed, dated, private; and what counts as another plan."""

from __future__ import annotations

import datetime
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from encamp.errors import SavedPlanError
from encamp.planning import plan, saved_plan, saved_plan_key, saved_plan_steps
from encamp.planning.plan import Item, Step
from encamp.planning.saved_plan import Made
from encamp.planning.saved_plan_key import PlanKey
from encamp.resources.files.file import File
from encamp.resources.systemd.restart import Restart
from encamp.shared.secret import Secret

KEY, OTHER = PlanKey(Secret("k" * 40)), PlanKey(Secret("o" * 40))
MADE = Made("1f", "alice", "ci", "inventory", "code", {"hosts": "", "set": []})


def job(*items: Item, host: str = "h", stage: str = "server", key: PlanKey = KEY) -> dict[str, Any]:
    return saved_plan_steps.declared(plan.build(host, items), (stage,), key)


def text(**changed: Any) -> str:
    return json.dumps({**saved_plan.document(MADE, [job(File("/a", "x"))], KEY), **changed})


def message(plan_text: str, key: PlanKey = KEY, **now: datetime.datetime) -> str:
    with pytest.raises(SavedPlanError) as raised:
        saved_plan.unsealed(plan_text, "plan.json", key, **now)
    return f"{raised.value} / {raised.value.fix}"


def test_a_plan_is_believed_by_whoever_has_the_key() -> None:
    opened = saved_plan.unsealed(text(), "plan.json", KEY)
    assert (opened["who"], opened["hosts"][0]["host"]) == ("alice", "h")


@pytest.mark.parametrize(
    "changed", [{"options": {"hosts": "all"}}, {"hosts": []}, {"expires": "2999-01-01T00:00:00+00:00"}, {"more": 1}]
)
def test_a_plan_that_was_altered_is_refused(changed: Mapping[str, Any]) -> None:
    assert "modified after it was made" in message(text(**changed))


def test_other_keys_formats_and_files_are_told_apart() -> None:
    assert "key of another site or machine" in message(text(), OTHER)
    assert "has format 2" in message(text(format=2))
    assert "not JSON" in message("all:\n  hosts:\n")
    assert "is not marked as one" in message('{"format": 1}')
    assert "not JSON" in message("[" * 100_000)


def test_a_plan_expires() -> None:
    late = datetime.datetime.now(datetime.timezone.utc) + saved_plan.VALID + datetime.timedelta(minutes=1)
    assert "has expired" in message(text(), now=late)
    early = late - datetime.timedelta(minutes=2)
    assert saved_plan.unsealed(text(), "plan.json", KEY, early)


def test_a_plan_is_its_owners_alone_and_written_whole(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text("older, and open to all")
    file.chmod(0o644)
    saved_plan.write(str(file), {"a": 1})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and json.loads(file.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("file", ["no/such/folder/plan.json", ".", "pipe"])
def test_a_place_that_takes_no_plan_is_refused_before_hosts_are_asked(tmp_path: Path, file: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SavedPlanError, match="cannot write a plan"):
        saved_plan.check_place(str(tmp_path / file))


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "plan.json")
    with pytest.raises(SavedPlanError, match=r"plan\.json"):
        saved_plan.read(str(tmp_path / "plan.json"))


def test_desired_content_is_hashed_and_a_secret_only_with_the_key() -> None:
    def digest(content: Any, key: PlanKey = KEY) -> str:
        return str(job(File("/a", content), key=key)["steps"][0]["desired"])

    assert digest("x") == digest("x", OTHER) and digest("x").startswith("sha256:")
    for secret in (Secret("1234"), Secret("long" * 1000)):
        assert digest(secret).startswith("hmac-sha256:") and digest(secret) != digest(secret, OTHER)


def test_differences_name_host_and_step() -> None:
    def compare(then: list[Item], now: list[Item]) -> list[str]:
        return saved_plan_steps.differences([job(*then)], [job(*now)])

    a, b = File("/a"), File("/b")
    assert compare([a, b], [a, b]) == []
    assert compare([a], [File("/a", "x")]) == ["h: File:/a has changed"]
    assert compare([a], [a, b]) == ["h: File:/b is new"]
    assert compare([a, b], [a]) == ["h: File:/b is gone"]
    assert compare([a, b], [b, a]) == ["h: the order of steps has changed"]
    assert compare([a], [Step(a, (Restart("x.service"),))])[-1] == "h: Restart:x.service is new"
    assert saved_plan_steps.differences([job(a)], [job(a), job(a, host="i")]) == ["i: server is new now"]
    assert saved_plan_steps.differences([job(a), job(a, host="i")], [job(a)]) == ["i: server is missing now"]
    assert saved_plan_steps.differences([job(a), job(a, host="i")], [job(a, host="i"), job(a)]) == [
        "the order of hosts has changed"
    ]


def test_the_key_is_the_sites_own_or_the_environments(tmp_path: Path) -> None:
    with pytest.raises(SavedPlanError, match="there is no"):
        saved_plan_key.for_applying(tmp_path, {})
    made = saved_plan_key.for_making(tmp_path, {})
    assert saved_plan_key.for_applying(tmp_path, {}).name == made.name
    assert stat.S_IMODE((tmp_path / "secrets/plan-key").stat().st_mode) == 0o600
    given = {saved_plan_key.VARIABLE: "x" * 32}
    assert saved_plan_key.for_making(tmp_path, given).name == PlanKey(Secret("x" * 32)).name != made.name
    with pytest.raises(SavedPlanError, match="too short"):
        saved_plan_key.for_applying(tmp_path, {saved_plan_key.VARIABLE: "secret"})


def test_what_a_step_found_stands_beside_what_it_is_to_be() -> None:
    change = {"what": "file", "before": "absent", "after": "present", "diff": ""}
    found = {"File:/a": {"status": "changed", "found": "ab", "changes": [change]}}
    told = saved_plan_steps.with_findings(job(File("/a"), Step(File("/b"), when_changed=True)), found)
    assert told["steps"][0]["changes"] == [change] and told["steps"][1]["status"] == "not due"
    assert saved_plan_steps.expected(told) == {"File:/a": ["changed", "ab"]}
    assert saved_plan_steps.changing([told]) == 1

"""One table for what differs between releases."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from encamp.errors import SettingsError
from roles.prefect import versions


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("2.7.12", "PREFECT_ORION_DATABASE_CONNECTION_URL"),
        ("2.8.0", "PREFECT_API_DATABASE_CONNECTION_URL"),
        ("2.20.27", "PREFECT_API_DATABASE_CONNECTION_URL"),
        ("3.0.0", "PREFECT_API_DATABASE_CONNECTION_URL"),
        ("3.8.8", "PREFECT_SERVER_DATABASE_CONNECTION_URL"),
    ],
)
def test_names_follow_the_release(version: str, name: str) -> None:
    assert versions.setting("database_url", version) == name


def test_what_a_release_lacks_is_left_out() -> None:
    assert versions.environment({"home": "/h", "ui_static_directory": "/ui"}, "2.0.4") == {"PREFECT_HOME": "/h"}


def test_a_name_may_go_and_come_back() -> None:
    names = [versions.setting("cors_origins", version) for version in ("2.20.16", "2.20.17", "3.0.0", "3.1.0")]
    assert names == [
        None,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS",
        None,
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS",
    ]


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("2.1.0", "python -m uvicorn --factory prefect.orion.api.server:create_app --host H --port P --log-level L"),
        ("2.20.26", "python -m uvicorn --factory prefect.server.api.server:create_app --host H --port P --log-level L"),
        ("3.1.12", "python -m uvicorn --factory prefect.server.api.server:create_app --host H --port P --log-level L"),
        ("3.1.13", "prefect server start --host H --port P"),
    ],
)
def test_the_server_is_started_as_fits_the_release(version: str, words: str) -> None:
    assert " ".join(versions.command("server", version, bind="H", port="P", log_level="L")) == words


def test_services_of_the_first_releases_leave_signals_to_the_server() -> None:
    python, _, code, *rest = versions.command("server", "2.0.4", bind="H", port="P", log_level="L")
    compile(code, "command", "exec")
    assert python == "python" and "LoopService" in code
    assert ("python", "-m", "uvicorn", *rest) == versions.command("server", "2.1", bind="H", port="P", log_level="L")


@pytest.mark.parametrize(
    ("version", "agent", "worker"),
    [
        ("2.0.4", "prefect agent start --hide-welcome Q", ""),
        ("2.7.12", "prefect agent start --hide-welcome --work-queue Q", ""),
        ("2.10.0", "prefect agent start --hide-welcome --work-queue Q", "prefect worker start --pool P"),
        ("3.0.0", "", "prefect worker start --pool P"),
    ],
)
def test_agents_give_way_to_workers(version: str, agent: str, worker: str) -> None:
    assert " ".join(versions.command("agent", version, queue="Q")) == agent
    assert " ".join(versions.command("worker", version, pool="P", type="T", name="N"))[: len(worker) or None] == worker
    assert versions.able("agents", version) == bool(agent)
    assert versions.able("workers", version) == bool(worker)


def test_rows_stand_in_order() -> None:
    for row in (*versions.NAMES.values(), *versions.ABILITIES.values(), *versions.COMMANDS.values()):
        releases = [versions.parse(since) for since, _ in row]
        assert releases == sorted(releases)


def test_an_operator_is_told_since_when() -> None:
    assert (versions.since("auth"), versions.since("server_auth"), versions.since("workers")) == (
        "3.1.8",
        "3.1.8",
        "2.10",
    )


@pytest.mark.parametrize("word", ["latest", "3", "3.8.8rc1", "3.x", ""])
def test_what_is_no_release_is_refused(word: str) -> None:
    with pytest.raises(SettingsError, match="not a release number"):
        versions.parse(word)


def version_questions(source: str) -> list[int]:
    """Lines that compare something with a release of Prefect, or ask whether one is old enough."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            found += [node.lineno for side in (node.left, *node.comparators) if is_release(side)]
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("has", "within", "version_key")):
            found += [node.lineno for side in node.args if is_release(side)]
    return found


def is_release(node: ast.AST) -> bool:
    """``"2.10"`` or ``(2, 10, 11)``, as a release of Prefect would be written."""
    if isinstance(node, ast.Tuple):
        return [ast.unparse(part) for part in node.elts[:1]] in (["2"], ["3"]) and len(node.elts) > 1
    return isinstance(node, ast.Constant) and bool(re.match(r"[23]\.\d", str(node.value)))


@pytest.mark.parametrize("code", ['version >= "2.10"', "key(version) < (3, 1)", 'versions.has(v, "3.0")'])
def test_a_question_for_the_version_is_seen(code: str) -> None:
    assert version_questions(code) == [1]


def test_no_other_file_asks_which_version_it_has() -> None:
    root = Path(__file__).parents[4]
    asking = {
        f"{path.relative_to(root)}:{line}"
        for path in (*root.glob("roles/**/*.py"), *root.glob("encamp/commands/*.py"))
        if path != root / "roles/prefect/versions.py"
        for line in version_questions(path.read_text("utf-8"))
    }
    assert not asking

"""Commands that messages name exist."""

from __future__ import annotations

import re
from collections.abc import Iterator

from encamp import tasks
from tests.checkout import CHECKOUT

#: `fab [options] TASK ...` in a text; names filled in at run time are left out.
COMMAND = re.compile(r"`(?:fab|encamp)(?: -[HS] [^ `]+)* ([a-z][a-z-]*)[^`]*`")
NAMES = {name.replace("_", "-") for name in tasks.__all__} | {"init"}


def named(text: str) -> Iterator[str]:
    """The tasks that a text tells its reader to run."""
    return (found[1] for found in COMMAND.finditer(text))


def test_a_task_is_found_behind_options() -> None:
    text = "`fab logs`, `fab -H {self.host} deploy --check`, `fab --list`, `encamp init .` and `fab {task} x`"
    assert list(named(text)) == ["logs", "deploy", "init"]


def test_messages_and_documents_name_tasks_that_exist() -> None:
    files = [
        path for part in ("encamp", "roles", "templates") for path in (CHECKOUT / part).rglob("*") if path.is_file()
    ]
    texts = [path for path in files if path.suffix in (".py", ".j2", ".yml")] + list((CHECKOUT / "docs").rglob("*.md"))
    found = {(path.name, name) for path in texts for name in named(path.read_text("utf-8"))}
    assert len(found) > 50
    assert sorted((file, name) for file, name in found if name not in NAMES) == []

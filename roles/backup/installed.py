"""The backup program on a host, and how it is told what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from encamp.planning.plan import Item
from encamp.resources.files.directory import Directory
from encamp.resources.files.file import File

SOURCES = Path(__file__).parent / "program"
FOLDER = "/opt/encamp/backup"
PROGRAM = f"{FOLDER}/start.py"
MARK = "# Managed by encamp: changes made here are undone by the next deploy.\n"


def program_files() -> Iterator[Item]:
    """The program; it is the same on every host."""
    yield Directory("/opt/encamp", shared=True)
    yield Directory(FOLDER)
    for path in sorted(SOURCES.glob("*.py")):
        yield File(f"{FOLDER}/{path.name}", path.read_text("utf-8"))


def configured(job: Mapping[str, object]) -> str:
    """The text of a configuration: the fields of ``program.job.Job``."""
    return MARK + json.dumps(job, indent=1, sort_keys=True) + "\n"

"""A job as one file that any Python runs: a zip archive with the sources it needs (PEP 441), and nothing to install."""

from __future__ import annotations

import importlib.metadata
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from encamp.agent.standalone.main import JOB
from encamp.transport import bundle

#: What every script needs beside its kinds.
ENTRY = "encamp.agent.standalone.main"
#: Read by Pythons that are too old for the rest, so that they say so.
MAIN = """\
import sys

if sys.version_info < (3, 9):
    sys.exit("This needs Python 3.9 or later, and this is Python " + sys.version.split()[0])

from encamp.agent.standalone.main import main

sys.exit(main(sys.path[0]))
"""
SHEBANG = b"#!/usr/bin/env python3\n"
#: The time of every file in an archive, so that one job always gives the same bytes.
TIME = (1980, 1, 1, 0, 0, 0)


def archive(job: dict[str, Any], ships: Sequence[str] = ()) -> bytes:
    """The script for a job of ``encamp.agent.standalone``. ``ships``: pure Python packages that its kinds need."""
    buffer = io.BytesIO(SHEBANG)
    buffer.seek(len(SHEBANG))  # the archive's own offsets count from there
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in sorted({"__main__.py": MAIN, JOB: json.dumps(job, indent=1), **_sources(job, ships)}.items()):
            file.writestr(zipfile.ZipInfo(name, TIME), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def is_archive(path: Path) -> bool:
    """Whether a file is a script that :func:`archive` made. Raises OSError."""
    try:
        with zipfile.ZipFile(path) as file:
            return {"__main__.py", JOB, "encamp/agent/standalone/main.py"} <= set(file.namelist())
    except zipfile.BadZipFile:
        return False


def _sources(job: dict[str, Any], ships: Sequence[str]) -> dict[str, str]:
    """The modules by their paths in the archive, and the licences of those that are not encamp's."""
    found = {}
    for name, (is_package, text) in bundle.all_sources([ENTRY, *bundle.kind_modules(job)], ships).items():
        path = name.replace(".", "/")
        found[f"{path}/__init__.py" if is_package else f"{path}.py"] = text
    for package in ships:
        found |= {f"{package}/{Path(path).name}": Path(path).read_text("utf-8") for path in _licences(package)}
    return found


def _licences(package: str) -> Iterator[str]:
    for file in importlib.metadata.files(package) or ():
        if file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING")):
            yield str(file.locate())

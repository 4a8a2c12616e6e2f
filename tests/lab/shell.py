"""Commands of this machine: run, tried again, and told about."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

SHOWN_LINES = 40  # of a failed command's output


class LabError(Exception):
    """Something about the lab is wrong; the message says what to do."""


def say(text: str) -> None:
    """Tell the user what goes on."""
    print(f"lab: {text}", file=sys.stderr, flush=True)


def run(command: Sequence[str], *, show: bool = False, env: dict[str, str] | None = None) -> str:
    """The output of a command; ``show`` lets its errors through to the user as they come."""
    result = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if show else subprocess.PIPE,
        text=True,
        check=False,
        env=env,
    )
    if result.returncode != 0:
        lines = [*result.stdout.splitlines(), *(result.stderr or "").splitlines()]
        details = "\n".join(lines[-SHOWN_LINES:])
        raise LabError(f"exit status {result.returncode} of: {shlex.join(command)}\n{details}".rstrip())
    return result.stdout


def succeeds(command: Sequence[str], timeout: float | None = None) -> bool:
    """Whether a command ends well, and in time."""
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=timeout)
    except subprocess.TimeoutExpired:
        return False
    return result.returncode == 0


def retry(action: Callable[[], object], what: str, attempts: int = 3) -> None:
    """Do something again when it fails: mirrors and registries drop connections."""
    for attempt in range(1, attempts + 1):
        try:
            action()
            return
        except LabError as error:
            if attempt == attempts:
                raise
            say(f"{what} failed (attempt {attempt} of {attempts}): {error}")
            time.sleep(3 * attempt)


def write(path: Path, text: str) -> None:
    """Write a file unless it says so already. In place: a container may have it mounted."""
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")

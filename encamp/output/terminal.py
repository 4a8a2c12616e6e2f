"""What a terminal, or whatever stands in its place, can show: live displays, colours, characters."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import TextIO

from encamp.errors import UsageError

#: Colours of the words that lines begin with, as ANSI codes (ECMA-48, "Select graphic rendition") and as rich's names.
COLOURS: Mapping[str, tuple[str, str]] = {
    "changed": ("33", "yellow"),
    "would": ("33", "yellow"),
    "unknown": ("35", "magenta"),
    "note": ("36", "cyan"),
    "warning": ("35", "magenta"),
    "failed": ("31", "red"),
    "ok": ("32", "green"),
    "...": ("2", "dim"),
}

#: Characters that would steer a terminal, or turn a line around, instead of being seen. A tab may stay.
_STEERING = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """One line of foreign text, with what would steer the terminal made visible: ``\\x1b``."""
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def printable_lines(text: str) -> str:
    """The same of several lines."""
    return "\n".join(map(printable, text.split("\n")))


def reopen_closed() -> None:
    """Point each standard stream that is closed (``>&-``, some schedulers) at /dev/null.

    Otherwise the next file or socket to be opened would take its number, and what is printed would go there.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  # open until the end


def never_fail(*streams: TextIO) -> None:
    """Let the streams write any text in any locale: what their encoding lacks becomes ``\\u2192``."""
    for stream in streams:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")


def has_live(out: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether ``out`` can redraw lines: a terminal with a cursor and a width, watched by a person (not a CI job's)."""
    if environ.get("COLUMNS") == "0":  # rich believes it, and then shows nothing at all
        return False
    return _is_terminal(out) and environ.get("TERM", "") not in ("", "dumb", "unknown") and not _says(environ, "CI")


def has_colours(out: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether lines for ``out`` are coloured. NO_COLOR counts most, then FORCE_COLOR; else a terminal has them.

    See https://no-color.org and https://force-color.org.
    """
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return _says(environ, "FORCE_COLOR")
    return _is_terminal(out) and environ.get("TERM", "") not in ("", "dumb", "unknown")


def painted(text: str, word: str) -> str:
    """``text`` in the colour of ``word``."""
    return f"\x1b[{COLOURS[word][0]}m{text}\x1b[0m" if text and word in COLOURS else text


def _is_terminal(out: TextIO) -> bool:
    try:
        return out.isatty()
    except ValueError:  # closed
        return False


def _says(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").lower() not in ("", "0", "false", "no")


def report(text: str, out: TextIO | None = None) -> None:
    """Print for people. A closed pipe (``fab deploy | head``) or terminal, or a full disk, does not end the run."""
    out = out or sys.stdout
    try:
        print(text, file=out, flush=True)
    except OSError:
        _silence(out)


def print_result(text: str) -> None:
    """Print a command's result. Raises UsageError where it is lost, as on a full disk; a closed pipe is no error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _silence(sys.stdout)
    except OSError as error:
        _silence(sys.stdout)
        raise UsageError(f"standard output: {error.strerror}", "the output is incomplete: run it again") from None


def _silence(out: TextIO) -> None:
    """Point a stream that takes nothing any more at /dev/null, so that it does not fail again, not even at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, out.fileno())
    os.close(null)

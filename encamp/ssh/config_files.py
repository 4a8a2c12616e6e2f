"""What stands in OpenSSH's configuration files, line by line. What it means for a host is OpenSSH's to say
(``ssh_config``); this finds out whether it needs to be asked, and where a directive was written."""

from __future__ import annotations

import functools
import glob
import os
import pwd
import re
import shlex
from collections.abc import Iterator, Sequence

from encamp.errors import Origin
from encamp.shared.record import record

SYSTEM_FILE = "/etc/ssh/ssh_config"
#: As deep as OpenSSH follows Include (READCONF_MAX_DEPTH in readconf.c).
MAX_DEPTH = 16
_LINE = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.*\S)\s*")


@record
class Statement:
    """One directive: its lower-case keyword, its words, its place, and the ``Host`` or ``Match`` line it is under."""

    keyword: str
    words: tuple[str, ...]
    origin: Origin
    block: Statement | None = None

    @property
    def value(self) -> str:
        return " ".join(self.words)


@functools.cache
def home() -> str:
    """The home directory that OpenSSH uses: the password database's, whatever HOME says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return os.path.expanduser("~")


@functools.cache
def statements(file: str = "") -> tuple[Statement, ...]:
    """All directives that ``ssh`` may read: those of ``file`` (``ssh -F``), else the user's and the system's.

    A file that cannot be read counts as empty: ``ssh`` itself reports it.
    """
    roots = [file] if file else [f"{home()}/.ssh/config", SYSTEM_FILE]
    return tuple(found for root in roots for found in _read(root, _folder(root, file), None, 0))


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern of OpenSSH's fits: ``*`` and ``?`` alone have a meaning (ssh_config(5), PATTERNS)."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), name) is not None


def _folder(root: str, file: str) -> str:
    """Where relative names of Include lie."""
    return f"{home()}/.ssh" if file or root != SYSTEM_FILE else "/etc/ssh"


def _read(path: str, folder: str, block: Statement | None, depth: int) -> Iterator[Statement]:
    for number, line in enumerate(_lines(path), 1):
        match = _LINE.fullmatch(line)
        if line.lstrip().startswith("#") or not match:
            continue
        found = Statement(match[1].lower(), _words(match[2]), Origin(os.path.abspath(path), number), block)
        yield found
        if found.keyword in ("host", "match"):
            block = found
        elif found.keyword == "include" and depth < MAX_DEPTH:
            for name in found.words:
                for included in sorted(glob.glob(os.path.join(folder, expanded(name)))):
                    yield from _read(included, folder, block, depth + 1)


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().splitlines()
    except OSError:
        return []


def expanded(name: str) -> str:
    """A path with ``~/`` as OpenSSH expands it."""
    return home() + name[1:] if name.startswith("~/") else name


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text, comments=True))
    except ValueError:
        return tuple(text.split())


def of_options(options: Sequence[str], origin: Origin) -> tuple[Statement, ...]:
    """The statements that ``-o`` gives among arguments of ``ssh``, as written at ``origin``."""
    texts = [after for before, after in zip(options, options[1:], strict=False) if before == "-o"]
    texts += [word[2:] for word in options if word.startswith("-o") and word != "-o"]
    found = [match for text in texts if (match := _LINE.fullmatch(text))]
    return tuple(Statement(match[1].lower(), _words(match[2]), origin) for match in found)

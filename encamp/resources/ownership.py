"""What on a host is encamp's: the one rule for everything that has a file.

A file is encamp's if it begins with its mark, as all templates do. Where a declared file has the mark and the one in
its place has not, that one is the owner's. Of files that cannot have a mark, such as certificates, the audit trail
tells which encamp wrote.
"""

from __future__ import annotations

from encamp.resources.system import Content, Reader

MARK = b"# Managed by encamp"
#: What is appended to the name of a copy.
COPY = ".before-encamp"
AUDIT = "/var/log/encamp/audit.jsonl"


def is_marked(text: bytes) -> bool:
    """Whether a file has encamp's mark. It is among the first lines: a program's interpreter comes before it."""
    return any(line.startswith(MARK) for line in text.split(b"\n", 5)[:5])


def is_owners(host: Reader, present: bytes, declared: Content) -> bool:
    """Whether a file with the text ``present`` is the owner's, where encamp declares ``declared``.

    An empty file is nobody's. Without a mark in ``declared`` it cannot be known: then it is taken for encamp's.
    """
    if not present.strip() or is_marked(present):
        return False
    return is_marked(host.text(declared).encode())


def copy_path(host: Reader, path: str) -> str:
    """Where a copy of the owner's file ``path`` is kept: beside it, never over an earlier copy."""
    name, number = f"{path}{COPY}", 1
    while host.stat(name) is not None:
        number += 1
        name = f"{path}{COPY}-{number}"
    return name


def is_own_file(host: Reader, path: str) -> bool:
    """Whether encamp wrote a file, for its removal: one without mark and record, and a copy, is the owner's."""
    stat = host.stat(path)
    text = host.read(path) or b"" if stat and stat.kind == "file" else b"-"
    return COPY not in path and (not text.strip() or is_marked(text) or _is_recorded(host, path))


def _is_recorded(host: Reader, path: str) -> bool:
    """Whether the audit trail has a step that wrote ``path``: ids of steps end in what they are about."""

    def read() -> bytes:
        return (host.read(f"{AUDIT}.1") or b"") + (host.read(AUDIT) or b"")

    return f':{path}"'.encode() in host.once("audit trail", read)

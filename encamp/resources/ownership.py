"""What on a host is encamp's: the one rule for everything that has a file.

A file is encamp's if it begins with its mark, as all templates do. Where a declared file has the mark and the one in
its place has not, that one is the owner's.
"""

from __future__ import annotations

from encamp.resources.system import Content, Reader

MARK = b"# Managed by encamp"
#: What is appended to the name of a copy.
COPY = ".before-encamp"


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

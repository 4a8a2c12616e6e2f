"""Quoting for Postgres: the one place where names and values become SQL or a connection string."""

from __future__ import annotations

NAME_BYTES = 63  # Postgres truncates longer names without an error


def identifier(name: str) -> str:
    """A name as a quoted SQL identifier; it may contain any character but NUL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL string literal, for any value of ``standard_conforming_strings``."""
    quoted = "'" + text.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def conninfo(**parameters: object) -> str:
    """A libpq connection string. libpq would parse a bare database name with ``=`` or ``://`` in it."""
    quoted = {name: str(value).replace("\\", "\\\\").replace("'", "\\'") for name, value in parameters.items()}
    return " ".join(f"{name}='{value}'" for name, value in quoted.items())


def require_name(what: str, name: str) -> None:
    """Raise ValueError unless Postgres accepts ``name`` unchanged. ``what``: its kind, for the message."""
    if not name:
        raise ValueError(f"a Postgres {what} needs a name")
    if "\0" in name:
        raise ValueError(f"a Postgres {what} cannot have a NUL character in its name")
    if len(name.encode()) > NAME_BYTES:
        raise ValueError(f"the Postgres {what} name {name!r} is longer than {NAME_BYTES} bytes")

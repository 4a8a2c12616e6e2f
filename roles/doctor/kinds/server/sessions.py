"""What a server's Postgres is doing: who waits for whose lock, what takes long, which indexes were left invalid."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from roles.doctor.kinds.findings import Finding, fail, ok, warn
from roles.doctor.kinds.server.subject import ServerSubject

SHOWN = 5


def check_sessions(subject: ServerSubject) -> Optional[Finding]:
    """No session of the database waits for a lock, and no statement takes long."""
    found = subject.database
    if "waiting" not in found:
        return None
    waiting, working = found["waiting"], found["working"]
    if waiting:
        first = waiting[0]
        text = f"`{_line(first['query'])}` has waited {first['seconds']} s for a lock of session {first['pid']}"
        fix = (
            f"end that session there, or: runuser -u postgres -- psql -c 'SELECT pg_terminate_backend({first['pid']})'"
        )
        return fail(text + (f" (and {len(waiting) - 1} more wait)" if len(waiting) > 1 else ""), _holder(first), fix)
    if working:
        first = working[0]
        text = f"the database has been working on `{_line(first['query'])}` for {first['seconds']} s"
        return warn(
            text,
            "most likely a migration or a cleanup of a large table",
            "wait for it; stopping it may leave it half done",
        )
    return ok("none waits for a lock")


def _holder(row: Mapping[str, Any]) -> str:
    """Who holds a lock, as far as Postgres tells."""
    who = f"{row['program'] or 'a program without a name'} as {row['user']} from {row['client']}"
    since = f", in its transaction for {row['held']} s" if row.get("held") is not None else ""
    what = f", {row['state']}: `{_line(row['holding'])}`" if row.get("state") else ""
    return f"it is held by {who}{since}{what}"


def _line(query: Any) -> str:
    return " ".join(str(query).split())


def check_indexes(subject: ServerSubject) -> Optional[Finding]:
    """No index was left invalid, as a migration that was cut off leaves it: Postgres does not use such an index."""
    found = subject.database
    if "invalid" not in found:
        return None
    invalid = [str(row["name"]) for row in found["invalid"]]
    if not invalid:
        return None
    names = ", ".join(invalid[:SHOWN]) + (" ..." if len(invalid) > SHOWN else "")
    again = f"runuser -u postgres -- psql -d DATABASE -c 'REINDEX INDEX CONCURRENTLY {invalid[0]}'"
    return warn(
        f"invalid indexes, which Postgres does not use: {names}",
        "most likely a migration was cut off while it built them; later ones take them for there",
        again,
    )

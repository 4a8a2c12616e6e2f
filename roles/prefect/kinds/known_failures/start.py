"""What a server says whose program, settings, memory or port keep it from starting."""

from __future__ import annotations

from roles.prefect.kinds.known_failures.known import Known

START = (
    Known(
        r"Body\(\) got an unexpected keyword argument|No module named 'griffe\.dataclasses'"
        r"|cannot import name 'SecretField'|skip_on_failure|No module named 'importlib_metadata'"
        r"|'PrefectRouter' object has no attribute|'type' object is not iterable|ResultRecordMetadata",
        "a dependency is newer than this Prefect release supports: it was resolved without a date",
        "install from a lock made as of the release's own date (`fab lock --prefect VERSION`)",
    ),
    Known(
        r"Can't evaluate bulk DML statement",
        "Prefect before 3.9.1 with SQLAlchemy 2.1 or later: its scheduler fails, and schedules create no flow runs",
        "deploy again with a lock that keeps within the release's bounds (`fab lock --prefect VERSION` makes one)",
    ),
    Known(
        r"FileNotFoundError: .*'uvicorn'",
        "Prefect before 2.19 finds uvicorn by PATH, and the environment's bin is not on it",
        "put the environment's bin directory first in the unit's PATH",
    ),
    Known(
        r"Extra inputs are not permitted|validation errors? for Settings|Unknown setting|Invalid (?:isoformat|duration)"
        r"|validation error for \w*Settings",
        "a setting has a name or a value that this release does not accept",
        "correct that setting; the lines below name it",
    ),
    Known(
        r"Out of memory|oom-kill|OOM killer",
        "the kernel ended it because memory ran out: the host's, or what the unit may use (MemoryMax)",
        "`journalctl -k -g oom-kill` shows which: CONSTRAINT_NONE is the host, CONSTRAINT_MEMCG the unit's limit",
    ),
    Known(
        r"MemoryError|[Cc]annot allocate memory",
        "it was given no more memory: the host has none left, or a limit of its unit is reached",
        "`free -h` shows what the host has left; if that is much, look at the unit's limits (systemctl show UNIT)",
    ),
    Known(
        r"Port \d+ is already in use",
        "another program listens on that port; or, since Prefect says the same of every failed bind, the bind address "
        "is not this host's, or the port is below 1024",
        "`ss -ltnp` shows what listens on the port; if nothing does, correct bind: or the port",
    ),
    Known(
        r"\[Errno 98\]|[Aa]ddress already in use",
        "another program already listens on that port",
        "find it with `ss -ltnp`, then stop it, or choose another port",
    ),
    Known(
        r"\[Errno 13\] error while attempting to bind|bind: permission denied",
        "the service's user may not listen on that port: Linux reserves those below 1024",
        "choose a port from 1024 on, and let a proxy listen on the other (tls:)",
    ),
    Known(
        r"\[Errno 99\]|[Cc]annot assign requested address",
        "the bind address does not belong to this host",
        "bind 0.0.0.0 or an address of this host",
    ),
)

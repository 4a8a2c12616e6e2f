"""A host that is only the files of a Debian Postgres and the answers of its psql."""

from __future__ import annotations

import json
from typing import Any, Optional, Sequence

from encamp.resources.system import OsRelease, Result, Stat

CONFIG = "/etc/postgresql/15/main"
DATA = "/var/lib/postgresql/15/main"
PID = f"4711\n{DATA}\n1700000000\n5432\n/run/postgresql\nlocalhost\n  123 4\nready   \n"
RUNNING = {
    "/usr/lib/postgresql/15/bin/postgres": "",
    f"{CONFIG}/postgresql.conf": f"data_directory = '{DATA}'  # note\nport = 5432\n",
    f"{CONFIG}/environment": "",
    f"{CONFIG}/start.conf": "# how to start\nauto\n",
    f"{CONFIG}/pg_hba.conf": "local all all peer\n",
    f"{DATA}/PG_VERSION": "15\n",
    f"{DATA}/global/pg_control": "",
    f"{DATA}/base/1/x": "",
    f"{DATA}/base/4/x": "",
    f"{DATA}/base/5/x": "",
    f"{DATA}/postmaster.opts": "",
    f"{DATA}/postmaster.pid": PID,
    "/run/postgresql/.s.PGSQL.5432": "",
    "/proc/4711/stat": "4711 (postgres) S 1 4711",
    "/etc/systemd/system/multi-user.target.wants/postgresql.service": "",
}
ANSWER: dict[str, Any] = {
    "roles": {
        "postgres": {"login": True, "verifier": None, "settings": None},
        "prefect": {"login": True, "verifier": None, "settings": None},
    },
    "databases": {
        "postgres": {"owner": "postgres", "encoding": "UTF8"},
        "template0": {"owner": "postgres", "encoding": "UTF8"},
        "prefect": {"owner": "prefect", "encoding": "UTF8"},
    },
    "settings": {
        "listen_addresses": "localhost",
        "port": "5432",
        "hba_file": f"{CONFIG}/pg_hba.conf",
        "scram_iterations": None,
        "max_connections": "100",
        "superuser_reserved_connections": "3",
        "reserved_connections": None,
    },
    "hba": [
        {
            "line_number": 1,
            "type": "local",
            "database": ["all"],
            "user_name": ["all"],
            "address": None,
            "netmask": None,
            "auth_method": "peer",
            "options": None,
            "error": None,
        }
    ],
    "loaded": 1000.0,
    "now": 2000.0,
}


class PostgresHost:
    """Implements what the Postgres kinds ask of a Reader; ``queries`` are the command lines that were run."""

    want_diff = False

    def __init__(self, files: dict[str, str], answer: Optional[dict[str, Any]] = None, mtime: float = 900) -> None:
        self.files, self.answer, self.mtime = files, answer if answer is not None else ANSWER, mtime
        self.queries: list[Sequence[str]] = []
        self.error = ""
        self._known: dict[str, Any] = {}

    def os_release(self) -> OsRelease:
        return OsRelease("debian", "12", "debian", "Debian GNU/Linux 12")

    def read(self, path: str) -> Optional[bytes]:
        return self.files[path].encode() if path in self.files else None

    def listdir(self, path: str) -> list[str]:
        inside = {name[len(path) + 1 :].split("/")[0] for name in self.files if name.startswith(f"{path}/")}
        return sorted(inside)

    def stat(self, path: str) -> Optional[Stat]:
        if path in self.files:
            return Stat("file", 0o640, "postgres", "postgres", 1, self.mtime)
        return Stat("directory", 0o755, "postgres", "postgres", 1, self.mtime) if self.listdir(path) else None

    def once(self, key: str, read: Any) -> Any:
        if key not in self._known:
            self._known[key] = read()
        return self._known[key]

    def query(self, argv: Sequence[str], stdin: str = "", as_user: str = "", **_: Any) -> Result:
        self.queries.append(argv)
        assert as_user == "postgres"
        if self.error:
            return Result(tuple(argv), 2, "", self.error)
        return Result(tuple(argv), 0, json.dumps(["plpgsql"] if "pg_extension" in stdin else self.answer), "")

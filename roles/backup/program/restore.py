# Managed by encamp: changes made here are undone by the next deploy.
"""Databases made of backups: what Postgres and SQLite have in common."""

from __future__ import annotations

import glob
import os
import re
from typing import Any, Dict, List

from . import folder, postgres
from .job import Failed, Job

#: Where a release keeps its migrations, newest layout first.
MIGRATIONS = ("server/database/_migrations", "server/database/migrations", "orion/database/migrations")
#: Names of databases that a restore or a rehearsal makes, and drops again.
OURS = re.compile(r"(.*[._](?:restore|rehearsal)[_-])\d{14}")
STAMP = re.compile(r"\d{14}")
FLAVOURS = {"postgres": "postgresql", "sqlite": "sqlite"}


class Database:
    """A job's database. ``name`` of another one: Postgres's name, or a file."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def size(self) -> int:
        """Bytes on the disk."""
        return postgres.Cluster(self.job).size(self.job.database)

    def room(self) -> str:
        """A folder on the file system that databases are on."""
        return str(postgres.Cluster(self.job).value("SHOW data_directory"))

    def dump(self, partial: str) -> Dict[str, Any]:
        """Copy it into a folder; what the manifest says of it."""
        return postgres.dump(self.job, partial)

    def load(self, where: str, name: str) -> List[str]:
        """Make another one of a backup; notes."""
        postgres.hand_over_again(where)
        return postgres.load(self.job, where, name, postgres.jobs())

    def counts(self, name: str) -> Dict[str, int]:
        """The rows of every table of another one."""
        return postgres.Cluster(self.job).counts(name)

    def drop(self, name: str) -> None:
        """Remove another one."""
        postgres.drop(self.job, name)

    def left_over(self, stem: str) -> List[str]:
        """Other ones whose names are ``stem`` and a time: what killed runs left."""
        return postgres.left_over(self.job, stem)

    def swap(self, name: str, aside: str) -> bool:
        """Put another one in its place; whether there was one."""
        return postgres.swap(self.job, name, aside)


class SqliteDatabase(Database):
    """The same for SQLite, whose Python module a system's Python may lack."""

    def size(self) -> int:
        from . import sqlite

        return sqlite.size(self.job.path)

    def room(self) -> str:
        return os.path.dirname(self.job.path)

    def dump(self, partial: str) -> Dict[str, Any]:
        from . import sqlite

        return sqlite.dump(self.job, partial)

    def load(self, where: str, name: str) -> List[str]:
        from . import sqlite

        sqlite.load(self.job, where, name)
        return []

    def counts(self, name: str) -> Dict[str, int]:
        from . import sqlite

        found: Dict[str, int] = sqlite.describe(name)["counts"]
        return found

    def drop(self, name: str) -> None:
        from . import sqlite

        sqlite.drop(name)

    def left_over(self, stem: str) -> List[str]:
        return [path for path in glob.glob(f"{glob.escape(stem)}*") if STAMP.fullmatch(path[len(stem) :])]

    def swap(self, name: str, aside: str) -> bool:
        from . import sqlite

        return bool(sqlite.swap(self.job, name, aside))


def database_of(job: Job) -> Database:
    """The database of a job."""
    return SqliteDatabase(job) if job.kind == "sqlite" else Database(job)


def load(job: Job, manifest: folder.Manifest, name: str) -> List[str]:
    """Make the database ``name`` of a backup, and compare its rows with the manifest; notes. Raises Failed."""
    if manifest["kind"] != job.kind:
        raise Failed(f"backup {manifest['name']} is of {manifest['kind']}, and this server uses {job.kind}")
    database = database_of(job)
    ours = OURS.fullmatch(name)
    for left in database.left_over(ours[1]) if ours else ():
        database.drop(left)
    room = os.statvfs(database.room())
    free = room.f_bavail * room.f_frsize
    need = manifest["database_size"] + folder.RESERVE
    if free < need:
        raise Failed(
            f"{free // folder.MEBIBYTE} MiB are free in {database.room()}, and a second database beside the present "
            f"one needs {need // folder.MEBIBYTE} MiB"
        )
    notes = database.load(os.path.join(job.folder, manifest["name"]), name)
    there = database.counts(name)
    different = [
        f"{table}: {there.get(table, 'no table')} for {rows}"
        for table, rows in manifest["counts"].items()
        if there.get(table) != rows
    ]
    if different:
        database.drop(name)
        raise Failed(
            f"backup {manifest['name']} does not give back the rows that were counted: {', '.join(different[:5])}"
        )
    return notes


def require_known(job: Job, manifest: folder.Manifest) -> None:
    """Raises Failed unless the release that the server has knows the backup's schema: it could not even start."""
    known = revisions(job.link, FLAVOURS[job.kind])
    if job.link and manifest["head"] not in known:
        raise Failed(
            f"Prefect {job.present_release} does not know the schema {manifest['head']} of backup {manifest['name']}, "
            f"which was taken from Prefect {manifest['prefect']}: set prefect_version: {manifest['prefect']}, deploy, "
            "then restore"
        )


def revisions(environment: str, flavour: str) -> List[str]:
    """The revisions that an environment's Prefect knows, from its migrations."""
    for place in MIGRATIONS:
        pattern = f"{environment}/lib/python*/site-packages/prefect/{place}/versions/{flavour}/*.py"
        found = []
        for path in sorted(glob.glob(pattern)):
            with open(path, encoding="utf-8") as file:
                found += re.findall(r"(?m)^revision(?:\s*:[^=]*)?\s*=\s*[\"']([0-9a-f]+)", file.read())
        if found:
            return found
    return []

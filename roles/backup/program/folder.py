# Managed by encamp: changes made here are undone by the next deploy.
"""The folder of a job's backups: one folder each, with a manifest. Nothing else in it is ever touched."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional

from .job import Failed, Job

FORMAT = 1
MANIFEST = "manifest.json"
PARTIAL = ".partial"
NAME = re.compile(r"\d{8}T\d{6}Z")
LOCK_SECONDS = 600
BLOCK = 1 << 20
#: Fields of a manifest that are numbers.
NUMBERS = ("began", "ended", "size", "database_size")
DAY = 86400
MEBIBYTE = 1 << 20
#: Left free on the file system: it may be the database's own.
RESERVE = 512 * MEBIBYTE

Manifest = Dict[str, Any]


def new_name(now: float) -> str:
    """A backup's name: the time at which it began, in UTC."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))


@contextmanager
def locked(job: Job) -> Iterator[None]:
    """The job's folder, made where it is missing, for this process alone. Raises Failed after ten minutes."""
    for path in (job.directory, job.folder):
        if not os.path.isdir(path):
            os.makedirs(path, 0o700)
    found = os.stat(job.folder)
    if found.st_uid != os.geteuid():
        raise Failed(f"{job.folder} belongs to user {found.st_uid}, not to root: something else made it")
    os.chmod(job.folder, 0o700)
    with open(os.path.join(job.folder, ".lock"), "w") as file:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Failed(f"another run works in {job.folder} since {LOCK_SECONDS} s") from None
                time.sleep(1)
        yield


def read_manifest(job: Job, name: str) -> Optional[Manifest]:
    """The manifest of a backup of this job; None where there is none that can be read, or it is another's."""
    try:
        with open(os.path.join(job.folder, name, MANIFEST), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    ours = isinstance(found, dict) and "encamp" in found and found.get("job") == job.name
    return {**found, "name": name} if ours else None


def backups(job: Job) -> List[Manifest]:
    """All whole backups of a job, oldest first."""
    try:
        names = sorted(name for name in os.listdir(job.folder) if NAME.fullmatch(name))
    except FileNotFoundError:
        return []
    return [found for found in (read_manifest(job, name) for name in names) if found]


def choose(job: Job, wanted: str) -> Manifest:
    """The backup that an operator names: its name, its path, or ``latest``. Raises Failed."""
    known = backups(job)
    name = os.path.basename(wanted.rstrip("/"))
    found = known[-1:] if wanted == "latest" else [each for each in known if each["name"] == name]
    if not found:
        listed = ", ".join(each["name"] for each in known[-5:]) or "none"
        raise Failed(f"there is no backup {wanted} in {job.folder} (there: {listed})")
    return found[0]


def write_manifest(folder: str, manifest: Manifest) -> None:
    """Write a manifest beside and rename it, so that it is whole or the old one."""
    path = os.path.join(folder, MANIFEST)
    kept = {key: value for key, value in manifest.items() if key != "name"}
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(json.dumps(kept, indent=1, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.new", path)
    sync(folder)


def begin(job: Job, name: str) -> str:
    """An empty folder for a backup that is being taken. What an earlier, killed run left is removed."""
    for left in os.listdir(job.folder):
        if left.endswith(PARTIAL) and NAME.fullmatch(left[: -len(PARTIAL)]):
            shutil.rmtree(os.path.join(job.folder, left))
    if os.path.exists(os.path.join(job.folder, name)):
        raise Failed(f"there is a backup {name} already: try again in a second")
    partial = os.path.join(job.folder, name + PARTIAL)
    os.mkdir(partial, 0o700)
    return partial


def finish(job: Job, partial: str, manifest: Manifest) -> None:
    """Give a backup its checksums, its manifest and its name, each on the disk before the next."""
    manifest["files"] = checksums(partial, flush=True)
    manifest["size"] = sum(file["size"] for file in manifest["files"].values())
    write_manifest(partial, manifest)
    os.rename(partial, partial[: -len(PARTIAL)])
    sync(job.folder)


def discard(partial: str) -> None:
    """Remove a backup that could not be finished."""
    shutil.rmtree(partial, ignore_errors=True)


def prove(job: Job, manifest: Manifest, how: str) -> None:
    """Record in a manifest that the backup was restored and used."""
    write_manifest(os.path.join(job.folder, manifest["name"]), {**manifest, "proven": {"at": time.time(), "how": how}})


def sentence(manifest: Manifest) -> str:
    """A backup in a line."""
    rows = sum(manifest["counts"].values()) if "counts" in manifest else 0
    words = [f"{manifest['size'] / MEBIBYTE:.1f} MiB of a database of {manifest['database_size'] / MEBIBYTE:.0f} MiB"]
    words += [f"{len(manifest['counts'])} tables, {rows} rows"] if rows else []
    words += [f"Prefect {manifest['prefect']}, schema {manifest['head']}"]
    return "; ".join([*words, f"{manifest['ended'] - manifest['began']:.1f} s"])


def checksums(folder: str, flush: bool = False) -> Dict[str, Dict[str, Any]]:
    """Size and sha256 of every file of a backup but its manifest."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            path = os.path.join(parent, name)
            if os.path.relpath(path, folder) == MANIFEST:
                continue
            digest, size = hashlib.sha256(), 0
            with open(path, "rb") as file:
                while True:
                    block = file.read(BLOCK)
                    if not block:
                        break
                    digest.update(block)
                    size += len(block)
                if flush:
                    os.fsync(file.fileno())
            found[os.path.relpath(path, folder)] = {"size": size, "sha256": digest.hexdigest()}
        if flush:
            sync(parent)
    return found


def accept(job: Job, partial: str) -> None:
    """Give a backup that came from elsewhere its name, if it is whole and this job's. Raises Failed."""
    found = read_manifest(job, os.path.basename(partial))
    if found is None:
        raise Failed(f"what came is no backup of {job.name}: it has no such manifest")
    # Later runs read these of every backup that is here: one without them would make all of them fail.
    missing = [name for name in NUMBERS if not isinstance(found.get(name), (int, float))]
    if missing or not isinstance(found.get("files"), dict):
        raise Failed(f"what came is no backup of {job.name}: its manifest has no {(missing or ['files'])[0]}")
    verify(job, found)
    checksums(partial, flush=True)
    os.rename(partial, partial[: -len(PARTIAL)])
    sync(job.folder)


def verify(job: Job, manifest: Manifest) -> None:
    """Compare a backup's files with its manifest. Raises Failed."""
    if manifest.get("format") != FORMAT:
        raise Failed(
            f"backup {manifest['name']} has the format {manifest.get('format')}, which this encamp cannot read"
        )
    there = checksums(os.path.join(job.folder, manifest["name"]))
    wrong = sorted(path for path, file in manifest["files"].items() if there.get(path) != file)
    if wrong:
        state = "missing" if wrong[0] not in there else "not what was written"
        raise Failed(f"backup {manifest['name']} is damaged: {wrong[0]} is {state} ({len(wrong)} such files)")


def sync(folder: str) -> None:
    """Write a folder's entries to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def require_space(job: Job, database_size: int) -> None:
    """Raises Failed where a backup could fill the disk: the database may be on the same."""
    known = backups(job)
    need = min(database_size, int(known[-1]["size"] * 1.5) + MEBIBYTE) if known else database_size
    found = os.statvfs(job.folder)
    free = found.f_bavail * found.f_frsize
    if free < need + RESERVE:
        raise Failed(
            f"{free // MEBIBYTE} MiB are free in {job.folder}; a backup may need {need // MEBIBYTE} MiB, and "
            f"{RESERVE // MEBIBYTE} MiB must stay free: make room, or set backup: directory"
        )


def superfluous(known: List[Manifest], keep: int, keep_days: int, now: float) -> List[Manifest]:
    """The backups to delete: neither among the newest ``keep`` nor younger than ``keep_days``. The last one that was
    proven stays in any case."""
    proven = [each["name"] for each in known if each.get("proven")][-1:]
    old = known[: max(len(known) - max(keep, 1), 0)]
    return [each for each in old if each["name"] not in proven and now - each["began"] > keep_days * DAY]


def prune(job: Job, now: float) -> List[str]:
    """Delete what is superfluous; their names."""
    gone = [each["name"] for each in superfluous(backups(job), job.keep, job.keep_days, now)]
    for name in gone:
        doomed = os.path.join(job.folder, name + PARTIAL)  # a kill in the middle leaves what the next run removes
        os.rename(os.path.join(job.folder, name), doomed)
        shutil.rmtree(doomed)
    return gone

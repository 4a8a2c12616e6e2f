# Managed by encamp: changes made here are undone by the next deploy.
"""The commands of the backup program. With ``--json`` the last line of the output is for a program."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from typing import Any, Callable, Dict, List, Sequence

from . import copies, folder, rehearsal, restore
from .job import Failed, Job, read_job

Answer = Dict[str, Any]


def backup(job: Job, options: argparse.Namespace) -> Answer:
    """Take a backup, then delete those that are superfluous."""
    began = time.time()
    with folder.locked(job):
        database = restore.database_of(job)
        folder.require_space(job, database.size())
        name = folder.new_name(began)
        partial = folder.begin(job, name)
        try:
            found = database.dump(partial)
            manifest = {
                **found,
                "format": folder.FORMAT,
                "encamp": job.encamp,
                "job": job.name,
                "kind": job.kind,
                "run": options.run,
                "host": job.host or socket.gethostname(),
                "prefect": job.present_release,
                "began": began,
                "ended": time.time(),
                "settings": _setting_names(job),
                "proven": None,
            }
            folder.finish(job, partial, manifest)
        except BaseException:
            folder.discard(partial)
            raise
        gone = folder.prune(job, time.time())
        sent = copies.send(job, name)
    text = f"{name}: {folder.sentence(manifest)}" + (f"; copied to {', '.join(sent)}" if sent else "")
    return {**manifest, "name": name, "removed": gone, "text": text}


def receive(job: Job, options: argparse.Namespace) -> Answer:
    """Store the backup of another host that comes as a tar on standard input."""
    name = copies.receive(job, sys.stdin.buffer)
    return {"name": name, "text": f"stored {name}"}


def listing(job: Job, options: argparse.Namespace) -> Answer:
    """All backups, oldest first, without their files."""
    found = [
        {key: value for key, value in each.items() if key not in ("files", "counts")} for each in folder.backups(job)
    ]
    text = "\n".join(f"{each['name']}: {folder.sentence(each)}" for each in found) or f"no backup in {job.folder}"
    return {"folder": job.folder, "backups": found, "text": text}


def check(job: Job, options: argparse.Namespace) -> Answer:
    """That there is such a backup, and that the release on this host can use it; changes nothing."""
    manifest = folder.choose(job, options.backup)
    restore.require_known(job, manifest)
    text = f"{manifest['name']} can be restored: Prefect {job.present_release} knows its schema"
    return {"name": manifest["name"], "prefect": manifest["prefect"], "text": text}


def load(job: Job, options: argparse.Namespace) -> Answer:
    """Make a database of a backup under another name, and compare its rows with the manifest."""
    with folder.locked(job):
        manifest = folder.choose(job, options.backup)
        folder.verify(job, manifest)
        notes = restore.load(job, manifest, options.into)
    rows = sum(manifest["counts"].values())
    text = (
        f"{manifest['name']} is loaded into {options.into}: {len(manifest['counts'])} tables, {rows} rows, as counted"
    )
    return {"name": manifest["name"], "into": options.into, "notes": notes, "rows": rows, "text": text}


def swap(job: Job, options: argparse.Namespace) -> Answer:
    """Let a loaded database take the place of the present one, which is renamed; a backup under way is waited for."""
    with folder.locked(job):
        aside = options.aside if restore.database_of(job).swap(options.into, options.aside) else ""
    there = f"what was there is {aside}" if aside else "nothing was there"
    return {"aside": aside, "text": f"{options.into} is in place; {there}"}


def drop(job: Job, options: argparse.Namespace) -> Answer:
    """Drop a database that ``load`` made."""
    restore.database_of(job).drop(options.into)
    return {"text": f"{options.into} is dropped"}


def proven(job: Job, options: argparse.Namespace) -> Answer:
    """Record that a backup was restored and used."""
    with folder.locked(job):
        manifest = folder.choose(job, options.backup)
        folder.prove(job, manifest, options.how)
    return {"name": manifest["name"], "text": f"{manifest['name']} is proven: {options.how}"}


def rehearse(job: Job, options: argparse.Namespace) -> Answer:
    """Restore a backup into a scratch database, start its release on it, compare, drop it again."""
    with folder.locked(job):
        manifest = folder.choose(job, options.backup)
        folder.verify(job, manifest)
        how = rehearsal.rehearse(job, manifest)
        folder.prove(job, manifest, how)
    return {"name": manifest["name"], "how": how, "text": f"{manifest['name']} is proven: {how}"}


COMMANDS: Dict[str, Callable[[Job, argparse.Namespace], Answer]] = {
    "backup": backup,
    "list": listing,
    "check": check,
    "load": load,
    "swap": swap,
    "drop": drop,
    "proven": proven,
    "rehearse": rehearse,
    "receive": receive,
}


def _setting_names(job: Job) -> List[str]:
    """The names of the server's settings, never a value."""
    try:
        with open(job.env_file, encoding="utf-8") as file:
            lines = [line.partition("=") for line in file if not line.startswith("#")]
        return sorted(name.strip() for name, equals, _ in lines if equals)
    except OSError:
        return []


def main(words: Sequence[str]) -> int:
    """Run a command; the exit code is 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="backup")
    parser.add_argument("command", choices=sorted(COMMANDS))
    parser.add_argument("config")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--run", default="")
    parser.add_argument("--backup", default="latest")
    parser.add_argument("--into", default="")
    parser.add_argument("--aside", default="")
    parser.add_argument("--how", default="")
    options = parser.parse_args(words)
    os.umask(0o077)
    try:
        answer = COMMANDS[options.command](read_job(options.config), options)
    except Failed as failed:
        for line in failed.detail.splitlines():
            print(f"| {line}", file=sys.stderr)
        print(f"error: {failed.reason}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(answer) if options.json else answer["text"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

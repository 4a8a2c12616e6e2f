# Managed by encamp: changes made here are undone by the next deploy.
"""Copies of a backup off the host: a tar stream for a command's standard input, and what another host makes of one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from typing import IO, Dict, List

from . import folder
from .job import Failed, Job

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: What a backup consists of, below its own folder.
MEMBER = re.compile(r"manifest\.json|prefect\.db|data|data/[A-Za-z0-9_.-]+")


def commands_of(job: Job) -> Dict[str, List[str]]:
    """The commands that are to get a backup, by what they are called."""
    found = {job.copy_host: job.copy_command} if job.copy_command else {}
    return {**found, **({os.path.basename(job.command[0]): job.command} if job.command else {})}


def send(job: Job, name: str) -> List[str]:
    """Stream a backup to each command; who has it. Raises Failed, with who has not and why."""
    done, failures = [], []
    for title, command in commands_of(job).items():
        try:
            _stream(job, name, command)
            done.append(title)
        except Failed as failed:
            failures.append(Failed(f"the backup {name} is here, but not at {title}: {failed.reason}", failed.detail))
    if done:
        manifest = folder.choose(job, name)
        folder.write_manifest(os.path.join(job.folder, name), {**manifest, "copies": done})
    if failures:
        raise failures[0]
    return done


def _stream(job: Job, name: str, command: List[str]) -> None:
    """Run a command with the tar of a backup on its standard input. Raises Failed."""
    environment = {"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", "BACKUP_NAME": name, "BACKUP_JOB": job.name}
    with tempfile.TemporaryFile() as said:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                env={**environment, **job.environment},
                cwd="/",
            )
        except OSError as error:
            raise Failed(f"{command[0]}: {error.strerror}") from None
        assert child.stdin
        try:
            with tarfile.open(fileobj=child.stdin, mode="w|") as archive:
                archive.add(os.path.join(job.folder, name), arcname=name)
            child.stdin.close()
        except BrokenPipeError:
            pass  # its exit code and its words say why
        except BaseException:
            child.kill()
            raise
        code = child.wait()
        said.seek(0)
        lines = said.read().decode("utf-8", "replace").splitlines()
    if code:
        raise Failed(f"{command[0]} exited {code}: {lines[-1] if lines else 'no output'}", "\n".join(lines[-20:]))


def receive(job: Job, stream: IO[bytes]) -> str:
    """Store the backup that comes as a tar stream; its name. Raises Failed for anything else than one whole backup.

    A name that is there already is never replaced: who sends backups cannot destroy older ones.
    """
    with folder.locked(job):
        partial = name = ""
        try:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    first, _, rest = member.name.partition("/")
                    if not folder.NAME.fullmatch(first) or (rest and not MEMBER.fullmatch(rest)):
                        raise Failed(f"the stream is no backup: it holds {member.name[:80]!r}")
                    if not name:
                        name, partial = first, folder.begin(job, first)
                    if first != name or not (member.isfile() or member.isdir()):
                        raise Failed(f"the stream is no backup: {member.name[:80]!r} does not belong to one")
                    _store(archive, member, os.path.join(partial, rest) if rest else partial)
            if not name:
                raise Failed("the stream is empty")
            folder.accept(job, partial)
        except tarfile.TarError as error:
            raise Failed(f"the stream is cut off, or no tar: {error}") from None
        finally:
            if partial:
                folder.discard(partial)
        folder.prune(job, time.time())
    return name


def _store(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    """One file or folder of a backup, with an owner and a mode of our own."""
    if member.isdir():
        os.makedirs(path, 0o700, exist_ok=True)
        return
    source = archive.extractfile(member)
    assert source is not None
    with open(path, "xb") as target:
        shutil.copyfileobj(source, target, folder.BLOCK)

"""``fab restore``: a server's database replaced by a backup; or a backup loaded beside it."""

from __future__ import annotations

import dataclasses
import re
import sys
from typing import Any

from encamp.cli.options import Options
from encamp.commands.backups import selection
from encamp.commands.deploy import deploy as deploy_first
from encamp.commands.reporting import reporting
from encamp.commands.run_hosts import connect, run_hosts, single_stage
from encamp.errors import UsageError
from encamp.resources.base import Resource
from encamp.shared.wire import kind_path
from encamp.site import Site
from roles.backup.jobs import Job
from roles.backup.kinds.loaded import BackupLoaded
from roles.backup.kinds.restored import DatabaseRestored
from roles.database import settings as database
from roles.server import native

NAME = re.compile(r"[A-Za-z0-9_.-]{1,63}")


def restore(options: Options, backup: str, into: str = "", yes: bool = False, deploy: bool = False) -> int:
    """Restore ``backup`` (its name, or latest) in place of a server's database, or ``into`` a new one beside it.

    ``deploy``: the server is deployed first, on a host that has none yet. Returns the exit code; raises EncampError,
    and UsageError where it is not confirmed (``yes``).
    """
    if into and deploy:
        raise UsageError("--deploy is for a restore in place, and --into is not", "leave one of them out")
    if not options.hosts:
        raise UsageError("restore needs the name of its host", "for example: fab -H vm1 restore latest")
    if into and not NAME.fullmatch(into):
        raise UsageError(f"--into {into}: letters, digits, dots, dashes and underscores only", "choose another name")
    site, found = selection.load(options)
    job = _one(options, found)
    wanted = _beside(job, backup, into) if into else _in_place(job, site, backup)
    if not (yes or into or options.check):
        server = f"{job.server.name} ({job.server.instance})"
        confirm(f"Replace the database of {server} by the backup {backup}? What came since is lost to it.")
    if deploy:
        code = deploy_first(options, verify=False)
        if code or options.check:
            return code
    with reporting(options, "restore") as reports:
        items = selection.items(site, [job], lambda _: wanted, program=True)
        connector = connect(options, site, list(items), reports)
        run_hosts("restore", options.mode, connector, single_stage("restore", items), reports)
        return reports.end()


def confirm(question: str) -> None:
    """Ask at the terminal. Raises UsageError unless the answer is yes."""
    if not sys.stdin.isatty():
        raise UsageError("restore replaces a database, and there is no terminal to ask at", "add --yes")
    if input(f"{question} Type yes: ").strip() != "yes":
        raise UsageError("not confirmed: nothing was changed", "answer yes, or add --yes")


def _one(options: Options, found: list[Job]) -> Job:
    """The one database that is meant. Raises UsageError."""
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{job.server.name} ({job.server.instance})" for job in found)
    raise UsageError(f"restore is for one database, and these are several: {names}", "choose with -H and --instance")


def _beside(job: Job, backup: str, into: str) -> Resource:
    """A backup in a database that nothing uses."""
    place = f"{job.layout.home}/{into}" if job.kind == "sqlite" else into
    return BackupLoaded(job.name, job.python, job.config, backup, place)


def _in_place(job: Job, site: Site, backup: str) -> Resource:
    """The database itself from a backup. Raises UsageError for a server on another host than its database."""
    if not job.local:
        raise UsageError(
            f"the server {job.server.name} is on another host than its database ({job.host.name})",
            f"load the backup with --into NAME; `fab -H {job.server.name} stop --only server`; rename the databases on "
            f"{job.host.name}; `fab -H {job.server.name} start`",
        )
    place = database.sqlite_file(job.server) if job.kind == "sqlite" else job.name
    proofs = (native.health(job.server, site, job.layout), native.verification(job.server, site))
    health: Any = [_travelling(proof) for proof in proofs]
    return DatabaseRestored(
        job.name, job.python, job.config, job.layout.server_unit, place, backup, health=tuple(health)
    )


def _travelling(resource: Resource) -> dict[str, Any]:
    """A resource as part of another: the host builds it where it is read."""
    fields = {field.name: getattr(resource, field.name) for field in dataclasses.fields(resource)}  # type: ignore[arg-type]
    return {"kind": kind_path(type(resource)), "fields": fields}

"""``fab rehearse``: restore a backup for trial, start its release on it, compare, remove all of it again."""

from __future__ import annotations

from encamp.cli.options import Options
from encamp.commands.backups import selection
from encamp.commands.reporting import reporting
from encamp.commands.run_hosts import connect, run_hosts, single_stage
from roles.backup.kinds.rehearsed import BackupRehearsed


def rehearse(options: Options, backup: str) -> int:
    """Rehearse the newest backup (or ``backup``) of each selected server's database. Returns the exit code.

    Raises EncampError.
    """
    with reporting(options, "rehearse") as reports:
        site, found = selection.load(options)
        items = selection.items(
            site, found, lambda job: BackupRehearsed(job.name, job.python, job.config, backup or "latest"), program=True
        )
        connector = connect(options, site, list(items), reports)
        run_hosts("rehearse", options.mode, connector, single_stage("rehearse", items), reports)
        return reports.end()

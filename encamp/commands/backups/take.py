"""``fab backup``: take a backup of each database now."""

from __future__ import annotations

import uuid

from encamp.cli.options import Options
from encamp.commands.backups import selection
from encamp.commands.reporting import reporting
from encamp.commands.run_hosts import connect, run_hosts, single_stage
from roles.backup.kinds.taken import BackupTaken


def backup(options: Options) -> int:
    """Back up the databases of the selected servers, or of all. Returns the exit code; raises EncampError."""
    run = uuid.uuid4().hex
    with reporting(options, "backup") as reports:
        site, found = selection.load(options)
        items = selection.items(
            site, found, lambda job: BackupTaken(job.name, job.python, job.config, run), program=True
        )
        connector = connect(options, site, list(items), reports)
        run_hosts("backup", options.mode, connector, single_stage("backup", items), reports)
        return reports.end()

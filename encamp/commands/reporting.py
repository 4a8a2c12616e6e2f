"""The listeners of a command."""

from __future__ import annotations

import sys

from encamp.cli.options import Options
from encamp.output.broadcast import ReportBroadcaster, json_report
from encamp.output.console import console as console_for
from encamp.output.listener import Listener


def reporting(
    options: Options,
    command: str,
    console: Listener | None = None,
    check: bool | None = None,
    record: bool = True,
    brief: bool = False,
) -> ReportBroadcaster:
    """The listeners of a command: the console, files of ``--json`` and ``--junit``, and (``record``) the run's record.

    ``check`` replaces the option's; ``brief``: the recap lists only hosts that failed. Raises UsageError.
    """
    checks = options.check if check is None else check
    files: list[Listener] = [json_report(options.json_file, options.append)] if options.json_file else []
    if options.junit_file:
        from encamp.output.junit import JUnit

        files.append(JUnit(options.junit_file, options.append))
    shown = console or console_for(sys.stdout, checks, options.verbose, brief)
    return ReportBroadcaster(command, checks, [shown, *files], options.records if record else None)

"""Tasks of the fabfile: options that they share are declared here once, and reach a task as one :class:`Options`."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import fabric
from invoke.exceptions import Exit

from encamp.cli import role_path, site_version
from encamp.cli.executor import FleetTask
from encamp.cli.options import Options
from encamp.errors import EncampError
from encamp.output.terminal import never_fail, printable_lines, report
from encamp.planning import rollout
from encamp.shared.record import record
from encamp.support import interrupts

Body = Callable[..., int]


@record
class Shared:
    """An option that several tasks take: its default (None: it may be repeated) and its help."""

    default: Any
    help: str


SHARED = {
    "inventory": Shared(None, "Site: a folder, a file, or 'vm1,' (default: inventory/, ENCAMP_INVENTORY). Repeatable."),
    "set": Shared(None, "Override a setting, as KEY=VALUE. May be repeated."),
    "json": Shared("", "Write every event to this file, one JSON object per line; - is standard output."),
    "junit": Shared("", "Write the result to this file as JUnit XML, for CI systems."),
    "verbose": Shared(False, "Also list unchanged steps."),
    "forks": Shared("10", "Number of hosts to work on in parallel (default: 10)."),
    "limit": Shared("", "Restrict to hosts matching this pattern."),
    "check": Shared(False, "Change nothing; report what would change."),
    "diff": Shared(False, "Show differences in files that change."),
    "instance": Shared("", "Restrict to this instance, on hosts with several."),
    "wait": Shared("0", "Seconds to wait for a host that another run has locked."),
    "exit_code": Shared(False, "With --check or --plan: exit 10 if something would change."),
    "retry": Shared(False, "Restrict to hosts that failed or were not reached in the last run."),
    "batch": Shared("", "Number of hosts to finish before the next ones start, or a share such as 25%."),
    "max_fail": Shared("", "Number of hosts of a stage, or share, that may fail before no more start (default: 0)."),
    "any_errors_fatal": Shared(False, "Stop starting hosts after the first failure."),
}
#: What every task over hosts that reports takes, and what comes with many hosts.
COMMON = ("inventory", "set", "json", "junit", "verbose")
FLEET = (*COMMON, "forks", "limit")
ROLLOUT = ("retry", "batch", "max_fail", "any_errors_fatal", "wait")


def command(
    *shared: str, help: Mapping[str, str] = {}, iterable: Sequence[str] = (), group: str = "", **details: Any
) -> Callable[[Body], FleetTask]:
    """Make a task of a function that takes :class:`Options`, then options of its own, and returns the exit code.

    ``shared`` names options of :data:`SHARED`; ``help`` and ``iterable`` are of the function's own, ``help`` may also
    say what a shared one means here. ``group``: see :class:`~encamp.cli.executor.FleetTask`. No short flags: ``-i`` and
    others stay Fabric's own.
    """
    lines = {name.replace("_", "-"): SHARED[name].help for name in shared}
    repeated = [*iterable, *(name for name in shared if SHARED[name].default is None)]

    def decorate(body: Body) -> FleetTask:
        @functools.wraps(body)
        def run(c: Any, **given: Any) -> None:
            taken = {name: given.pop(name) for name in shared}
            code = guarded(lambda: body(_options(c.config, taken), **given))
            if code:
                raise Exit(code=code)

        vars(run)["__signature__"] = _signature(body, shared)
        make = fabric.task(
            klass=FleetTask,
            auto_shortflags=False,
            help={**lines, **help},
            iterable=repeated,
            group=group,
            **details,
        )
        task: FleetTask = make(run)
        return task

    return decorate


def _signature(body: Body, shared: Sequence[str]) -> inspect.Signature:
    """What Invoke is to read options from: the context, the function's own, then the shared ones."""
    own = list(inspect.signature(body).parameters.values())[1:]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    ours = [inspect.Parameter(name, kind, default=SHARED[name].default) for name in shared]
    return inspect.Signature([inspect.Parameter("c", kind), *own, *ours])


def _options(config: fabric.Config, given: Mapping[str, Any]) -> Options:
    """The defaults, and what was given. Raises UsageError, and SettingsError for a site of a newer encamp."""
    site_version.check(config.encamp.get("version"))
    role_path.set_up(Path(config.encamp.home))
    chosen = {name: shared.default for name, shared in SHARED.items()} | dict(given)
    return Options(
        config,
        home=config.encamp.home,
        hosts=config.encamp.hosts,
        inventory=chosen["inventory"] or (),
        check=chosen["check"],
        diff=chosen["diff"],
        want_exit_code=chosen["exit_code"],
        overrides=chosen["set"] or (),
        json_file=chosen["json"],
        junit_file=chosen["junit"],
        verbose=chosen["verbose"],
        forks=int(chosen["forks"]) if chosen["forks"].isdecimal() else 0,
        instance=chosen["instance"],
        limit=chosen["limit"],
        retry=chosen["retry"],
        rollout=rollout.parse(chosen["batch"], chosen["max_fail"], chosen["any_errors_fatal"]),
        wait=rollout.seconds("--wait", chosen["wait"]),
    )


def guarded(command: Callable[[], int]) -> int:
    """Run a command; an operator's mistake becomes a message and its exit code, never a traceback.

    SIGTERM and SIGHUP end it as Ctrl-C does.
    """
    never_fail(sys.stdout, sys.stderr)
    try:
        with interrupts.raised():
            return command()
    except EncampError as error:
        report(printable_lines(f"error: {error}"), sys.stderr)
        if error.fix:
            report(printable_lines(f"  fix: {error.fix}"), sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        report("stopped: run the command again to finish", sys.stderr)
        return 130

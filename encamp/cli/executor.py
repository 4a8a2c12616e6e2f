"""How ``fab -H a,b`` reaches a fleet task: once, with the hosts as data, instead of once a host in series."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

import fabric
from invoke.exceptions import Exit
from invoke.parser.context import to_flag
from invoke.tasks import Call, Task
from paramiko import ConfigParseError


class FleetTask(fabric.Task):  # type: ignore[misc]
    """A task that handles all its hosts itself. It finds the text of ``-H`` in ``context.config.encamp.hosts``, and the
    folder of the fabfile (without one, the current folder) in ``context.config.encamp.home``.

    ``group``: the task whose name stands before its own, as in ``fab secrets rotate NAME``. ``short``: letters that
    stand for options of its own, by their names.
    """

    def __init__(self, *args: Any, group: str = "", short: Mapping[str, str] = {}, **options: Any) -> None:
        super().__init__(*args, **options)
        self.group, self.short = group, short

    def get_arguments(self, *args: Any, **options: Any) -> list[Any]:
        """What Invoke's parser is to know: with the letters, which it would otherwise choose by itself."""
        arguments: list[Any] = super().get_arguments(*args, **options)
        for argument in arguments:
            if argument.name in self.short:
                argument.names = (*argument.names, self.short[argument.name])
        return arguments


class FleetExecutor(fabric.Executor):  # type: ignore[misc]
    """Fabric's executor, except that a fleet task is not fanned out. Named in ``fabric.yaml``."""

    def normalize(self, tasks: Any) -> Any:
        """Refuse a fleet task's option that is given as an empty text: a script's variable that is not set.

        It would count as left out, and ``--limit "$HOSTS"`` would mean every host, ``--plan "$FILE"`` no plan but the
        deploy itself. Raises Exit with code 1.
        """
        for given in tasks:
            arguments = getattr(given, "args", {}).values()
            empty = [to_flag(argument.name) for argument in arguments if argument.raw_value == ""]
            if empty and isinstance(self.collection[given.name], FleetTask):
                fix = "give it a value, or leave the option out"
                raise Exit(f"error: {empty[0]} has no value (an unset variable?)\n  fix: {fix}", code=1)
        return super().normalize(tasks)

    def expand_calls(self, calls: list[Any], apply_hosts: bool = True) -> list[Any]:
        """Give fleet tasks the host list as configuration, and leave every other call to Fabric."""
        hosts = self.core[0].args.hosts.value
        home = self.collection.loaded_from or os.getcwd()
        self.config.load_overrides({**self._overrides(), "encamp": {"hosts": hosts or "", "home": home}})
        expanded = []
        for call in _without_groups([Call(task=item) if isinstance(item, Task) else item for item in calls]):
            if isinstance(call.task, FleetTask):
                self._refuse_traps(hosts)
                expanded.append(call)
            else:
                _read_ssh_config(self.config)
                expanded.extend(super().expand_calls([call], apply_hosts))
        if not calls:
            return list(super().expand_calls(calls, apply_hosts))
        return expanded

    def _refuse_traps(self, hosts: str | None) -> None:
        """Fabric's options that would not do what they seem to say. Raises Exit with code 1."""
        if self.core[0].args.dry.value:
            raise Exit("error: --dry echoes shell commands, and encamp runs none\n  fix: use --check --diff", code=1)
        if hosts is not None and not hosts.strip(" ,"):
            raise Exit("error: -H names no host (an unset variable?)\n  fix: name hosts, or leave -H out", code=1)

    def execute(self, *tasks: Any) -> Any:
        """Run the tasks; after a fleet task, end the process at once.

        Taking an interpreter with a thousand modules apart is a tenth of a run that changes nothing.
        """
        results = super().execute(*tasks)
        if any(isinstance(task, FleetTask) for task in results):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)
        return results

    def _overrides(self) -> dict[str, Any]:
        return dict(self.config._overrides)


def _without_groups(calls: list[Any]) -> list[Any]:
    """Of a group's name and a task of that group the task alone, with the options of both.

    Raises Exit with code 1 for such a task without its group.
    """
    kept: list[Any] = []
    for call in calls:
        group = getattr(call.task, "group", "")
        if group:
            if not kept or kept[-1].task.name != group:
                name = call.task.name
                raise Exit(f"error: there is no task {name}\n  fix: run `fab {group} {name}`", code=1)
            before = kept.pop().kwargs
            given = {key: value for key, value in before.items() if value and not call.kwargs.get(key)}
            call.kwargs = {**call.kwargs, **{key: value for key, value in given.items() if key in call.kwargs}}
        kept.append(call)
    return kept


def skip_ssh_config(config: fabric.Config | None) -> None:
    """Let Fabric read no file of OpenSSH's. To be called before the tasks are loaded, or meanwhile; later is too late.

    paramiko, with which Fabric reads the files at each start, knows less of them than OpenSSH: a directive that it
    cannot parse ends it with a traceback before any task is reached. encamp's own tasks ask OpenSSH instead.

    Fabric reads none where its configuration was given one (``fabric.Config(ssh_config=...)``), and notes the path of
    ``-S`` all the same.
    """
    if config is not None:
        config._set(_given_explicit_object=True)


def _read_ssh_config(config: fabric.Config) -> None:
    """What :func:`skip_ssh_config` put off. Raises Exit with code 1 for files that are missing or beyond paramiko."""
    config._set(_given_explicit_object=False)
    try:
        config.load_ssh_config()
    except (ConfigParseError, OSError, UnicodeDecodeError) as error:
        fix = "correct the file; encamp's own tasks do not need it"
        raise Exit(f"error: Fabric cannot read OpenSSH's configuration: {error}\n  fix: {fix}", code=1) from None

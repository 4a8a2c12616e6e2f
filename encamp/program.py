"""The programs on the PATH: ``encamp``, and ``fab``, which is Fabric's own with encamp's version.

Both run the tasks of the nearest ``fabfile.py``. ``encamp`` has all of encamp's, too, and can make a site.
"""

from __future__ import annotations

import gc
import sys

gc.set_threshold(200_000)  # before the imports, as in encamp.fabfile

from collections.abc import Sequence  # noqa: E402
from importlib.machinery import ModuleSpec  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import fabric  # noqa: E402
import invoke  # noqa: E402
import paramiko  # noqa: E402
from fabric.main import Fab  # noqa: E402
from invoke.collection import Collection  # noqa: E402
from invoke.exceptions import CollectionNotFound  # noqa: E402
from invoke.loader import FilesystemLoader  # noqa: E402

import encamp as package  # noqa: E402
from encamp.cli.executor import FleetExecutor, skip_ssh_config  # noqa: E402
from encamp.cli.task_list import hide_grouped_tasks  # noqa: E402
from encamp.support.checkout import PACKAGE  # noqa: E402

VERSIONS = (("encamp", package), ("Fabric", fabric), ("Invoke", invoke), ("Paramiko", paramiko))


class SiteLoader(FilesystemLoader):
    """Finds fabfiles. One in a checkout of encamp gets that checkout's encamp, whichever this program belongs to."""

    def find(self, name: str) -> ModuleSpec | None:
        spec: ModuleSpec | None = super().find(name)
        if spec and spec.origin:
            checkout = Path(spec.origin).resolve().parent
            if checkout != PACKAGE.parent and (checkout / "encamp" / "__init__.py").is_file():
                for module in [module for module in sys.modules if module.partition(".")[0] == "encamp"]:
                    del sys.modules[module]
        return spec


class FabProgram(Fab):  # type: ignore[misc]
    """Fabric's program; ``--version`` names encamp first."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        hide_grouped_tasks(self)

    def print_version(self) -> None:
        for name, module in VERSIONS:
            print(f"{name} {module.__version__}")

    def load_collection(self) -> None:
        if not self._remainder_only:  # `fab -H HOST -- COMMAND` is Fabric's alone
            skip_ssh_config(self.config)
        super().load_collection()


class EncampProgram(FabProgram):
    """The same with encamp's tasks wherever it is started, and ``init``."""

    argv: list[str]

    def normalize_argv(self, argv: Sequence[str] | None) -> None:
        """Invoke knows no positional argument with a default: ``encamp init`` alone is ``encamp init .``."""
        super().normalize_argv(argv)
        if self.argv[1:] == ["init"]:
            self.argv = [*self.argv, "."]

    def load_collection(self) -> None:
        if self._remainder_only or self._has_fabfile():
            super().load_collection()
        else:
            self.collection = Collection()
        self._add_tasks()

    def _has_fabfile(self) -> bool:
        """Whether there is one to load, or one was named that must be there."""
        named = self.args.collection.value
        loader = self.loader_class(config=self.config, start=self.args["search-root"].value)
        try:
            return bool(named or loader.find(self.config.tasks.collection_name))
        except CollectionNotFound:
            return False

    def _add_tasks(self) -> None:
        """encamp's tasks, and ``init``, beside those of the fabfile, which win."""
        from encamp import fabfile, tasks

        for task in (tasks.init, *(getattr(tasks, name) for name in fabfile.__all__)):
            if task.name.replace("_", "-") not in self.collection.task_names:
                self.collection.add_task(task)


def fab() -> None:
    """``fab``."""
    FabProgram(executor_class=fabric.Executor, config_class=fabric.Config, loader_class=SiteLoader).run()


def encamp() -> None:
    """``encamp``."""
    EncampProgram(executor_class=FleetExecutor, config_class=fabric.Config, loader_class=SiteLoader).run()

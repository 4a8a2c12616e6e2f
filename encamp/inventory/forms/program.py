"""Inventories that a program gives: executable scripts, and ``plugin:`` files through ``ansible-inventory``."""

from __future__ import annotations

import errno
import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from encamp.errors import InventoryError, Origin
from encamp.inventory.forms.listed import Listing
from encamp.inventory.groups import Tree
from encamp.support import environment

_SHOWN_LINES = 12
_MARKS = ("[WARNING]", "[ERROR]", "ERROR!")
_ATTEMPTS = r"with '?(yaml|ini|toml|host_list)'? plugin"
#: Settings of Ansible under which a source that cannot be read is an error, and what it prints is for programs. The
#: files in group_vars and host_vars are encamp's to read: they know their lines, and secrets in them stay secret.
_ANSIBLE = {
    "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
    "ANSIBLE_INVENTORY_UNPARSED_FAILED": "true",
    "ANSIBLE_NOCOLOR": "true",
    "ANSIBLE_DEPRECATION_WARNINGS": "false",
    "ANSIBLE_VARS_ENABLED": "",
}


class NotAProgram(Exception):
    """The file is marked as executable, but this system cannot execute it: a file system without modes marks all."""


def read_script(tree: Tree, path: str, references: set[str]) -> str:
    """Run a script with ``--list``, and with ``--host`` where that leaves variables out. Returns a note or nothing.

    Raises NotAProgram, InventoryError.
    """
    listing = Listing(_run([path, "--list"], path), os.path.basename(path), path, references)
    listing.add_to(tree, functools.partial(_ask_host, path))
    if listing.has_variables or not listing.hosts:
        return ""
    count = len(listing.hosts)
    return f"{Origin(path)} gives no _meta.hostvars, so it was run once more for each host ({count} times, --host)"


def read_plugin(tree: Tree, path: str, earlier: Sequence[str], name: str) -> None:
    """Let Ansible read a ``plugin:`` file. ``earlier``: sources before it, for a plugin that builds upon them.

    Raises InventoryError, also where Ansible is not installed.
    """
    program = ansible_inventory()
    if program is None:
        raise InventoryError(
            f"the inventory plugin {name} needs Ansible, and there is no ansible-inventory here",
            "install it (pip install ansible, beside encamp or anywhere on PATH), or save what "
            f"`ansible-inventory -i {os.path.basename(path)} --list` prints elsewhere as a .json file",
            Origin(path, 1),
        )
    sources = [word for source in [*(earlier if "constructed" in name else ()), path] for word in ("-i", source)]
    printed = _run([program, *sources, "--list", "--export"], path, {**_ANSIBLE, **_locale()})
    Listing(printed, "ansible-inventory", path, None).add_to(tree, lambda host: {})


def read_saved(tree: Tree, text: str, path: str) -> None:
    """A file that holds what a program listed. Raises InventoryError."""
    Listing(text, os.path.basename(path), path, None).add_to(tree, lambda host: {})


def ansible_inventory() -> str | None:
    """Ansible's program: on PATH, or in encamp's own environment."""
    beside = Path(sys.executable).with_name("ansible-inventory")
    return shutil.which("ansible-inventory") or (str(beside) if os.access(beside, os.X_OK) else None)


def _locale() -> Mapping[str, str]:
    """Ansible refuses a locale whose encoding is not UTF-8, such as cron's."""
    return {} if sys.getfilesystemencoding().lower() == "utf-8" and os.environ.get("LANG") else {"LC_ALL": "C.UTF-8"}


def _ask_host(path: str, host: str) -> Mapping[str, Any]:
    printed = _run([path, "--host", host], path)
    if not printed.strip():
        return {}
    try:
        found = json.loads(printed)
    except ValueError as error:
        message = f"what {os.path.basename(path)} --host {host} printed is not JSON: {error}"
        raise InventoryError(message, "correct the script", Origin(path)) from None
    return found if isinstance(found, dict) else {}


def _run(command: Sequence[str], path: str, more: Mapping[str, str] = MappingProxyType({})) -> str:
    """What a program prints, with ``more`` in its environment. Raises NotAProgram; InventoryError with what it says
    about its failure."""
    try:
        done = subprocess.run(command, capture_output=True, env={**environment.without_passwords(), **more})
    except OSError as error:
        if error.errno == errno.ENOEXEC:
            raise NotAProgram from None
        fix = "check the program named in its first line (#!), or remove its executable bit (chmod -x)"
        raise InventoryError(f"it cannot be run: {error.strerror}", fix, Origin(path)) from None
    name = " ".join([os.path.basename(command[0]), *command[1:]])
    if done.returncode != 0:
        said = _told(done.stderr) or "it printed nothing to standard error"
        fix = "correct that; a file that is no inventory must not be executable (chmod -x), or not be in this folder"
        raise InventoryError(f"`{name}` exited {done.returncode}:\n{said}", fix, Origin(path))
    try:
        return done.stdout.decode("utf-8")
    except UnicodeDecodeError:
        raise InventoryError(f"what `{name}` printed is not UTF-8", "correct the script", Origin(path)) from None


def _told(stderr: bytes) -> str:
    """The end of what a script says; of Ansible the warnings, in their order, without its attempts at other forms."""
    lines = [line.rstrip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    marked = [line for line in lines if line.startswith(_MARKS) and not re.search(_ATTEMPTS, line)]
    return "\n".join(f"    {line}" for line in (marked[:_SHOWN_LINES] or lines[-_SHOWN_LINES:]))

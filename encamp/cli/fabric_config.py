"""Fabric's reading of OpenSSH's configuration: not for encamp's tasks, which ask OpenSSH, and as ever for others.

paramiko, with which Fabric reads the files at each start, knows less of them than OpenSSH: a directive it cannot parse
ends it with a traceback before any task is reached, also where it would never have counted.
"""

from __future__ import annotations

import fabric
from invoke.exceptions import Exit
from paramiko import ConfigParseError


def leave_unread(config: fabric.Config | None) -> None:
    """Let Fabric read no file of OpenSSH's. To be called before the tasks are loaded, or meanwhile; later is too late.

    Fabric reads none where its configuration was given one (``fabric.Config(ssh_config=...)``), and notes the path of
    ``-S`` all the same.
    """
    if config is not None:
        config._set(_given_explicit_object=True)


def read(config: fabric.Config) -> None:
    """What :func:`leave_unread` put off. Raises Exit with code 1 for files that are missing or beyond paramiko."""
    config._set(_given_explicit_object=False)
    try:
        config.load_ssh_config()
    except (ConfigParseError, OSError, UnicodeDecodeError) as error:
        fix = "correct the file; encamp's own tasks do without"
        raise Exit(f"error: Fabric cannot read OpenSSH's configuration: {error}\n  fix: {fix}", code=1) from None

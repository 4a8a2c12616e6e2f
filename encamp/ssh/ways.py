"""Which way leads to a host: paramiko, or the system's ``ssh`` for what paramiko cannot do."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Sequence

from encamp.errors import InventoryError
from encamp.ssh import config_warnings, keys
from encamp.ssh.config import Hop
from encamp.ssh.config_files import Statement
from encamp.ssh.login import algorithms
from encamp.ssh.target import Address
from encamp.support import environment

_CHECK_SECONDS = 10


def why_openssh(address: Address, options: Sequence[Statement] = ()) -> str:
    """Why ``ssh`` is to be the way; empty where paramiko will do. ``options`` are those of the inventory."""
    last = address.route[-1]
    for hop in address.route:
        found = config_warnings.by_openssh(hop, address.config_file, options if hop is last else ())
        if found:
            return f"only ssh obeys {found}"
        try:
            algorithms(hop)
        except InventoryError as error:
            return error.message
    path = _hardware_key(address)
    if path:
        return f"paramiko cannot use the hardware key {path}"
    return f"a ControlMaster is open ({last.path(last.first('controlpath'))})" if has_master(address) else ""


def has_master(address: Address) -> bool:
    """Whether a ControlMaster of OpenSSH's configuration is open to the host."""
    hop = address.route[-1]
    path = hop.first("controlpath")
    try:
        if not path or not stat.S_ISSOCK(os.stat(hop.path(path)).st_mode):
            return False
        command = ["ssh", *(["-F", address.config_file] if address.config_file else []), *address.options]
        command += ["-O", "check", "-l", hop.user, "-p", str(hop.port), "--", hop.name]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CHECK_SECONDS,
            env=environment.without_passwords(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _hardware_key(address: Address) -> str:
    """A key of a hardware token that is named for the host, or is all that there is."""
    if address.policy.keys:
        return next((path for path in address.policy.keys if _is_hardware(address.route[-1], path)), "")
    files = [path for path in address.route[-1].identity_files if os.path.exists(path)]
    if address.policy.password or not files or not all(_is_hardware(address.route[-1], path) for path in files):
        return ""
    return files[0]


def _is_hardware(hop: Hop, path: str) -> bool:
    """Whether a key's file is the handle of a hardware token, and the key is not in ssh-agent, which can use it."""
    try:
        public = keys.read(path).public
    except (OSError, keys.KeyProblem):
        return False
    if not public[4:].startswith(b"sk-"):
        return False
    agent = keys.Agent(hop)
    try:
        return public not in {key.blob for key in agent.get_keys()}
    finally:
        agent.close()

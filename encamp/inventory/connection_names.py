"""The names by which Ansible says how a host is reached: those that are obeyed, and those that mean nothing here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set

from encamp.errors import InventoryError, Origin

#: Ansible's connection variables that are obeyed, with what each says.
SUPPORTED: dict[str, str] = {
    "ansible_host": "address to connect to, if it is not the host's name",
    "ansible_port": "SSH port",
    "ansible_user": "login name",
    "ansible_ssh_private_key_file": "private key: a path below the current or the inventory's directory",
    "ansible_password": "login password, as a secret, for hosts that accept no keys",
    "ansible_become": "whether to become root with sudo (default true)",
    "ansible_become_password": "password for sudo, as a secret",
    "ansible_become_method": "sudo (default); nothing else",
    "ansible_become_user": "root (default); nothing else",
    "ansible_python_interpreter": "Python 3.9 or later on the host (default python3)",
    "ansible_connection": "ssh (default, also by the names smart and paramiko) or local",
    "ansible_ssh_common_args": "arguments of ssh for this host, such as -o ProxyJump=HOST",
    "ansible_ssh_extra_args": "the same, added to ansible_ssh_common_args",
    "ansible_ssh_args": "the same",
    "ansible_group_priority": "priority among groups of equal depth; only in the inventory file",
}
#: The names by which Ansible knows the same; of several that are given, the last in the row counts.
NAMES: dict[str, tuple[str, ...]] = {
    "ansible_host": ("ansible_host", "ansible_ssh_host"),
    "ansible_port": ("ansible_port", "ansible_ssh_port"),
    "ansible_user": ("ansible_user", "ansible_ssh_user"),
    "ansible_password": ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password"),
    "ansible_ssh_private_key_file": ("ansible_private_key_file", "ansible_ssh_private_key_file"),
    "ansible_become": ("ansible_become", "ansible_sudo"),
    "ansible_become_user": ("ansible_become_user", "ansible_sudo_user"),
    "ansible_become_password": (
        "ansible_become_password",
        "ansible_become_pass",
        "ansible_sudo_password",
        "ansible_sudo_pass",
    ),
}
#: All names that are obeyed.
KNOWN = tuple(dict.fromkeys([*SUPPORTED, *(name for names in NAMES.values() for name in names)]))
#: What Ansible needs for its own way of working; encamp works otherwise, and the same comes out of it.
WITHOUT_EFFECT = (
    *("ansible_pipelining", "ansible_ssh_pipelining", "ansible_ssh_transfer_method", "ansible_scp_if_ssh"),
    *("ansible_remote_tmp", "ansible_local_tmp", "ansible_async_dir", "ansible_keep_remote_files"),
    *("ansible_shell_type", "ansible_shell_executable", "ansible_ssh_executable", "ansible_ssh_use_tty"),
    *("ansible_ssh_retries", "ansible_ssh_timeout", "ansible_timeout", "ansible_command_timeout"),
    *("ansible_control_path", "ansible_control_path_dir", "ansible_ssh_control_path", "ansible_ssh_verbosity"),
    *("ansible_interpreter_python_fallback", "ansible_gather_subset", "ansible_facts_parallel", "ansible_no_log"),
    *("ansible_become_exe", "ansible_sudo_exe", "ansible_become_flags", "ansible_sudo_flags"),
    *("ansible_sftp_extra_args", "ansible_scp_extra_args", "ansible_sftp_batch_mode", "ansible_managed"),
)
#: Variables of Ansible's other connections. They matter only with ``ansible_connection``, which says so itself.
_OTHER_CONNECTIONS = (
    r"ansible_(winrm|psrp|network|httpapi|netconf|docker|podman|kubectl|lxc|lxd|aws_ssm|paramiko|wsl)_\w+"
)
#: What means something that encamp does otherwise.
_INSTEAD = {
    "ansible_host_key_checking": "use host_key_checking: strict or accept-new",
    "ansible_ssh_host_key_checking": "use host_key_checking: strict or accept-new",
    "ansible_su": "encamp becomes root with sudo; log in as root, or set up sudo",
    "ansible_su_user": "encamp becomes root with sudo; log in as root, or set up sudo",
    "ansible_su_pass": "encamp becomes root with sudo; log in as root, or set up sudo",
}


def written(given: Iterable[str], decided: Set[str]) -> dict[str, str]:
    """For each usual name the one that says it, where that is another. ``decided`` are names that beat all others,
    such as those of the command line."""
    known = set(given)
    found = {}
    for usual, names in NAMES.items():
        there = [name for name in names if name in known]
        strongest = [name for name in there if name in decided] or there
        if strongest and strongest[-1] != usual:
            found[usual] = strongest[-1]
    return found


def refused(name: str, origin: Origin) -> InventoryError | None:
    """The error for a variable of Ansible that means something which encamp cannot do, or that is misspelt."""
    if not name.startswith("ansible_") or is_known(name):
        return None
    if name in _INSTEAD:
        return InventoryError(f"{name} is not supported", _INSTEAD[name], origin)
    import difflib

    near = difflib.get_close_matches(name, KNOWN, 1, 0.8)
    return InventoryError(f"{name} is not supported", f"did you mean {near[0]}?", origin) if near else None


def is_known(name: str) -> bool:
    """Whether a variable is one of Ansible's that encamp obeys, or that changes nothing here."""
    return name in KNOWN or name in WITHOUT_EFFECT or re.fullmatch(_OTHER_CONNECTIONS, name) is not None

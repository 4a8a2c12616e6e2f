"""What an inventory says of the account of a worker or agent, and of what it may use on its host.

A worker runs whatever code the API hands it, so its unit shuts most of the host (systemd.exec(5)). These settings open
it, piece by piece.
"""

from __future__ import annotations

import re

from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.shared.secret import Secret
from roles.worker.runner import Runner

#: As shadow's useradd accepts them, and the longer ones of directories such as LDAP.
ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,255}\$?")
#: No letter that systemd gives a meaning in a list of paths: specifiers, quotes, colons, blanks.
PATH = re.compile(r"/[^\s%\"'\\:;*?\[]*")
DEVICE = re.compile(r"/dev/[^\s%\"'\\:;]+|(char|block)-[A-Za-z0-9*?_./-]+")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+._-]+")


def _check_paths(value: tuple[str, ...]) -> str | None:
    for path in value:
        problem = check_path(path)
        if problem:
            return f"{path!r} {problem}"
    return None


def check_path(value: str) -> str | None:
    """What is wrong with a path of the host, if anything. Empty: none is given."""
    if not value:
        return None
    if not PATH.fullmatch(value) or "/../" in f"{value}/" or "//" in value:
        return "must be an absolute path, without blanks, quotes, colons, % or .."
    return "would open the whole host: use sandbox: false" if value == "/" else None


def _check_devices(value: tuple[str, ...]) -> str | None:
    wrong = next((device for device in value if not DEVICE.fullmatch(device)), None)
    return f"{wrong!r} must be a path below /dev, or a class such as char-drm" if wrong else None


def _check_groups(value: tuple[str, ...]) -> str | None:
    wrong = next((group for group in value if not ACCOUNT.fullmatch(group)), None)
    return f"{wrong!r} is not the name of a group" if wrong else None


def _check_user(value: str) -> str | None:
    return None if not value or ACCOUNT.fullmatch(value) else "must be the name of an account"


def _check_system_packages(value: tuple[str, ...]) -> str | None:
    wrong = next((name for name in value if not PACKAGE.fullmatch(name)), None)
    return f"{wrong!r} is not the name of a package" if wrong else None


@record
class HostAccess(Runner):
    """What a worker or agent may use on its host."""

    system_packages: tuple[str, ...] = setting(
        ("git",),
        "Packages of the distribution that its flows need, by their names there. git is for deployments that clone "
        "their code. `[]`: none.",
        check=_check_system_packages,
        example="[git, libpq5]",
    )
    pip: bool = setting(
        False,
        "Whether its flows may install Python packages (the pull step pip_install_requirements). The worker then runs "
        "in a virtual environment of its own with pip, on top of the locked one, which stays read-only.",
    )
    user: str = setting(
        "",
        "Account that it runs as. The account must exist; encamp does not change it. Empty: prefect-worker, which "
        "encamp makes.",
        check=_check_user,
        example="etl",
    )
    groups: tuple[str, ...] = setting(
        (),
        "Further groups of the process (SupplementaryGroups). docker gives its flows root's rights on the host.",
        check=_check_groups,
        example="[docker, video]",
    )
    writable_paths: tuple[str, ...] = setting(
        (),
        "Directories and files that its flows may write, as far as their permissions allow (ReadWritePaths). "
        "Everything else is read-only, except its home, /tmp and /var/tmp. Must exist.",
        check=_check_paths,
        example="[/data]",
    )
    readable_paths: tuple[str, ...] = setting(
        (),
        "Directories and files below /home, /root, /run/user, /tmp or /var/tmp that its flows may read, as far as "
        "their permissions allow (BindReadOnlyPaths). Other places are readable without. Must exist.",
        check=_check_paths,
        example="[/home/etl/flows]",
    )
    devices: tuple[str, ...] = setting(
        (),
        "Devices that its flows may use (DeviceAllow): paths, or classes as in /proc/devices. Empty: only /dev/null "
        "and its like.",
        check=_check_devices,
        example="[/dev/dri/renderD128, char-nvidia-frontend]",
    )
    working_directory: str = setting(
        "",
        "Directory that it starts in (WorkingDirectory). Must exist. Empty: its home.",
        check=check_path,
        example="/srv/flows",
    )
    sandbox: bool = setting(
        True,
        "Whether its unit shuts the host. false: its flows may do whatever its account may (sudo, ping, mounts, every "
        "path).",
    )
    deploy_key: Secret | None = setting(
        None,
        "Private SSH key, without a passphrase, that git uses to clone. Readable by the worker's account only.",
        example="{file: secrets/deploy_key}",
        lines=True,
    )
    known_hosts: tuple[str, ...] = setting(
        (),
        "SSH host keys of the git servers: lines as in known_hosts (`ssh-keyscan -H HOST` prints them), or files of "
        "the controller with such lines.",
        example="[files/known_hosts]",
    )

    @property
    def uses_ssh(self) -> bool:
        """Whether its flows clone over SSH with what is declared here."""
        return self.deploy_key is not None or bool(self.known_hosts)

    def __post_init__(self) -> None:
        if self.uses_ssh and "GIT_SSH_COMMAND" in self.environment:
            raise ValueError("deploy_key and known_hosts set GIT_SSH_COMMAND: remove it from environment")
        if not self.sandbox and (self.devices or self.readable_paths or self.writable_paths):
            raise ValueError("without a sandbox all paths and devices are open: remove them, or sandbox: false")

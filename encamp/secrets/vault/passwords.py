"""Where vault passwords come from, as in Ansible: files, programs, client programs that take an id, prompts."""

from __future__ import annotations

import functools
import getpass
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from encamp.secrets.vault.cipher import Identity
from encamp.secrets.vault.values import PASSWORD_FILE, VaultError
from encamp.shared.secret import Secret

IDENTITIES, ENCRYPT = "ANSIBLE_VAULT_IDENTITY_LIST", "ANSIBLE_VAULT_ENCRYPT_IDENTITY"
#: What stands in place of a file for a password that is asked for.
PROMPTS = ("prompt", "prompt_ask_vault_pass")
#: The vault id of a password that was given none. Headers do not name it.
DEFAULT = "default"
TIMEOUT_SECONDS = 60


@functools.cache
def identities() -> tuple[Identity, ...]:
    """The passwords that the environment names, or one asked for at the terminal. Read once.

    One that cannot be read causes a warning, as in Ansible: another may be right. Raises VaultError where none is.
    """
    found, problems = [], []
    for name, source in _sources(os.environ):
        try:
            found.append(Identity(name, _password(name, source)))
        except VaultError as error:
            problems.append(error)
    if problems and not found:
        raise problems[0]
    for problem in problems:
        print(f"warning: a vault {problem}", file=sys.stderr)
    if not found and _has_terminal():
        found = [Identity("", _asked(""))]
    return tuple(found)


def to_encrypt_with(name: str, known: Sequence[Identity]) -> Identity:
    """The password for new values: of the vault id ``name``, else of the one that the environment names for this, else
    the only one. Raises VaultError."""
    wanted = name or os.environ.get(ENCRYPT, "")
    fitting = [identity for identity in known if not wanted or identity.name == _normalized(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    if not known:
        raise VaultError("cannot be encrypted: no vault password is known")
    ids = ", ".join(one.name or DEFAULT for one in known)
    wrong = f"there is no password for the vault id {wanted}" if wanted else "it is not clear which password to use"
    raise VaultError(f"cannot be encrypted: {wrong} (known: {ids}); choose one with --vault-id ID")


def _sources(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Vault ids, empty for none, and where the password of each is."""
    listed = [part.strip() for part in environment.get(IDENTITIES, "").split(",") if part.strip()]
    pairs = [part.partition("@") if "@" in part else ("", "@", part) for part in listed]
    files = [environment[name] for name in PASSWORD_FILE if environment.get(name)]
    return [(_normalized(name), source) for name, _, source in pairs] + [("", source) for source in files]


def _normalized(name: str) -> str:
    return "" if name == DEFAULT else name


def _password(name: str, source: str) -> Secret:
    """A password file: its text without white space around it; of a program, what that prints. Raises VaultError."""
    if source in PROMPTS:
        return _asked(name)
    found = os.path.abspath(os.path.expanduser(source))
    try:
        password = _read(found, name).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError, subprocess.SubprocessError) as error:
        reason = error.strerror if isinstance(error, OSError) else _reason(error)
        raise VaultError(f"needs the vault password file {found}, which cannot be used: {reason}") from None
    if not password:
        raise VaultError(f"needs the vault password file {found}, which is empty")
    return Secret(password)


def _read(path: str, name: str) -> bytes:
    """A file; or what a program prints, which keeps the terminal, so that it may ask.

    A program called ``...-client`` (with any extension) gets the vault id as an argument.
    """
    if not (os.access(path, os.X_OK) and os.path.isfile(path)):
        with open(path, "rb") as stream:
            return stream.read()
    client = os.path.splitext(path)[0].endswith("-client")
    argv = [path, "--vault-id", name or DEFAULT] if client else [path]
    return subprocess.run(argv, stdout=subprocess.PIPE, check=True, timeout=TIMEOUT_SECONDS).stdout


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"it exited {error.returncode}"
    timed_out = isinstance(error, subprocess.TimeoutExpired)
    return f"no answer within {TIMEOUT_SECONDS} s" if timed_out else "it is not UTF-8 text"


def _asked(name: str) -> Secret:
    if not _has_terminal():
        raise VaultError("needs a vault password from a prompt, and there is no terminal")
    return Secret(getpass.getpass(f"Vault password{f' ({name})' if name else ''}: "))


def _has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()

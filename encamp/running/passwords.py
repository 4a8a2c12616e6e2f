"""Passwords and passphrases that connections need: from the environment, the command line, the inventory, or asked for
on the terminal. All are available before any host is touched; without a terminal there is no prompt."""

from __future__ import annotations

import getpass
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from encamp.errors import SettingsError
from encamp.output.terminal import printable
from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.support.environment import BECOME_PASSWORD, LOGIN_PASSWORD, PASSPHRASE

if TYPE_CHECKING:
    import fabric

    from encamp.ssh.config import Hop

ATTEMPTS = 3
_ASKING = threading.Lock()


@record
class Settings:
    """Passwords for login and sudo.

    The names are Ansible's.
    """

    ansible_password: Secret | None = setting(None, "Password to log in with.", per_host=True)
    ansible_become_password: Secret | None = setting(None, "Password for sudo.", per_host=True)


def become_password(config: fabric.Config, given: Settings) -> Secret | None:
    """The sudo password of a host: of the environment, of ``--prompt-for-sudo-password``, of the inventory."""
    text = os.environ.get(BECOME_PASSWORD) or config.sudo.password
    return Secret(text) if text else given.ansible_become_password


def login_password(config: fabric.Config, given: Settings) -> Secret | None:
    """The password to log in with: of the environment, of ``--prompt-for-login-password``, of the inventory."""
    text = os.environ.get(LOGIN_PASSWORD) or config.connect_kwargs.get("password")
    return Secret(text) if text else given.ansible_password


def asker() -> Callable[[str, bool], str] | None:
    """Asks a person, one question at a time; None without a terminal."""
    return _ask if sys.stdin is not None and sys.stdin.isatty() else None


def _ask(prompt: str, echo: bool = False) -> str:
    with _ASKING:
        shown = printable(prompt)  # a host's words may be in it
        return input(shown) if echo else getpass.getpass(shown)


class Passphrases:
    """Passphrases of encrypted keys, each found out once a run."""

    def __init__(self, config: fabric.Config) -> None:
        text = os.environ.get(PASSPHRASE) or config.connect_kwargs.get("passphrase")
        self._given = Secret(text) if text else None
        self.found: dict[str, Secret] = {}

    def prepare(self, hop: Hop, named: Sequence[str], source: Secret | None, has_password: bool) -> None:
        """Get the passphrases that logging in to ``hop`` needs. ``source`` is the one that the inventory gives.

        A key that was named needs its own. Of the others one is enough, if no key can be used without.
        Raises SettingsError where there is none, or not the right one.
        """
        from encamp.ssh.keys import Agent

        paths = [path for path in (named or hop.identity_files) if path not in self.found and os.path.isfile(path)]
        locked = [path for path in paths if _is_encrypted(path)]
        if not locked:
            return
        agent = Agent(hop)
        try:
            blobs = {key.blob for key in agent.get_keys()}
        finally:
            agent.close()
        needed = [path for path in locked if not _is_in(path, blobs)]
        if not named and (blobs or has_password or len(locked) < len(paths)):
            needed = []
        for path in needed[: None if named else 1]:
            self.found[path] = self._passphrase(path, source)

    def _passphrase(self, path: str, source: Secret | None) -> Secret:
        given = self._given or source
        if given:
            if _opens(path, given):
                return given
            raise SettingsError(
                f"the given passphrase does not decrypt the private key {path}",
                f"set the right one in {PASSPHRASE} or key_passphrase, or load the key into ssh-agent (ssh-add)",
            )
        ask = asker()
        for _ in range(ATTEMPTS if ask else 0):
            assert ask
            text = Secret(ask(f"Passphrase of {path}: ", False))
            if _opens(path, text):
                return text
        raise SettingsError(
            f"the private key {path} is encrypted"
            + ("" if ask else ", and there is no terminal to ask for its passphrase"),
            f"load it into ssh-agent (ssh-add), or set its passphrase in {PASSPHRASE} or key_passphrase",
        )


def _is_encrypted(path: str) -> bool:
    from encamp.ssh.keys import KeyProblem, read

    try:
        return read(path).encrypted
    except (OSError, KeyProblem):
        return False  # the login reports it


def _is_in(path: str, blobs: set[bytes]) -> bool:
    from encamp.ssh.keys import read

    return read(path).public in blobs


def _opens(path: str, passphrase: Secret) -> bool:
    from encamp.ssh.keys import KeyProblem, load, read

    try:
        load(read(path), passphrase)
    except KeyProblem:
        return False
    return True

"""One host of the inventory: its name, groups, variables, and how to reach it."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Mapping
from typing import Any

from encamp.errors import InventoryError, Origin
from encamp.inventory.connection_names import SUPPORTED, refused
from encamp.inventory.variables import Value, Variables
from encamp.secrets.vault.values import Decrypted, holds_secret, shown
from encamp.support.paths import locate

#: Ansible's words for truth values.
_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1", "y", "t"), True),
    **dict.fromkeys(("false", "no", "off", "0", "n", "f"), False),
}
_SSH = ("ssh", "smart", "paramiko", "paramiko_ssh")
#: In the order in which Ansible puts them on ssh's command line; the first value of an option counts.
SSH_ARGS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
#: ssh(1): options with an argument, and those that are for something else than a session with a command.
_WITH_ARGUMENT = "BbcDEeFIiJLlmOoPpQRSWw"
_OTHER_USES = "EFfGMNnOQsVWy"
#: Letters from which on a word of secret arguments is not shown: fewer are flags.
_TELLING = 4


@dataclasses.dataclass(frozen=True)
class Host:
    """A host. ``adhoc``: named on the command line only. ``directory`` is where its inventory file lies.

    ``faults``: files of its variables that cannot be read, so that ``variables`` lack what they say.

    ``groups`` holds all groups it is in, parents too, the weakest first. The properties say how to reach it; each
    raises InventoryError at the line of a value that cannot be used.
    """

    name: str
    groups: tuple[str, ...] = ("all", "ungrouped")
    variables: Mapping[str, Value] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    adhoc: bool = False
    directory: str = dataclasses.field(default="", compare=False, repr=False)
    faults: tuple[InventoryError, ...] = dataclasses.field(default=(), compare=False, repr=False)

    @property
    def address(self) -> str:
        """Name or address to connect to."""
        return self._text("ansible_host") or self.name

    @property
    def user(self) -> str | None:
        """Login name; None leaves it to ~/.ssh/config or the local user."""
        return self._text("ansible_user")

    @property
    def port(self) -> int | None:
        """SSH port; None leaves it to ~/.ssh/config."""
        value = self.variables.get("ansible_port")
        if value is None or value.data is None:
            return None
        number = int(value.data) if str(value.data).isdecimal() else 0
        if isinstance(value.data, bool) or not 1 <= number <= 65535:
            raise self._wrong("ansible_port", value, "a number from 1 to 65535")
        return number

    @property
    def key_file(self) -> str | None:
        """Absolute path of the private key: below the current directory if it is there, else the inventory's."""
        text = self._text("ansible_ssh_private_key_file")
        return locate(text, self.directory) if text else None

    @property
    def become(self) -> bool:
        """Whether to become root. True unless the inventory says otherwise: what is deployed needs root."""
        value = self.variables.get("ansible_become")
        if value is None:
            return True
        word = str(value.data).lower()
        if not isinstance(value.data, (bool, int, str)) or word not in _WORDS:
            raise self._wrong("ansible_become", value, "true or false")
        return _WORDS[word]

    @property
    def python(self) -> str:
        """Python program on the host."""
        text = self._text("ansible_python_interpreter")
        return "python3" if text is None or text.startswith("auto") else text

    @property
    def local(self) -> bool:
        """Whether the host is this machine, reached without SSH."""
        text = (self._text("ansible_connection") or "ssh").removeprefix("ansible.builtin.")
        if text not in (*_SSH, "local"):
            raise self._wrong("ansible_connection", self.variables["ansible_connection"], "ssh or local")
        return text == "local"

    @property
    def secrets(self) -> list[Any]:
        """Secret values among those that say how to reach the host, and the words of such arguments of ssh: a message
        must not repeat them."""
        names = ("ansible_host", "ansible_user", "ansible_port", "ansible_ssh_private_key_file", *SSH_ARGS)
        found = [self.variables[name].data for name in names if name in self.variables]
        secrets = [data for data in found if holds_secret(data)]
        words = [word for data in secrets for word in re.split(r"[\s=:@'\"]+", str(data)) if len(word) >= _TELLING]
        return [*secrets, *map(Decrypted, words)]

    @property
    def ssh_options(self) -> tuple[str, ...]:
        """Arguments of ``ssh``, in Ansible's order."""
        found: list[str] = []
        for name in SSH_ARGS:
            text = self._text(name)
            if text:
                found += self._options(name, text)
        return tuple(found)

    def _options(self, name: str, text: str) -> list[str]:
        value = self.variables[name]
        try:
            words = shlex.split(text)
        except ValueError:
            raise self._wrong_arguments(name, value, "with closed quotes") from None
        left = list(words)
        while left:
            word = left.pop(0)
            if not re.fullmatch(r"-[A-Za-z0-9].*", word):
                raise self._wrong_arguments(name, value, "without a host or a command")
            flags = re.match(f"-[^{_WITH_ARGUMENT}]*(.?)(.*)", word, re.DOTALL)
            assert flags
            if set(word[: flags.start(2)]) & set(_OTHER_USES):
                raise self._wrong_arguments(name, value, f"of a connection, and {word[: flags.start(2)]} is not one")
            if flags[1] and not flags[2]:
                if not left:
                    raise self._wrong_arguments(name, value, f"that are complete: {word} lacks its argument")
                left.pop(0)
        return words

    def _wrong_arguments(self, name: str, value: Value, wanted: str) -> InventoryError:
        """The error for arguments of ssh, which are not shown: a ProxyCommand there may hold a password."""
        return InventoryError(f"{name} must be options of ssh {wanted}", SUPPORTED[name], value.origin)

    def check_connection(self) -> None:
        """Look at every connection variable. Raises InventoryError for the first that cannot be used."""
        for name in ("address", "user", "port", "key_file", "local", "become", "python", "ssh_options"):
            getattr(self, name)
        if self.become:
            self._expect("ansible_become_method", ("sudo", "ansible.builtin.sudo"))
            self._expect("ansible_become_user", ("root", "0"))
        for name in self.variables:
            problem = refused(name, self._origin(name))
            if problem:
                raise problem

    def _expect(self, name: str, accepted: tuple[str, ...]) -> None:
        """Raises InventoryError for another value than the one that encamp works with."""
        text = self._text(name)
        if text is not None and text not in accepted:
            raise self._wrong(name, self.variables[name], f"{accepted[0]}: encamp becomes root with sudo")

    def _origin(self, name: str) -> Origin:
        variables = self.variables
        return variables.origin(name) if isinstance(variables, Variables) else variables[name].origin

    def _text(self, name: str) -> str | None:
        value = self.variables.get(name)
        if value is None or value.data is None or value.data == "":
            return None
        if isinstance(value.data, str):
            return str(value.data)
        if value.text is not None and not isinstance(value.data, (dict, list)):
            return value.text
        raise self._wrong(name, value, "a text (quote it)")

    def _wrong(self, name: str, value: Value, wanted: str) -> InventoryError:
        """The error for a value, which is not repeated where it came out of a vault."""
        return InventoryError(f"{name} must be {wanted}, not {shown(value.data)}", SUPPORTED[name], value.origin)

"""One host of the inventory: its name, groups, variables, and how to reach it."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Mapping
from typing import Any

from encamp.errors import InventoryError, Origin
from encamp.inventory.variables import Value
from encamp.support.paths import locate

#: Ansible's connection variables that are obeyed, with what each says.
SUPPORTED: dict[str, str] = {
    "ansible_host": "address to connect to, if it is not the host's name",
    "ansible_port": "SSH port",
    "ansible_user": "login name",
    "ansible_ssh_private_key_file": "private key: a path below the current or the inventory's directory",
    "ansible_password": "login password, as a secret, for hosts that accept no keys",
    "ansible_become": "whether to become root with sudo (default true)",
    "ansible_become_password": "password for sudo, as a secret",
    "ansible_python_interpreter": "Python 3.9 or later on the host (default python3)",
    "ansible_connection": "ssh (default) or local",
    "ansible_ssh_common_args": "arguments of ssh for this host, such as -o ProxyJump=HOST",
    "ansible_ssh_extra_args": "the same, added to ansible_ssh_common_args",
    "ansible_ssh_args": "the same",
    "ansible_group_priority": "priority among groups of equal depth; only in the inventory file",
}
_INSTEAD = {
    "ansible_ssh_host": "use ansible_host",
    "ansible_ssh_user": "use ansible_user",
    "ansible_ssh_port": "use ansible_port",
    "ansible_private_key_file": "use ansible_ssh_private_key_file",
    "ansible_ssh_pass": "use ansible_password",
    "ansible_ssh_password": "use ansible_password",
    "ansible_become_pass": "use ansible_become_password",
    "ansible_sudo_pass": "use ansible_become_password",
    "ansible_become_method": "remove it: encamp becomes root with sudo",
    "ansible_become_user": "remove it: encamp becomes root with sudo",
}


#: In the order in which Ansible puts them on ssh's command line; the first value of an option counts.
SSH_ARGS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
#: ssh(1): options with an argument, and those that are for something else than a session with a command.
_WITH_ARGUMENT = "BbcDEeFIiJLlmOoPpQRSWw"
_OTHER_USES = "EFfGMNnOQsVWy"


def unsupported(name: str, origin: Origin) -> InventoryError:
    """The error for an ``ansible_`` variable that would have no effect here."""
    fix = f"{_INSTEAD[name]}; " if name in _INSTEAD else ""
    return InventoryError(f"{name} is not supported", f"{fix}supported: {', '.join(SUPPORTED)}", origin)


@dataclasses.dataclass(frozen=True)
class Host:
    """A host. ``adhoc``: named on the command line only. ``directory`` is where its inventory file lies.

    ``groups`` holds all groups it is in, parents too, the weakest first. The properties say how to reach it; each
    raises InventoryError at the line of a value that cannot be used.
    """

    name: str
    groups: tuple[str, ...] = ("all", "ungrouped")
    variables: Mapping[str, Value] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    adhoc: bool = False
    directory: str = dataclasses.field(default="", compare=False, repr=False)

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
        words: dict[Any, bool] = {True: True, False: False, "yes": True, "no": False, "true": True, "false": False}
        if value is None:
            return True
        data = value.data.lower() if isinstance(value.data, str) else value.data
        if not isinstance(data, (bool, str)) or data not in words:
            raise self._wrong("ansible_become", value, "true or false")
        return words[data]

    @property
    def python(self) -> str:
        """Python program on the host."""
        text = self._text("ansible_python_interpreter")
        return "python3" if text is None or text.startswith("auto") else text

    @property
    def local(self) -> bool:
        """Whether the host is this machine, reached without SSH."""
        text = self._text("ansible_connection") or "ssh"
        if text not in ("ssh", "local"):
            raise self._wrong("ansible_connection", self.variables["ansible_connection"], "ssh or local")
        return text == "local"

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
            raise self._wrong(name, value, "arguments of ssh with closed quotes") from None
        left = list(words)
        while left:
            word = left.pop(0)
            if not re.fullmatch(r"-[A-Za-z0-9].*", word):
                raise self._wrong(name, value, "options of ssh, without a host or a command")
            flags = re.match(f"-[^{_WITH_ARGUMENT}]*(.?)(.*)", word, re.DOTALL)
            assert flags
            if set(word[: flags.start(2)]) & set(_OTHER_USES):
                raise self._wrong(name, value, f"options of a connection, and {word} is not one")
            if flags[1] and not flags[2]:
                if not left:
                    raise self._wrong(name, value, f"complete: {word} lacks its argument")
                left.pop(0)
        return words

    def check_connection(self) -> None:
        """Look at every connection variable. Raises InventoryError for the first that cannot be used."""
        for name in ("address", "user", "port", "key_file", "become", "python", "local", "ssh_options"):
            getattr(self, name)

    def _text(self, name: str) -> str | None:
        value = self.variables.get(name)
        if value is None or value.data is None or value.data == "":
            return None
        if not isinstance(value.data, str):
            raise self._wrong(name, value, "a text (quote it)")
        return str(value.data)

    def _wrong(self, name: str, value: Value, wanted: str) -> InventoryError:
        shown = "true" if value.data is True else "false" if value.data is False else value.data
        return InventoryError(f"{name} must be {wanted}, not {shown}", SUPPORTED[name], value.origin)

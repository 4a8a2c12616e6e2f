"""The proxy of an engine that encamp installed: in a file for root alone, which a drop-in of Docker's unit names.

What a unit has in ``Environment=`` every user can read with ``systemctl show``; of ``EnvironmentFile=`` only the path.
"""

from __future__ import annotations

import re
from typing import Mapping, Union

from encamp.resources.proxy import Proxy
from encamp.resources.system import Reader, System
from encamp.shared.secret import Secret

#: What systemd adds to Docker's unit, and where its variables are.
DROP_IN = "/etc/systemd/system/docker.service.d/encamp-proxy.conf"
VARIABLES = "/etc/encamp/docker-proxy.env"
MARK = "# Managed by encamp: written when it installed Docker."
_OLD_LINE = re.compile(r'^Environment="(\w+)=(.*)"$', re.MULTILINE)


def is_exposed(host: Reader) -> bool:
    """Whether a drop-in of encamp's holds the proxy itself, as older versions wrote it."""
    return bool(_old_variables(host))


def lead_out(host: System, proxy: Proxy) -> None:
    """Have the engine pull through a proxy from its next start on."""
    _write(host, {name: value for name, value in proxy.variables.items() if name.isupper()})


def conceal(host: System) -> None:
    """Move the proxy of an old drop-in into its file. The engine that runs has read it, and is left alone."""
    _write(host, _old_variables(host))
    host.run(["systemctl", "daemon-reload"])


def _old_variables(host: Reader) -> dict[str, str]:
    text = (host.read(DROP_IN) or b"").decode("utf-8", "replace")
    return {name: value.replace("%%", "%") for name, value in _OLD_LINE.findall(text)} if MARK in text else {}


def _write(host: System, variables: Mapping[str, Union[str, Secret]]) -> None:
    """The file before the drop-in that names it. Without it (``-``) the owner's engine still starts."""
    host.mkdir(VARIABLES.rpartition("/")[0])
    host.mkdir(DROP_IN.rpartition("/")[0])
    lines = [f"{name}={_quoted(value)}" for name, value in variables.items()]
    host.write(VARIABLES, Secret("\n".join([MARK, *lines, ""])), "root", "root", 0o600)
    host.write(DROP_IN, f"{MARK}\n[Service]\nEnvironmentFile=-{VARIABLES}\n", "root", "root", 0o644)


def _quoted(value: Union[str, Secret]) -> str:
    """A value as systemd.exec(5) reads it in double quotes."""
    text = value.reveal() if isinstance(value, Secret) else value
    return '"' + re.sub(r'([\\"$`])', r"\\\1", text) + '"'

"""Makes openings in a plain nftables ruleset permanent: a loader, and units that run it after the owner's rules."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any, Union

from encamp.resources.base import Change
from encamp.resources.files.file import File
from encamp.resources.firewall import nft_loader
from encamp.resources.firewall.opening import Opening, address
from encamp.resources.system import Reader, System
from encamp.resources.systemd.service import Service
from encamp.resources.systemd.unit import SystemdUnit
from encamp.resources.systemd.unit_state import unit_state

OPENINGS = "/etc/encamp/nftables"
DIRECTORY = "/usr/local/lib/encamp"
PROGRAM = f"{DIRECTORY}/firewall_nft_loader.py"
UNIT = "encamp-nftables.service"
UNITS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
# Services that load the owner's rules at boot: nftables itself, and those that restore saved iptables rules.
OWNERS = ("nftables.service", "netfilter-persistent.service", "iptables.service", "ip6tables.service")
# "-": the owner's service starts even if the loader fails.
DROP_IN = """\
# Written by encamp: puts its openings back whenever this service has loaded the owner's rules.
[Service]
ExecStartPost=-{command}
"""
# Only nftables.service supports reload; the others must not get one.
DROP_IN_RELOAD = "ExecReload=-{command}\n"
UNIT_TEXT = """\
# Written by encamp: for rules that no service of the distribution loads.
[Unit]
Description=Ports that encamp opens in this host's nftables rules
After={owners} network.target

[Service]
Type=oneshot
ExecStart={command}

[Install]
WantedBy=multi-user.target
"""
Part = Union[File, SystemdUnit, Service]


def described(opening: Opening) -> dict[str, Any]:
    """The opening in the loader's format."""
    return {
        "name": opening.name,
        "purpose": opening.purpose,
        "protocol": opening.protocol,
        "port": opening.port,
        "sources": [address(network) for network in opening.networks],
    }


def installed(host: Reader, opening: Opening) -> bool:
    """Whether the host has an opening with this name on disk."""
    return host.stat(_file(opening)) is not None


def check(host: Reader, opening: Opening) -> list[Change]:
    """What is missing for the opening to survive a reboot."""
    changes = [change for part in _parts(host, opening) for change in part.check(host)]
    return changes or [Change("loaded by systemd", "no", "yes")] if changes or _unread(host) else []


def install(host: System, opening: Opening) -> None:
    """Write what :func:`check` found missing, then load all openings."""
    for directory in (OPENINGS, DIRECTORY, *(_parent(_drop_in(owner)) for owner in _owners(host))):
        if not host.stat(directory):
            host.mkdir(directory)
    for part in _parts(host, opening):
        changes = part.check(host)
        if changes:
            part.apply(host, changes)
    if _unread(host):
        host.run(["systemctl", "daemon-reload"])
    host.run(_command(host))


def remove(host: System, opening: Opening) -> None:
    """Remove one opening from disk and kernel; with the last one also the loader and its units."""
    host.remove(_file(opening))
    if host.stat(PROGRAM):
        host.run(_command(host))
    if host.listdir(OPENINGS):
        return
    service, unit = Service(UNIT, running=False, enabled=False), SystemdUnit(UNIT, ensure="absent")
    left = service.check(host)
    if left:
        service.apply(host, left)
    for path in (*map(_drop_in, _owners(host)), PROGRAM):
        host.remove(path)
        _remove_if_empty(host, _parent(path))
    for directory in (OPENINGS, _parent(OPENINGS)):
        _remove_if_empty(host, directory)
    # Last: it also makes systemd reload, without the drop-ins.
    unit.apply(host, unit.check(host))


def _command(host: Reader) -> list[str]:
    """The command that loads the openings, at boot and in a deploy."""
    return [host.which("python3") or "/usr/bin/python3", "-I", PROGRAM, OPENINGS]


def _file(opening: Opening) -> str:
    return f"{OPENINGS}/{opening.name}.json"


def _owners(host: Reader) -> list[str]:
    """The host's services that may load the owner's rules."""
    return [name for name in OWNERS if any(host.stat(f"{path}/{name}") for path in UNITS)]


def _drop_in(owner: str) -> str:
    return f"{UNITS[0]}/{owner}.d/encamp.conf"


def _unread(host: Reader) -> bool:
    """Whether systemd has not read one of encamp's drop-ins yet."""
    return any(unit_state(host, owner).needs_reload for owner in _owners(host))


def _parts(host: Reader, opening: Opening) -> list[Part]:
    command = " ".join(_command(host))
    parts: list[Part] = [
        # The module's source as it was sent: it is in no file on the host ("#!" keeps it unstripped).
        File(PROGRAM, _source(nft_loader), mode=0o755),
        File(_file(opening), json.dumps(described(opening), indent=2) + "\n"),
    ]
    for owner in _owners(host):
        text = DROP_IN + (DROP_IN_RELOAD if owner == "nftables.service" else "")
        parts.append(File(_drop_in(owner), text.format(command=command)))
    unit = UNIT_TEXT.format(command=command, owners=" ".join(OWNERS))
    # A oneshot unit is not running after boot.
    return [*parts, SystemdUnit(UNIT, unit), Service(UNIT, running=False)]


def _source(module: ModuleType) -> str:
    """The source of a module, from its loader: on a host it is in no file."""
    spec: Any = module.__spec__
    text: str = spec.loader.get_source(module.__name__)
    return text


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _remove_if_empty(host: System, directory: str) -> None:
    if not host.listdir(directory):
        host.remove(directory)

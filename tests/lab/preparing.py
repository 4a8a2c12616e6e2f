"""What hosts need before they can start: Docker, images, a key, certificates, name servers, settings."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from debian_images import ensure_images, recipe_tag
from layout import DOCKER_SH, HOSTS, Lab
from shell import LabError, run, write

#: mount(2) with MS_BIND is refused.
NO_NAMESPACES = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {
            "names": ["mount"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 13,
            "args": [{"index": 3, "value": 4096, "valueTwo": 4096, "op": "SCMP_CMP_MASKED_EQ"}],
        }
    ],
}


def prepare(lab: Lab, names: Iterable[str], copies: Mapping[str, str] = MappingProxyType({})) -> None:
    """All a host needs before it can start: Docker, images, key, certificates, name servers, settings.

    ``copies``: the images that some hosts start from in place of their own.
    """
    lab.state.mkdir(parents=True, exist_ok=True)
    _ = lab.compose
    tag = recipe_tag()
    ensure_images(tag, {HOSTS[name].image for name in names})
    ensure_key(lab)
    write(lab.ca_bundle, ca_bundle_source().read_text("utf-8"))
    write(lab.resolv_conf, "".join(f"nameserver {server}\n" for server in _name_servers()))
    write(lab.ssh_config, _ssh_config(lab))
    write(lab.no_namespaces, json.dumps(NO_NAMESPACES))
    images = {host.name: f"{host.image.name}:{tag}" for host in HOSTS.values()}
    write(lab.env_file, _compose_variables(lab, {**images, **copies}))


def ensure_key(lab: Lab) -> None:
    """Make the key pair unless it is there."""
    if lab.key.exists() and lab.key.with_suffix(".pub").exists():
        return
    run([str(DOCKER_SH), "need", "ssh-keygen", "openssh-client"], show=True)
    lab.key.unlink(missing_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "encamp lab", "-f", str(lab.key)])
    lab.key.chmod(0o600)


def ca_bundle_source() -> Path:
    """The certificates this machine trusts: what SSL_CERT_FILE names, else the system's bundle."""
    candidates = (
        os.environ.get("SSL_CERT_FILE", ""),
        os.environ.get("REQUESTS_CA_BUNDLE", ""),
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
    )
    for candidate in candidates:
        if candidate and Path(candidate).is_file():
            return Path(candidate)
    raise LabError("no CA bundle found on this machine; name one in SSL_CERT_FILE")


def _name_servers() -> list[str]:
    """Name servers a container can reach: this machine's own, without those on loopback."""
    for source in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        lines = source.read_text("utf-8").splitlines() if source.exists() else []
        words = [line.split() for line in lines]
        servers = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
        usable = [server for server in servers if _is_usable_name_server(server)]
        if usable:
            return usable
    return ["127.0.0.11"]  # Docker's own, which forwards to this machine's


def _is_usable_name_server(server: str) -> bool:
    """Whether a container can ask this server: IPv4 and not on loopback."""
    try:
        address = ipaddress.ip_address(server)
    except ValueError:
        return False
    return address.version == 4 and not address.is_loopback


def _compose_variables(lab: Lab, images: Mapping[str, str]) -> str:
    """The text of compose.env. ``images``: what each host starts from."""
    variables = {
        "ENCAMP_LAB_PROJECT": lab.project,
        "ENCAMP_LAB_NET": lab.net,
        "ENCAMP_LAB_PORTS": lab.ports,
        "ENCAMP_LAB_STATE": str(lab.state),
        "ENCAMP_LAB_PUBLIC_KEY": lab.public_key,
        **{f"ENCAMP_LAB_IMAGE_{name.upper()}": image for name, image in images.items()},
    }
    return "".join(f"{name}={value}\n" for name, value in variables.items())


def _ssh_config(lab: Lab) -> str:
    """The text of an OpenSSH configuration for all hosts."""
    blocks = []
    for host in HOSTS.values():
        blocks.append(
            f"Host {host.name}\n"
            f"    HostName 127.0.0.1\n"
            f"    Port {lab.port(host.name)}\n"
            f"    User {host.user}\n"
            f'    IdentityFile "{lab.key}"\n'
            f"    IdentitiesOnly yes\n"
            f'    UserKnownHostsFile "{lab.known_hosts}"\n'
            f"    GlobalKnownHostsFile /dev/null\n"
            f"    StrictHostKeyChecking yes\n"
        )
    return "\n".join(blocks)

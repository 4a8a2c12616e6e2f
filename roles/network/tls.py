"""https in front of the servers of a host: the settings, and which addresses they make."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from encamp.errors import SettingsError
from encamp.resources.caddy import paths as caddy
from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.site import SiteHost
from roles.network import address


def _https(value: str) -> str | None:
    parts = urlsplit(value)
    plain = re.fullmatch(r"[!-z|~]*", value) and parts.hostname
    return None if not value or (parts.scheme == "https" and plain) else "must be an https:// address"


def _email(value: str) -> str | None:
    return None if not value or re.fullmatch(r"[^\s@{}\"]+@[^\s@{}\"]+", value) else "is not an e-mail address"


@record
class Settings:
    """TLS.

    For https through Caddy: a server whose ``tls`` is not off.
    """

    tls_certificate: str = setting(
        "",
        "With tls: files, the PEM file on the controller with the server's certificate and the chain to its "
        "authority, in that order.",
        example="files/prefect-fullchain.pem",
    )
    tls_key: str | Secret = setting(
        "",
        "With tls: files, the certificate's private key: a PEM file on the controller, or a secret source.",
        example="{command: [pass, prefect-tls-key]}",
        lines=True,
    )
    tls_redirect: bool = setting(
        True, "With https on port 443, whether port 80 is opened and redirects browsers to https."
    )
    acme_email: str = setting("", "With tls: acme, the contact address for the certificate authority.", check=_email)
    acme_directory: str = setting(
        "",
        "With tls: acme, the directory URL of the ACME server. Empty: Let's Encrypt.",
        check=_https,
        example="https://ca.example.com/acme/acme/directory",
    )
    acme_ca_root: str = setting(
        "",
        "With tls: acme, a PEM file on the controller with the root certificate of your own ACME "
        "server: verifies that server, "
        "and is installed on clients and workers.",
        example="files/internal-root.pem",
    )


@record
class VirtualHost:
    """An address that the proxy of a host serves, and the instances below it."""

    name: str
    port: int
    views: tuple[SiteHost, ...]

    @property
    def label(self) -> str:
        """What its files are called: the first instance below it."""
        return self.views[0].instance

    @property
    def by_address(self) -> bool:
        """Whether clients use an IP address, and no name."""
        return re.fullmatch(r"[\d.]+|.*:.*", self.name) is not None

    @property
    def certificate(self) -> str:
        """The file with certificate and key."""
        return caddy.certificate_path(self.label)

    @property
    def root(self) -> str:
        """The file with the root that verifies the operator's own ACME server."""
        return f"{caddy.OWN}/{self.label}-root.pem"

    @property
    def mode(self) -> str:
        return self.views[0].settings(address.Settings).tls


def is_on(host: SiteHost) -> bool:
    """Whether encamp puts https in front of this instance."""
    return host.settings(address.Settings).tls != "off"


def redirects(host: SiteHost) -> bool:
    """Whether port 80 is the proxy's: for redirects, and for ACME servers that ask there."""
    for virtual_host in virtual_hosts(host):
        asked = virtual_host.port == address.HTTPS_PORT or virtual_host.mode == "acme"
        if asked and all(view.settings(Settings).tls_redirect for view in virtual_host.views):
            return True
    return False


def virtual_hosts(host: SiteHost) -> list[VirtualHost]:
    """The addresses that the host's proxy serves. Raises SettingsError where instances or settings contradict."""
    by_address: dict[tuple[str, int], list[SiteHost]] = {}
    for view in host.instances:
        if is_on(view):
            by_address.setdefault((name_of(view), address.outside(view)[1]), []).append(view)
    found = [VirtualHost(name, port, tuple(views)) for (name, port), views in by_address.items()]
    for virtual_host in found:
        _check(virtual_host)
    return found


def name_of(host: SiteHost) -> str:
    """The name, or address, that the certificate of an instance must be for."""
    return address.public(host).host


def _check(virtual_host: VirtualHost) -> None:
    """Raises SettingsError for what the instances at one address may not have in common, or must."""
    first, *others = virtual_host.views
    for view in others:
        if (
            view.settings(Settings) != first.settings(Settings)
            or view.settings(address.Settings).tls != virtual_host.mode
        ):
            shared = f"{virtual_host.name}:{virtual_host.port}"
            reason = f"{first.name}: instances {first.instance} and {view.instance} share {shared}"
            fix = "use the same tls settings for both, or public_urls with different names or ports"
            raise SettingsError(f"{reason}, but their tls settings differ", fix, view.origin("tls"))
    bases = [address.base_path(view) for view in virtual_host.views]
    if len(set(bases)) < len(bases):
        reason = f"{first.name}: two instances have the public_url {address.public_url(first)}"
        raise SettingsError(reason, "give each its own name, port or path", first.origin("public_url"))
    if virtual_host.mode == "acme":
        _check_acme(virtual_host)


def _check_acme(virtual_host: VirtualHost) -> None:
    first = virtual_host.views[0]
    if virtual_host.by_address or "." not in virtual_host.name:
        reason = f"{first.name}: tls: acme needs a public name, which {virtual_host.name} is not"
        fix = "use a full domain name in public_url, or tls: internal"
        raise SettingsError(reason, fix, first.origin("public_url") or first.origin("tls"))
    if virtual_host.port != address.HTTPS_PORT and not first.settings(Settings).tls_redirect:
        reason = f"{first.name}: tls: acme validates the name on port 443 or 80, and this proxy uses neither"
        fix = "remove the port from public_url, or set tls_redirect: true"
        raise SettingsError(reason, fix, first.origin("tls_redirect"))


def is_shared(host: SiteHost, instance: str) -> bool:
    """Whether another instance is behind the same address of the proxy as ``instance``."""
    behind = [[view.instance for view in virtual_host.views] for virtual_host in virtual_hosts(host)]
    return any(instance in names and len(names) > 1 for names in behind)

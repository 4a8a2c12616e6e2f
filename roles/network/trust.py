"""What a worker or client needs to trust the https address of a server."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from encamp.resources.base import Resource
from encamp.resources.certificates.ca_bundle import CaBundle, bundle_path
from encamp.secrets.store import PLACEHOLDER
from encamp.shared.secret import Secret
from encamp.site import Site, SiteHost
from roles.network import address, tls
from roles.network.kinds.system_trust import SystemTrust
from roles.prefect import versions
from roles.prefect.files import read_bundle
from roles.prefect.layout import Layout
from roles.prefect.release import Settings as PrefectSettings
from roles.prefect.release import prefect_version

if TYPE_CHECKING:
    from roles.network.certificate_authority import Authority

#: The name of the secret that the site's own authority is made of.
AUTHORITY = "tls-ca"
#: The trust store of a host as one file, whatever the distribution calls it.
TRUST = "/etc/encamp/ca/system.pem"
#: Stands for that secret where none is made: never the placeholder, whose keys everybody could work out.
_NOBODY = Secret(secrets.token_hex(32))


def authority(site: Site) -> Authority:
    """The site's own certificate authority. It may sign for all names that the site's servers have now."""
    return _authority(site, site.generated(AUTHORITY))


def authorities(site: Site) -> list[Authority]:
    """The authority that signs, and while it is rotated the one that will or did: clients trust both meanwhile."""
    others = [_authority(site, seed) for seed in site.other_values(AUTHORITY)]
    return [authority(site), *others]


def _authority(site: Site, seed: Secret) -> Authority:
    from roles.network.certificate_authority import Authority

    views = [view for host in site.hosts for view in host.instances]
    internal = [view for view in views if view.settings(address.Settings).tls == "internal"]
    return Authority(_NOBODY if seed is PLACEHOLDER else seed, map(tls.name_of, internal))


def marks(site: Site) -> tuple[str, ...]:
    """The first lines that certificate files of the site's authority may have."""
    from roles.network.certificate_authority import mark

    return tuple(mark(one.id) for one in authorities(site))


def acme_root(server: SiteHost) -> str:
    """The root of the operator's own ACME server, as PEM text; empty where there is none."""
    name = server.settings(tls.Settings).acme_ca_root
    return read_bundle("acme_ca_root", name, server) if name else ""


def roots(server: SiteHost, host: SiteHost, site: Site) -> str:
    """The authorities, as PEM text, that ``host`` needs for the API of ``server`` beside the public ones."""
    if not address.public_url(server).startswith("https:"):
        return ""
    mode = server.settings(address.Settings).tls
    own = _own(site) if mode == "internal" else acme_root(server) if mode == "acme" else ""
    bundle = host.settings(PrefectSettings).ca_bundle
    texts = [own, read_bundle("ca_bundle", bundle, host) if bundle else ""]
    return "".join(f"{text.rstrip()}\n" for text in texts if text)


def _own(site: Site) -> str:
    """The certificates of the site's own authorities."""
    return "".join(one.certificate for one in authorities(site))


def resources(server: SiteHost, host: SiteHost, site: Site) -> Iterator[Resource]:
    """What makes ``host`` trust ``server``, as root: a file for Prefect, the trust store for everything else."""
    text = roots(server, host, site)
    if not text:
        return
    yield CaBundle(_bundle(server), text, hashlib.sha256(text.encode()).hexdigest())
    if _by_environment(host):
        yield SystemTrust(TRUST)


def ca_file(server: SiteHost, host: SiteHost, site: Site) -> str:
    """The file that verifies ``server`` for programs on ``host``; empty: whatever they trust anyway."""
    return bundle_path(_bundle(server)) if roots(server, host, site) else ""


def client_settings(server: SiteHost, host: SiteHost, site: Site) -> Mapping[str, str]:
    """The settings with which a worker on ``host`` trusts ``server``, by the keys of ``versions.NAMES``.

    Early releases ignore the setting in their WebSockets (PrefectHQ/prefect#16871), the first ones everywhere: they get
    a variable that all programs read, hence one with all authorities. A profile cannot hold that one.
    """
    found = ca_file(server, host, site)
    if not found:
        return {}
    return {"client_tls_ca_file": found, **({"client_trust": TRUST} if _by_environment(host) else {})}


def _by_environment(host: SiteHost) -> bool:
    return versions.setting("client_trust", prefect_version(host)) is not None


def _bundle(server: SiteHost) -> str:
    name = re.sub(r"[^A-Za-z0-9_-]", "-", server.name)
    return f"api-{name}-{Layout(server.instance).name}"

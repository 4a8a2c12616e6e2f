"""One Caddy for all instances of a host that are served by https: expectations, certificates, sites, and a probe."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from typing import Any

from encamp.errors import SettingsError
from encamp.planning.plan import FLUSH, Item, Step
from encamp.resources.caddy import paths as caddy
from encamp.resources.caddy.expectation import CaddyExpectation
from encamp.resources.caddy.sites import CaddySites
from encamp.resources.files.directory import Directory
from encamp.resources.files.file import File
from encamp.resources.probes.free_port import FreePort
from encamp.resources.systemd.restart import Reload
from encamp.resources.systemd.service import Service
from encamp.shared.secret import Secret
from encamp.site import Site, SiteHost
from roles.network import address, firewall, tls, trust
from roles.network.address_checks import is_address
from roles.network.kinds.proxy_probe import ProxyProbe
from roles.network.tls import Settings, VirtualHost
from roles.prefect import versions
from roles.prefect.files import read_text
from roles.prefect.kinds.endpoint import Endpoint
from roles.prefect.release import prefect_version, system_packages

#: Seconds until the public address must respond. An ACME server connects to this host before it signs.
PATIENCE, ACME_PATIENCE = 30, 120
WARN_DAYS = 21
LOOPBACK = ("127.0.0.0/8", "::1")
SOCKETS = ("events/in", "events/out")


def expectations(host: SiteHost, site: Site) -> Iterator[Item]:
    """What must hold before anything is changed: settings that agree, Caddy available, its ports free or its own."""
    if not tls.is_on(host):
        return
    found = tls.virtual_hosts(host)
    _refuse_server_ports(host, found)
    issued = [virtual_host for virtual_host in found if virtual_host.mode == "internal"]
    yield CaddyExpectation("caddy", {virtual_host.certificate: trust.marks(site) for virtual_host in issued})
    for port in sorted({virtual_host.port for virtual_host in found}):
        yield FreePort(port, caddy.UNIT, instead="use another port in public_url")
    if tls.redirects(host):
        yield FreePort(address.HTTP_PORT, caddy.UNIT, instead="set tls_redirect: false")


def _refuse_server_ports(host: SiteHost, found: Iterable[VirtualHost]) -> None:
    """Raises SettingsError where a server wants a port that is the proxy's."""
    taken = {virtual_host.port for virtual_host in found} | ({address.HTTP_PORT} if tls.redirects(host) else set())
    for view in host.instances:
        port = view.settings(address.Settings).port
        if port in taken:
            reason = (
                f"{host.name}: port {port} is used by both the proxy and the server of the instance {view.instance}"
            )
            where = view.origin("port") or view.origin("public_url")
            raise SettingsError(
                reason, f"set another port: for {view.instance}, or use another port in public_url", where
            )


def resources(host: SiteHost, site: Site) -> Iterator[Item]:
    """Caddy from the distribution, certificates, sites; then the probe that Prefect responds at the public address.

    Where ``tls: off`` is written down, what earlier deploys left is taken away.
    """
    reload = Reload(caddy.UNIT)
    if not any(map(tls.is_on, host.instances)):
        if host.origin("tls"):
            yield Step(CaddySites("encamp"), (reload,))
        return
    if not tls.is_on(host):
        return
    found = tls.virtual_hosts(host)
    yield system_packages(host, "caddy", ("caddy",), ("caddy",))
    yield Directory(caddy.SITES, shared=True)
    yield Directory(caddy.OWN, "root", caddy.GROUP, 0o750)
    for virtual_host in found:
        yield from _certificate(virtual_host, site, reload)
    sites = {virtual_host.label: str(_site_text(virtual_host, site)) for virtual_host in found}
    yield Step(CaddySites("encamp", sites, str(_options(host, site, found))), (reload,))
    yield Service(caddy.UNIT)
    yield from trust.resources(host, host, site)
    yield FLUSH
    yield _probe(host, site)


def _site_text(virtual_host: VirtualHost, site: Site) -> str | Secret:
    first, settings = virtual_host.views[0], virtual_host.views[0].settings(Settings)
    words: tuple[str, ...] = (virtual_host.certificate, virtual_host.certificate)
    options = []
    if virtual_host.mode == "acme":
        words = (settings.acme_email,) if settings.acme_email else ()
        options = [("ca", settings.acme_directory)] if settings.acme_directory else []
        options += [("ca_root", virtual_host.root)] if settings.acme_ca_root else []
    only = address.base_path(first) if len(virtual_host.views) == 1 else ""
    return site.templates.render(
        "caddy/site.caddy.j2",
        url=str(Endpoint("https", virtual_host.name, virtual_host.port)),
        tls_words=words,
        tls_options=options,
        parts=[_part(view, alone=len(virtual_host.views) == 1) for view in virtual_host.views],
        start=f"{only}/" if only else "",
    )


def _part(view: SiteHost, alone: bool) -> dict[str, Any]:
    """One instance below an address. Where several share it, the firewall cannot distinguish their clients.

    As with a firewall, the host itself always has access: its workers, and the probe of a deploy.
    """
    below, sources = address.base_path(view), view.settings(firewall.Settings).allowed_sources
    known = dict.fromkeys((tls.name_of(view), view.inventory.address))
    here = (*LOOPBACK, *filter(is_address, known))
    return {
        "instance": view.instance,
        "matcher": f"prefect_{view.instance}",
        "paths": (below, f"{below}/*") if below else ("*",),
        "sources": () if alone or not sources else tuple(dict.fromkeys([*sources, *here])),
        "upstream": address.local(view).authority,
    }


def _options(host: SiteHost, site: Site, found: Iterable[VirtualHost]) -> str | Secret:
    addresses = [virtual_host.name for virtual_host in found if virtual_host.by_address]
    return site.templates.render(
        "caddy/options.caddy.j2", redirect=tls.redirects(host), default_name=addresses[0] if addresses else ""
    )


def _certificate(virtual_host: VirtualHost, site: Site, reload: Reload) -> Iterator[Item]:
    """The certificate's file, with its key; for ACME the root that verifies the ACME server, where one is named."""
    if virtual_host.mode == "acme":
        root = trust.acme_root(virtual_host.views[0])
        if root:
            yield Step(File(virtual_host.root, root, "root", caddy.GROUP, 0o640), (reload,))
        return
    if virtual_host.mode == "internal":
        leaf = trust.authority(site).leaf(virtual_host.name, _now())
        text = Secret(f"{leaf.certificate}{leaf.key.reveal()}")
    else:
        text = _supplied(virtual_host)
    yield Step(File(virtual_host.certificate, text, "root", caddy.GROUP, 0o640), (reload,))


def _supplied(virtual_host: VirtualHost) -> Secret:
    """The operator's chain and key in one text, checked. Raises SettingsError."""
    from roles.network.certificate_files import InvalidCertificate, check

    host, settings = virtual_host.views[0], virtual_host.views[0].settings(Settings)
    for key in ("tls_certificate", "tls_key"):
        if not getattr(settings, key):
            reason = f"{host.name}: tls: files needs {key}"
            raise SettingsError(reason, "set tls_certificate and tls_key", host.origin("tls"))
    chain = read_text("tls_certificate", settings.tls_certificate, host)
    given = settings.tls_key
    secret = given if isinstance(given, Secret) else Secret(read_text("tls_key", given, host))
    try:
        check(chain, secret, virtual_host.name, _now())
    except InvalidCertificate as invalid:
        where = f"{host.name}: tls_certificate {settings.tls_certificate}"
        raise SettingsError(f"{where}: {invalid}", invalid.fix, host.origin("tls_certificate")) from None
    return Secret(f"{chain.rstrip()}\n{secret.reveal().rstrip()}\n")


def _probe(host: SiteHost, site: Site) -> ProxyProbe:
    acme = host.settings(address.Settings).tls == "acme"
    events = versions.able("task runs by events", prefect_version(host))
    return ProxyProbe(
        address.public_url(host),
        sockets=SOCKETS if events else (),
        ca_file=trust.ca_file(host, host, site),
        timeout=ACME_PATIENCE if acme else PATIENCE,
        unit=caddy.UNIT,
        warn_days=0 if acme else WARN_DAYS,  # Caddy itself renews those, and some are good for hours only
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)

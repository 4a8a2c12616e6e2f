"""What a client gets in each of its modes: first the checks, then its profiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from encamp.planning.plan import Item
from encamp.resources.base import Resource
from encamp.shared.secret import Secret
from encamp.site import Site, SiteHost
from roles.client import database as client_database
from roles.client.kinds.api import ClientApi
from roles.client.kinds.ca import ClientCa
from roles.client.kinds.database import ClientDatabase
from roles.client.kinds.environment import ClientEnvironment
from roles.client.kinds.installed import ClientPrefect
from roles.client.kinds.profile.prefect_profile import ACTIVE, PrefectProfile
from roles.client.kinds.profile.undo import EVERY, UndoProfile
from roles.client.role import SHARE, ProfileSpec, install, install_release, mode_of
from roles.prefect import versions
from roles.prefect.groups import CLIENTS
from roles.prefect.release import prefect_version
from roles.proof.kinds.flow_run import VerificationRun

T = TypeVar("T")
#: Seconds that the API may take to answer a client: the server runs already.
PATIENCE = 5
DATABASE = "database"
#: Settings that no profile may do without where they are needed: what they are for would fail, or be left unchecked.
REQUIRED = ("client_auth", "database_url", "database_tls")
#: Comforts of releases that have them. (Where ephemeral mode cannot be switched on, it always is.)
OPTIONAL = (
    "database_pool_size",
    "database_max_overflow",
    "database_application_name",
    "ephemeral_timeout",
    "client_csrf",  # on by default where it exists
)


def hosted(host: SiteHost, site: Site, specs: Sequence[ProfileSpec], install_prefect: bool) -> Iterator[Item]:
    """Prefect itself where asked for; then, once each API has answered from here, the profiles that point to them.

    In that order: a mistyped address must not replace a profile that works. The first profile becomes the active one.
    """
    release = install_release(host, specs) if install_prefect else ""
    yield from install(host, site, release)
    for spec in specs:
        api = _required(spec.api)
        yield from _ca_file(spec, api.ca)
        yield ClientApi(api.url, api.auth, _trusted(spec), PATIENCE)
        yield _fitting(spec, release)
        yield ClientEnvironment(
            spec.profile, api.url, spec.profile, auth_before_key=versions.AUTH_BEFORE_KEY if api.auth else ""
        )
    for spec in specs:
        yield _hosted_profile(spec, [each.profile for each in specs], active=spec is specs[0])


def _hosted_profile(spec: ProfileSpec, profiles: Sequence[str], active: bool) -> Resource:
    """Ephemeral mode is off, so that a missing URL is an error and not a lost flow run."""
    api = _required(spec.api)
    values: dict[str, str | Secret] = {"api_url": api.url, "ephemeral": "false", **api.settings}
    if api.ca:
        values["client_tls_ca_file"] = ca_path(spec)
    cloud = "api.prefect.cloud" in api.url
    return _profile(
        spec.profile,
        values,
        activate=active,
        others=tuple(profiles),
        version=api.version or versions.NEWEST,
        absent=() if cloud else ("PREFECT_API_KEY",),
    )


def in_database(host: SiteHost, site: Site, specs: Sequence[ProfileSpec], install_prefect: bool) -> Iterator[Item]:
    """The connection URL in place of the API's, once Postgres has accepted this machine's login."""
    release = install_release(host, specs) if install_prefect else ""
    yield from install(host, site, release)
    for spec in specs:
        target = _required(spec.target)
        yield from _ca_file(spec, spec.api.ca if spec.api else "")  # the verification reads back from the API
        yield from _ca_file(spec, target.ca, DATABASE)
        yield _database(host, site, spec, install_prefect)
        yield _fitting(spec, release, same=True)
        yield ClientEnvironment(spec.profile, profile=spec.profile, mode="database")
    for spec in specs:
        target = _required(spec.target)
        yield _profile(
            spec.profile,
            client_database.settings(target, host, ca_path(spec, DATABASE) if target.ca else ""),
            activate=spec is specs[0],
            others=tuple(each.profile for each in specs),
            version=spec.api.version if spec.api else prefect_version(host),
            absent=("api_url", "client_auth"),
        )


def _database(host: SiteHost, site: Site, spec: ProfileSpec, install_prefect: bool) -> Resource:
    """The check of Postgres from the client."""
    target = _required(spec.target)
    found, url = target.connection, target.connection.url()
    return ClientDatabase(
        spec.profile,
        Secret((url.reveal() if isinstance(url, Secret) else url).replace("+asyncpg", "", 1)),
        found.host,
        found.port,
        found.user,
        found.database,
        tls=target.tls,
        ca_file=ca_path(spec, DATABASE) if target.ca else "",
        check_hostname=target.check_hostname,
        managed=target.managed,
        clients=max(1, sum(mode_of(client) == "database" for client in site.in_group(CLIENTS))),
        connections=host.settings(client_database.Settings).client_database_connections,
        way_in=target.way_in,
        brings=install_prefect,
    )


def local(host: SiteHost, site: Site, name: str, install_prefect: bool) -> Iterator[Item]:
    """Plain ephemeral again: neither API nor database in the profile ``name``, or in the one that is active."""
    yield from install(host, site, install_release(host, ()) if install_prefect else "")
    values: dict[str, str | Secret] = {"ephemeral": "true"}
    yield _profile(name or ACTIVE, values, activate=True, version=versions.NEWEST, absent=("api_url", "database_url"))
    yield ClientEnvironment(name or ACTIVE, profile=name, mode="local")


def undo(name: str) -> Iterator[Item]:
    """Put back what was there before the profile, or before all that encamp wrote where ``name`` is empty."""
    yield UndoProfile(name or EVERY)


def verifications(host: SiteHost, specs: Sequence[ProfileSpec]) -> list[Resource]:
    """A flow run as this user would start it, for each profile. A single one must be the active one, too."""
    found: list[Resource] = []
    for spec in specs:
        api = _required(spec.api)
        found.append(
            VerificationRun(
                f"client {spec.profile}",
                api_url=api.url,
                auth=api.auth,
                ca_file=_trusted(spec),
                profile=spec.profile if len(specs) > 1 else "",
                database=spec.target is not None,
            )
        )
    return found


# -- what they share -------------------------------------------------------------------------------------------------


def ca_path(spec: ProfileSpec, of: str = "api") -> str:
    """Where the authorities for a profile's API, or for its database, are kept in the user's home."""
    return f"{SHARE}/ca/{spec.profile}-{of}.pem"


def _ca_file(spec: ProfileSpec, text: str, of: str = "api") -> Iterator[Item]:
    if text:
        yield ClientCa(ca_path(spec, of), text)


def _trusted(spec: ProfileSpec) -> str:
    """The file that verifies the API for a client; empty: the system's trust store."""
    return ca_path(spec) if _required(spec.api).ca else ""


def _fitting(spec: ProfileSpec, release: str, same: bool = False) -> Resource:
    """The check of the Prefect that is installed."""

    api = spec.api
    return ClientPrefect(
        spec.profile,
        server_version=api.version if api else "",
        api_url=api.url if api and not same else "",
        auth=api.auth if api else None,
        ca_file=_trusted(spec) if api else "",
        auth_since=versions.since("client_auth") if api and api.auth and not same else "",
        csrf_since=versions.since("client_csrf") if api and "client_csrf" in api.settings and not same else "",
        same=same,
        brings=release,
    )


def _profile(name: str, values: Mapping[str, str | Secret], **options: Any) -> Resource:
    """A profile, with the tables that say how each of its settings is called by which release."""

    keys = {*values, *(key for key in options.get("absent", ()) if key in versions.NAMES)}
    names = {key: versions.NAMES[key] for key in sorted(keys)}
    return PrefectProfile(
        name,
        values,
        names=names,
        dropped=versions.DROPPED,
        also=versions.ALSO_CALLED,
        builtin=versions.BUILTIN_PROFILES,
        required=tuple(key for key in REQUIRED if key in values),
        optional=tuple(key for key in values if key in OPTIONAL or (key, values[key]) == ("ephemeral", "true")),
        **options,
    )


def _required(value: T | None) -> T:
    """What a spec of this mode has."""
    assert value is not None
    return value

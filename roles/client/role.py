"""A client: a laptop, or any user's account. No root is needed.

In which mode is a setting: ``hosted`` (its flows run against the server's API), ``database`` (each flow starts a
temporary API that writes to the server's Postgres), ``local`` (a temporary API with a file of its own, as Prefect does
when nothing is set).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from encamp.planning.plan import Item
from encamp.resources.files.symlink import Symlink
from encamp.resources.python.expectation import PythonExpectation
from encamp.resources.python.release_link import ReleaseLink
from encamp.settings.declare import setting
from encamp.shared.record import factory, record, replace
from encamp.shared.secret import Secret
from encamp.site import Site, SiteHost
from roles.client import database as client_database
from roles.client.database import Target
from roles.network import access, address, trust
from roles.prefect import pythons
from roles.prefect import role as prefect
from roles.prefect.files import read_bundle
from roles.prefect.groups import CLIENTS
from roles.prefect.layout import DEFAULT, Layout
from roles.prefect.release import Settings as PrefectSettings
from roles.prefect.release import load_release, prefect_version
from roles.role import Role

SHARE = "~/.local/share/encamp"
ENVS = f"{SHARE}/envs"
LINK = f"{SHARE}/prefect"
UV_ROOT = f"{SHARE}/uv"
CACHE = "~/.cache/encamp/uv"
PROGRAM = "~/.local/bin/prefect"
Mode = Literal["hosted", "database", "local"]
MODES: tuple[Mode, ...] = ("hosted", "database", "local")


def check_profile(value: str) -> str | None:
    """What is wrong with a profile's name. Prefect takes any; it is part of a file's name here, and an option there."""
    if value and not re.fullmatch(r"[\w@+][\w@+., ()-]{0,63}", value):
        return "must be at most 64 letters, digits, spaces and .,_+@()-, beginning with a letter, a digit, _, @ or +"
    return "must not end with a space" if value.endswith(" ") else None


@record
class Settings:
    """Clients."""

    profile: str = setting(
        "",
        "Name of the Prefect profile written on clients. Empty: hosted, or the name of the server's instance.",
        check=check_profile,
    )
    client_mode: Mode = setting(
        "hosted",
        "hosted: flows run against the server's API. database: each flow starts a temporary API that writes to the "
        "server's Postgres. local: a temporary API with its own SQLite file, as without encamp.",
    )


@record
class Api:
    """The API that clients are pointed at, and what it asks of them.

    ``version`` is the release that serves it (empty when not known), ``settings`` what clients are told of access, by
    the keys of ``versions.NAMES``. ``ca`` is PEM text. ``login_file`` holds a generated password, relative to the
    inventory (empty: it has none).
    """

    url: str
    version: str = ""
    settings: Mapping[str, str | Secret] = factory(dict)
    ca: str = ""
    login_file: str = ""

    @property
    def auth(self) -> Secret | None:
        """``user:password``, where the server requires it."""
        found = self.settings.get("client_auth")
        return found if isinstance(found, Secret) else None


@record
class ProfileSpec:
    """What one profile of a client is to be. ``api`` is None where no server of the site is used."""

    profile: str
    api: Api | None = None
    target: Target | None = None


def mode_of(host: SiteHost, override: str = "") -> Mode:
    """The client's mode: from the command line or the inventory."""
    return next((mode for mode in MODES if mode == override), host.settings(Settings).client_mode)


def profile_of(instance: str = DEFAULT) -> str:
    """The name of the profile that clients get for an instance, where none is set."""
    return Layout(instance).profile


def api_of(server: SiteHost, host: SiteHost, site: Site) -> Api:
    """An instance of the site as a client uses it. Raises SettingsError."""
    url, version = address.api_url_from(host, server), prefect_version(server)
    roots = trust.roots(server, host, site)
    return Api(url, version, access.client_settings(server, site), roots, access.kept_in(server))


def company(url: str, host: SiteHost) -> str:
    """The operator's own authorities, as PEM text, where a URL is one that they may stand behind."""
    name = host.settings(PrefectSettings).ca_bundle
    return read_bundle("ca_bundle", name, host) if name and url.startswith("https:") else ""


def install_release(host: SiteHost, specs: Sequence[ProfileSpec]) -> str:
    """The release that --install gives a client: its server's, unless another is set; a client may be older."""
    known = next((spec.api.version for spec in specs if spec.api and spec.api.version), "")
    own = prefect_version(host)
    return own if host.origin("prefect_version") or not known else known


def install(host: SiteHost, site: Site, release: str) -> Iterator[Item]:
    """Prefect of a release for the client's user; nothing where that is empty. Raises SettingsError."""
    from roles.client.kinds.ca import ClientCa

    if not release:
        return
    settings = replace(host.settings(PrefectSettings), prefect_version=release)
    wanted = load_release(settings, host.inventory.directory, root=ENVS)
    done = f"{wanted.path}/bin/prefect"
    yield PythonExpectation(
        f"Prefect {wanted.version}", wanted.lock.requires_python, settings.python, done, pythons.older(wanted.version)
    )
    if settings.ca_bundle:
        text = read_bundle("ca_bundle", settings.ca_bundle, host)
        yield ClientCa(prefect.ca_file(settings, root=False), text)  # in the home even of root: this may be a laptop
    yield prefect.uv(settings, site, host, UV_ROOT)
    yield from prefect.managed_python(settings, UV_ROOT, CACHE)
    yield prefect.environment(settings, wanted, UV_ROOT, CACHE)
    yield ReleaseLink(LINK, wanted.path)
    yield Symlink(PROGRAM, f"{LINK}/bin/prefect")


def is_declared(host: SiteHost) -> bool:
    """Whether a host is one of the site's clients."""
    return host.in_group(CLIENTS)


#: No stage of a deploy: `fab configure-client` writes a client's settings, without root.
ROLE = Role(
    "client",
    CLIENTS,
    settings=(Settings, client_database.Settings),
    owners="clients",
    applies_to=is_declared,
)

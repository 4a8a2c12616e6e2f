"""A client: a laptop, or any user's account, whose flows are to run against the hosted API. No root is needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from encamp.plan import Item
from encamp.resources.base import Resource
from encamp.resources.python_expectation import PythonExpectation
from encamp.resources.release_link import ReleaseLink
from encamp.resources.symlink import Symlink
from encamp.settings import setting
from encamp.site import Site, SiteHost
from roles import base, versions
from roles.kinds.flow_proof import FlowProof
from roles.layout import Layout

GROUP = "clients"
SHARE = "~/.local/share/encamp"
ENVS = f"{SHARE}/envs"
LINK = f"{SHARE}/prefect"
UV_ROOT = f"{SHARE}/uv"
CACHE = "~/.cache/encamp/uv"
PROGRAM = "~/.local/bin/prefect"
#: Seconds that the API may take to answer a client: the server runs already.
PATIENCE = 5


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a client gets."""

    profile: str = setting("", "Name of the Prefect profile that clients get. Empty: hosted.")


@dataclasses.dataclass(frozen=True)
class Api:
    """The API that clients are pointed at, and the release that serves it (empty when not known)."""

    url: str
    version: str = ""


def profile_name(host: SiteHost, override: str = "") -> str:
    """The profile's name: from the command line, the inventory, or the instance."""
    return override or host.settings(Settings).profile or Layout(host.instance).profile


def client_settings(api: Api) -> dict[str, str]:
    """What the profile holds. Ephemeral mode is off, so that a missing URL is an error and not a lost flow run."""
    values = {"PREFECT_API_URL": api.url}
    ephemeral = versions.setting("ephemeral", api.version or versions.NEWEST)
    return {**values, ephemeral: "false"} if ephemeral else values


def resources(host: SiteHost, site: Site, api: Api, name: str, install: bool) -> Iterator[Item]:
    """Prefect itself where asked for; then, once the API has answered from here, the profile that points to it.

    In that order: a mistyped address must not replace a profile that works.
    """
    # Imported here: every deploy imports this module for its settings, and these kinds are of no use to it.
    from roles.kinds.client_api import ClientApi
    from roles.kinds.client_environment import ClientEnvironment
    from roles.kinds.prefect_install import ClientPrefect
    from roles.kinds.prefect_profile import PrefectProfile

    settings = host.settings(base.Settings)
    if install:
        yield from _install(host, site, settings)
    ca_file = base.ca_file(settings, root=False) if api.url.startswith("https:") else ""
    yield ClientApi(api.url, ca_file=ca_file, timeout=PATIENCE)
    yield ClientPrefect("installed", server_version=api.version)
    yield PrefectProfile(name, client_settings(api), minimum_versions=_minimum_versions())
    yield ClientEnvironment("overrides", api_url=api.url, profile=name)


def undo(name: str) -> Iterator[Item]:
    """Put back what was there before the profile."""
    from roles.kinds.prefect_profile import PrefectProfile

    yield PrefectProfile(name, {}, undo=True)


def proof(host: SiteHost, api: Api, name: str) -> Resource:
    """A flow run as this user would start it, by the profile alone."""
    return FlowProof(f"client {name}", api_url=api.url)


def _install(host: SiteHost, site: Site, settings: base.Settings) -> Iterator[Item]:
    wanted = base.release(settings, ENVS)
    done = f"{wanted.path}/bin/prefect"
    yield PythonExpectation(f"Prefect {wanted.version}", wanted.lock.requires_python, settings.python, done)
    yield from base.ca_bundle(settings, site, host)
    yield base.uv(settings, site, host, UV_ROOT)
    yield base.environment(settings, wanted, UV_ROOT, CACHE)
    yield ReleaseLink(LINK, wanted.path)
    yield Symlink(PROGRAM, f"{LINK}/bin/prefect")


def _minimum_versions() -> dict[str, str]:
    """The first release that knows each setting of a profile: an unknown one breaks every import of Prefect 2."""
    return {str(names[-1][1]): names[-1][0] for names in (versions.NAMES["ephemeral"], versions.NAMES["api_url"])}

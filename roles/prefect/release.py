"""Which Prefect release is deployed: the settings that every role shares, and the lock it is installed from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar, overload
from urllib.parse import urlsplit

from encamp.errors import SettingsError
from encamp.locking import lockfile
from encamp.resources.packages.apt import LOCK_SECONDS
from encamp.resources.packages.installed import Packages
from encamp.settings.convert import UNREAD
from encamp.settings.declare import setting
from encamp.shared.record import record, replace
from encamp.shared.secret import Secret
from encamp.shared.secret_names import is_secret
from encamp.site import SiteHost
from roles.prefect import bounds, layout, pythons, versions

#: A kind of Packages.
Kind = TypeVar("Kind", bound=Packages)
LOCKS = Path(__file__).resolve().parents[1] / "locks"


def _check_version(value: str) -> str | None:
    """What is wrong with ``prefect_version``, if anything."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", value):
        return "must have three numbers, such as 3.9.1"
    if not versions.supported(value):
        return f"older than {versions.SUPPORTED_SINCE}, the oldest that this encamp deploys"
    return None


def _check_proxy(value: str) -> str | None:
    """What is wrong with a proxy that is no secret, if anything."""
    if not value:
        return None
    parts = urlsplit(value)
    if parts.username is not None:
        return "holds a user or password: use a secret source, as in {env: PROXY}"
    return None if _is_proxy(value) else "must be http://HOST:PORT"


def _is_proxy(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return bool(parts.scheme == "http" and parts.hostname and parts.port)
    except ValueError:  # a port that is no number
        return False


def refuse_wrong_proxy(host: SiteHost) -> None:
    """Raises SettingsError, without any part of it, for a secret that is not the URL of a proxy."""
    proxy = host.settings(Settings).proxy
    if isinstance(proxy, Secret) and proxy is not UNREAD and not _is_proxy(proxy.reveal()):
        reason = f"{host.name}: what proxy comes from is not http://USER:PASSWORD@HOST:PORT"
        raise SettingsError(reason, "percent-encode user and password", host.origin("proxy"))


def _check_no_proxy(value: tuple[str, ...]) -> str | None:
    wrong = next((name for name in value if not re.fullmatch(r"\*|[A-Za-z0-9_.:*/-]+", name)), None)
    return None if wrong is None else f"{wrong!r} is neither a name nor an address"


@record
class Settings:
    """Prefect and its Python.

    For servers, workers and clients.
    """

    prefect_version: str = setting(
        "3.9.1",
        "The Prefect release, quoted. It needs a lock (`fab lock --prefect VERSION` makes one).",
        check=_check_version,
        example="'3.9.1'",
    )
    python: str = setting(
        "",
        "Python for Prefect's environment: a path on the host, or a series such as '3.11', quoted, which uv "
        "downloads if the host lacks it. Empty: the host's python3, or its newest Python that the release supports.",
        check=pythons.check_python,
        example="'3.11'",
    )
    python_mirror: str = setting(
        "",
        "Where uv downloads Pythons from, laid out as the releases of python-build-standalone. Empty: from GitHub.",
        check=pythons.check_mirror,
        example="https://mirror.example.com/python-build-standalone",
        per_host=True,
    )
    index_url: str | Secret = setting(
        "",
        "Package index that hosts install from. Empty: the one in the controller's own pip or uv configuration. "
        "With user and password it is a secret source.",
        secret=is_secret,
        per_host=True,
    )
    ca_bundle: str = setting(
        "",
        "PEM file on the controller with your company's certificate authorities: installed in the trust store of "
        "hosts and used by uv and Prefect.",
        example="files/company-ca.pem",
        per_host=True,
    )
    uv_wheel: str = setting(
        "",
        "Wheel of the pinned uv release on the controller, sent to hosts. Empty: hosts fetch it from their index.",
        example="files/uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        per_host=True,
    )
    proxy: str | Secret = setting(
        "",
        "HTTP proxy through which this host reaches the internet: for downloads, packages, a Docker that encamp "
        "installs, and the flows of workers. The server is always reached directly. Empty: downloads use the one in "
        "the host's /etc/environment or apt configuration where nothing answers directly; workers get none. With "
        "user and password it is a secret source.",
        check=_check_proxy,
        example="http://proxy.example.com:3128",
        per_host=True,
    )
    no_proxy: tuple[str, ...] = setting(
        (),
        "Names, domains and addresses that are reached without `proxy`. Loopback, the host itself and its server are "
        "always among them.",
        check=_check_no_proxy,
        example="[.example.com, 10.0.0.5]",
        per_host=True,
    )
    apt_lock_timeout: int = setting(
        LOCK_SECONDS,
        "Seconds to wait for cloud-init, and for another package manager (unattended upgrades on a first boot), before "
        "packages of the distribution are installed. The process that is waited for is reported.",
        minimum=0,
        per_host=True,
    )


@record
class Release:
    """A Prefect release as installed: its lock, the environment's path, and the link that chooses it."""

    lock: lockfile.Lock
    path: str
    version: str


def load_release(settings: Settings, site: str, packages: Sequence[str] = (), root: str = layout.ENVS) -> Release:
    """The release that the settings ask for, with further packages. Raises SettingsError where there is no lock for it.

    ``site``: the inventory's folder; a lock of the site's own goes before one that comes with encamp.
    """
    lock = _fitting(settings.prefect_version, site, packages)
    return Release(lock, f"{root}/{lock.name}{pythons.suffix(settings.python)}", lock.version)


def release_of(host: SiteHost) -> Release:
    """The release of a host. Raises SettingsError, with the line that asks for it, where there is no lock for it."""
    try:
        return load_release(host.settings(Settings), host.inventory.directory)
    except SettingsError as error:
        raise SettingsError(error.message, error.fix, error.where or host.origin("prefect_version")) from None


def _lock_folder(version: str, site: str, packages: Sequence[str]) -> Path:
    """The folder of a lock. encamp brings none with further packages."""
    own = site_locks(site)
    return own if packages or lockfile.path_of(version, own).exists() else LOCKS


def _fitting(version: str, site: str, packages: Sequence[str]) -> lockfile.Lock:
    """A lock within its release's bounds, with the Pythons that the release really runs on: the first ones set
    themselves no upper limit. Raises SettingsError."""
    lock = lockfile.load(version, _lock_folder(version, site, packages), packages)
    bounds.require(lock, lockfile.command(version, packages))
    return replace(lock, requires_python=versions.python_range(lock.version, lock.requires_python))


def site_locks(directory: str) -> Path:
    """Where a site keeps the locks of its own."""
    return Path(directory) / "locks"


@overload
def system_packages(host: SiteHost, name: str, debian: Sequence[str], rhel: Sequence[str]) -> Packages: ...


@overload
def system_packages(
    host: SiteHost, name: str, debian: Sequence[str], rhel: Sequence[str], kind: type[Kind]
) -> Kind: ...


def system_packages(
    host: SiteHost, name: str, debian: Sequence[str], rhel: Sequence[str], kind: type[Packages] = Packages
) -> Packages:
    """Packages of the distribution, installed with the patience that the host's settings ask for."""
    settings = host.settings(Settings)
    patience, proxy, no_proxy = settings.apt_lock_timeout, settings.proxy, settings.no_proxy if settings.proxy else ()
    return kind(name, tuple(debian), tuple(rhel), patience, proxy, no_proxy)


def prefect_version(host: SiteHost) -> str:
    """The release that a host is to have."""
    return host.settings(Settings).prefect_version

"""What every host needs before Prefect: certificates of the operator, uv, and room to work in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from encamp.errors import Origin, SettingsError
from encamp.locking import lockfile, package_index
from encamp.planning.plan import Item
from encamp.resources.accounts.group import Group
from encamp.resources.accounts.user import User
from encamp.resources.base import Failure, Resource
from encamp.resources.certificates.ca_bundle import CaBundle, bundle_path
from encamp.resources.certificates.pem import validate
from encamp.resources.files.directory import Directory
from encamp.resources.packages.packages import Packages
from encamp.resources.probes.expectation import Expectation
from encamp.resources.python.environment import PythonEnv
from encamp.resources.python.expectation import PythonExpectation
from encamp.resources.python.managed import ManagedPython
from encamp.resources.python.uv_tool import UvTool
from encamp.settings.declare import setting
from encamp.shared.record import record, replace
from encamp.shared.secret import Secret
from encamp.site import Site, SiteHost
from encamp.support import cache
from encamp.support.paths import locate
from roles.prefect import bounds, layout, pythons, uv_release, versions
from roles.prefect.layout import Layout

LOCKS = Path(__file__).resolve().parents[1] / "locks"
DISK_MIB = 600
MEMORY_MIB = 900


def _check_version(value: str) -> str | None:
    """What is wrong with ``prefect_version``, if anything."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", value):
        return "a release has three numbers, such as 3.9.1"
    if not versions.supported(value):
        return f"older than {versions.SUPPORTED_SINCE}, the oldest that this encamp deploys"
    return None


@record
class Settings:
    """Settings that every role shares."""

    prefect_version: str = setting(
        "3.9.1",
        "The Prefect release, quoted. It needs a lock (`fab lock --prefect VERSION` makes one).",
        check=_check_version,
        example="'3.9.1'",
    )
    python: str = setting(
        "",
        "Python to build Prefect's environment with: a path on the host, or a series such as '3.11', quoted, which uv "
        "downloads where the host has none. Empty: the host's python3, or its newest that the release supports.",
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
        "Package index that hosts install from. Empty: the one in the controller's own pip or uv configuration.",
        per_host=True,
    )
    ca_bundle: str = setting(
        "",
        "PEM file on the controller with your company's certificate authorities: installed in the trust store of "
        "hosts and handed to uv and Prefect.",
        example="files/company-ca.pem",
        per_host=True,
    )
    uv_wheel: str = setting(
        "",
        "Wheel of the pinned uv release on the controller, sent to hosts. Empty: hosts fetch it from their index.",
        example="files/uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        per_host=True,
    )


@record
class Release:
    """A Prefect release as installed: its lock, the environment's path, and the link that chooses it."""

    lock: lockfile.Lock
    path: str
    version: str


def release(settings: Settings, site: str, packages: Sequence[str] = (), root: str = layout.ENVS) -> Release:
    """The release that the settings ask for, with further packages. Raises SettingsError where there is no lock for it.

    ``site``: the inventory's folder; a lock of the site's own goes before one that comes with encamp.
    """
    lock = _fitting(settings.prefect_version, site, packages)
    return Release(lock, f"{root}/{lock.name}{pythons.suffix(settings.python)}", lock.version)


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


def expectations(host: SiteHost) -> Iterator[Item]:
    """What must hold before anything on the host is changed."""
    settings = host.settings(Settings)
    try:
        wanted = release(settings, host.inventory.directory)
    except SettingsError as error:
        raise SettingsError(error.message, error.fix, error.where or host.origin("prefect_version")) from None
    pythons.check_series(host.name, wanted.version, settings.python, wanted.lock.requires_python, host.origin("python"))
    done = f"{wanted.path}/bin/prefect"
    yield Expectation(
        f"host of Prefect {wanted.version}{pythons.suffix(settings.python)}",
        families=("debian", "rhel"),
        systemd=True,
        memory=MEMORY_MIB,
        disk=((layout.ENVS, DISK_MIB), ("/var/lib", DISK_MIB)),
        unless=done,
    )
    named = f"Prefect {wanted.version}{pythons.suffix(settings.python)}"
    yield PythonExpectation(named, wanted.lock.requires_python, settings.python, done, pythons.older(wanted.version))


def resources(host: SiteHost, site: Site) -> Iterator[Item]:
    """Certificates, uv, a Python where the host has none that is asked for, and the directories they live in."""
    settings = host.settings(Settings)
    yield Packages("base", debian=("ca-certificates",), rhel=("ca-certificates",))
    yield from ca_bundle(settings, site, host)
    yield uv(settings, site, host, layout.UV_ROOT)
    yield from managed_python(settings, layout.UV_ROOT, layout.UV_CACHE)


def account(layout: Layout, user: str, home: str, comment: str) -> Iterator[Resource]:
    """The user that a service of the instance runs as, with its home, and where its settings are kept."""
    yield Group(user)
    yield User(user, user, home, comment=comment)
    yield Directory("/etc/prefect")
    yield Directory(layout.config)
    yield Directory("/var/lib/prefect")
    yield Directory(home, user, user, 0o750)


def ca_bundle(settings: Settings, site: Site, host: SiteHost) -> Iterator[Resource]:
    """The operator's certificate authorities, where the site names some."""
    if settings.ca_bundle:
        text = read_bundle("ca_bundle", settings.ca_bundle, host)
        yield CaBundle("site", text, hashlib.sha256(text.encode()).hexdigest())


def ca_file(settings: Settings, root: bool = True) -> str:
    """The file that proves servers to programs on the host; empty: the system's trust store, which root adds to."""
    return bundle_path("site", root) if settings.ca_bundle and not root else ""


def uv(settings: Settings, site: Site, host: SiteHost, root: str) -> UvTool:
    """The uv tool below ``root``."""
    where = controller_index(settings)
    return UvTool(
        uv_path(root),
        uv_release.VERSION,
        uv_release.WHEELS,
        index_url=where,
        ca_file=ca_file(settings, root=root.startswith("/")),
        wheel=_read_wheel(settings.uv_wheel, host) if settings.uv_wheel else None,
    )


def uv_path(root: str) -> str:
    return f"{root}/{uv_release.VERSION}/uv"


def managed_python(settings: Settings, uv_root: str, cache: str) -> Iterator[Resource]:
    """The Python that uv brings where a series is asked for and the host has none."""
    brought_to = pythons.brought_to(uv_root, settings.python)
    if brought_to:
        yield ManagedPython(
            settings.python,
            brought_to,
            uv_path(uv_root),
            settings.python_mirror,
            ca_file(settings, root=uv_root.startswith("/")),
            cache,
        )


def environment(settings: Settings, wanted: Release, uv_root: str, cache: str) -> PythonEnv:
    """Prefect and its locked dependencies at the release's path."""
    return PythonEnv(
        wanted.path,
        wanted.lock.text,
        wanted.lock.sha256,
        uv_path(uv_root),
        python=settings.python,
        requires_python=wanted.lock.requires_python,
        index_url=controller_index(settings),
        ca_file=ca_file(settings, root=uv_root.startswith("/")),
        cache_dir=cache,
        pythons=pythons.brought_to(uv_root, settings.python),
        build=wanted.lock.build,
    )


def controller_index(settings: Settings) -> str | Secret:
    """The index named by the site, or else by the controller's own configuration."""
    return settings.index_url or package_index.controller_index().index_url


def read_bundle(key: str, name: str, host: SiteHost) -> str:
    """The certificate authorities in a PEM file that the setting ``key`` names. Raises SettingsError."""
    path, data = read_file(key, name, host)
    text = data.decode("utf-8", "replace")
    checked = f"pem-{hashlib.sha256(data).hexdigest()}"
    if cache.read(checked) is None:
        _check_pem(text, f"{key}: {path}", host.origin(key))
        cache.write(checked, b"")
    return text


def read_text(key: str, name: str, host: SiteHost) -> str:
    """The text of a file that the setting ``key`` names. Raises SettingsError."""
    path, data = read_file(key, name, host)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise SettingsError(f"{key}: {path} is no text", "name a file in PEM format", host.origin(key)) from None


def _read_wheel(name: str, host: SiteHost) -> bytes:
    """The wheel, if it is one of those that are pinned. Raises SettingsError."""
    path, data = read_file("uv_wheel", name, host)
    if hashlib.sha256(data).hexdigest() not in {sha256 for _, _, sha256 in uv_release.WHEELS}:
        wanted = ", ".join(filename for _, filename, _ in uv_release.WHEELS)
        reason = f"uv_wheel: {path} is none of the pinned wheels of uv {uv_release.VERSION}"
        raise SettingsError(reason, f"download one of: {wanted}", host.origin("uv_wheel"))
    return data


def read_file(key: str, name: str, host: SiteHost) -> tuple[Path, bytes]:
    """A file that a setting names: below the current directory if it is there, else the inventory's."""
    path = Path(locate(name, host.inventory.directory))
    try:
        return path, path.read_bytes()
    except OSError as error:
        reason = f"{key}: {path}: {error.strerror}"
        raise SettingsError(reason, "name a file on this machine", host.origin(key)) from None


def _check_pem(text: str, name: str, where: Origin | None) -> None:
    try:
        validate(text, name)
    except Failure as error:
        raise SettingsError(error.reason, error.fix or error.cause, where) from None

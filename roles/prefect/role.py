"""What every host needs before Prefect: certificates of the operator, uv, and room to work in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from encamp.errors import SettingsError
from encamp.locking import package_index
from encamp.planning.plan import Item
from encamp.resources.accounts.group import Group
from encamp.resources.accounts.user import User
from encamp.resources.base import Resource
from encamp.resources.certificates.ca_bundle import CaBundle, bundle_path
from encamp.resources.files.directory import Directory
from encamp.resources.files.own_files_absent import OwnFilesAbsent
from encamp.resources.probes.expectation import Expectation
from encamp.resources.python.distutils import DISTUTILS, SERIES, Distutils
from encamp.resources.python.environment import PythonEnv
from encamp.resources.python.expectation import PythonExpectation
from encamp.resources.python.interpreters import fits
from encamp.resources.python.managed import ManagedPython
from encamp.resources.python.uv.tool import UvTool
from encamp.shared.record import replace
from encamp.shared.secret import Secret
from encamp.site import Site, SiteHost
from roles.prefect import known_faults, layout, pythons, sandbox, server_choice, uv_release
from roles.prefect.files import read_bundle, read_file
from roles.prefect.layout import Layout
from roles.prefect.release import Release, Settings, refuse_wrong_proxy, release_of, system_packages
from roles.role import Role

DISK_MIB = 600
MEMORY_MIB = 900


def expectations(host: SiteHost) -> Iterator[Item]:
    """What must hold before anything on the host is changed."""
    settings = host.settings(Settings)
    wanted = release_of(host)
    refuse_wrong_proxy(host)
    pythons.check_series(host.name, wanted.version, settings.python, wanted.lock.requires_python, host.origin("python"))
    done = f"{wanted.path}/bin/prefect"
    yield Expectation(
        f"host of Prefect {wanted.version}{pythons.suffix(settings.python)}",
        families=("debian", "rhel"),
        systemd=True,
        memory=MEMORY_MIB,
        disk=((layout.ENVS, DISK_MIB), ("/var/lib", DISK_MIB)),
        unless=(done,),
        filled=(wanted.path, layout.UV_ROOT, layout.UV_CACHE, "/var/lib/postgresql", "/usr/lib/postgresql"),
    )
    named = f"Prefect {wanted.version}{pythons.suffix(settings.python)}"
    yield PythonExpectation(named, wanted.lock.requires_python, settings.python, done, pythons.older(wanted.version))


def resources(host: SiteHost, site: Site) -> Iterator[Item]:
    """Certificates, uv, a Python where the host has none that is asked for, and the directories they live in."""
    settings = host.settings(Settings)
    yield system_packages(host, "base", ("ca-certificates",), ("ca-certificates",))
    yield from ca_bundle(settings, site, host)
    yield uv(settings, site, host, layout.UV_ROOT)
    yield from managed_python(settings, layout.UV_ROOT, layout.UV_CACHE)
    yield from _distutils(host, settings)


def _distutils(host: SiteHost, settings: Settings) -> Iterator[Resource]:
    """What Debian's Python 3.9 lacks, for releases that run on it."""
    wanted = release_of(host)
    if fits(SERIES, wanted.lock.requires_python):
        yield replace(
            system_packages(host, f"Python of {wanted.path.rpartition('/')[2]}", (DISTUTILS,), (), Distutils),
            python=settings.python,
            requires_python=wanted.lock.requires_python,
            pythons=pythons.brought_to(layout.UV_ROOT, settings.python),
            unless=f"{wanted.path}/bin/prefect",
        )


def server_account(layout: Layout) -> Iterator[Resource]:
    """The user that the instance's server runs as."""
    yield Group(layout.group)
    yield User(
        layout.user,
        layout.group,
        layout.home,
        comment="Prefect server",
        as_found=bool(layout.service_user),
        setting="service_user",
    )


def worker_account(layout: Layout) -> Iterator[Resource]:
    """The user that the instance's workers run as."""
    user = layout.worker_user
    yield Group(user)
    yield User(user, user, layout.worker_home, comment="Prefect worker", setting="user")


def places(layout: Layout, home: str, user: str, group: str) -> Iterator[Resource]:
    """The home of a service of the instance, and where its settings are kept."""
    yield from folders(layout)
    yield Directory(home, user, group, 0o750)


def folders(layout: Layout) -> Iterator[Resource]:
    """Where settings and homes of an instance are kept."""
    yield Directory("/etc/prefect", shared=True)
    yield Directory(layout.config)
    yield Directory("/var/lib/prefect", shared=True)


def ca_bundle(settings: Settings, site: Site, host: SiteHost) -> Iterator[Resource]:
    """The operator's certificate authorities, where the site names some."""
    if settings.ca_bundle:
        text = read_bundle("ca_bundle", settings.ca_bundle, host)
        yield CaBundle("site", text, hashlib.sha256(text.encode()).hexdigest())


def ca_file(settings: Settings, root: bool = True) -> str:
    """The file that verifies servers for programs on the host; empty: the system's trust store, which root adds to."""
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
        proxy=settings.proxy,
        no_proxy=settings.no_proxy,
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
            settings.proxy,
            settings.no_proxy,
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
        proxy=settings.proxy,
        no_proxy=settings.no_proxy,
    )


def controller_index(settings: Settings) -> str | Secret:
    """The index named by the site, or else by the controller's own configuration."""
    return settings.index_url or package_index.controller_index().index_url


def _read_wheel(name: str, host: SiteHost) -> bytes:
    """The wheel, if it is one of those that are pinned. Raises SettingsError."""
    path, data = read_file("uv_wheel", name, host)
    if hashlib.sha256(data).hexdigest() not in {sha256 for _, _, sha256 in uv_release.WHEELS}:
        wanted = ", ".join(filename for _, filename, _ in uv_release.WHEELS)
        reason = f"uv_wheel: {path} is not one of the pinned wheels of uv {uv_release.VERSION}"
        raise SettingsError(reason, f"download one of: {wanted}", host.origin("uv_wheel"))
    return data


def undeploy(host: SiteHost, instance: str) -> Iterator[Item]:
    """The instance's settings, and the link to its release. Releases stay: other instances may use them."""
    layout = Layout(instance)
    yield OwnFilesAbsent(layout.config)
    yield OwnFilesAbsent(layout.link)


#: Its resources are those of the server's and the worker's stage.
ROLE = Role(
    "prefect",
    settings=(Settings, known_faults.Settings, server_choice.Settings, sandbox.Settings),
    undeploy=undeploy,
)

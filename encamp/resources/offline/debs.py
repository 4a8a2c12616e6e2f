"""Debian packages with all that they depend on, fetched by apt into a folder that is a package source itself."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Sequence, Union

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.packages import installation
from encamp.resources.proxy import proxy_of
from encamp.resources.python.distutils import DISTUTILS, SERIES
from encamp.resources.system import Reader, System
from encamp.shared.secret import Secret

FACTS = "facts.json"


@kind
class CollectedPackages(Resource):
    """Packages and everything that they depend on, whatever this host has, with the index that apt reads.

    ``folder``: where they go. ``names``: the packages; that of Distutils only where this host's Python needs it.
    ``mark``: names this collection; one with that mark is complete.
    ``proxy``, ``no_proxy``: as of Packages.
    Beside the folder stands which release and architecture they are for.
    """

    folder: str
    names: tuple[str, ...]
    mark: str = ""
    proxy: Union[str, Secret] = ""
    no_proxy: tuple[str, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        done = (host.read(f"{self.folder}.done") or b"").decode() == self.mark
        return [] if done else [Change("packages", "", f"in {self.folder}")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        for folder in (f"{self.folder}/partial", f"{self.folder}.state"):
            host.mkdir(folder)
        empty = f"{self.folder}.state/status"  # apt then takes nothing for installed
        host.write(empty, "")
        proxy = proxy_of(host, self.proxy, self.no_proxy) if self.proxy else None
        collecting = installation.options(
            f"Dir::State::status={empty}",
            f"Dir::Cache::archives={self.folder}",
            "APT::Sandbox::User=root",
            "APT::Get::Download-Only=true",
        )
        python = host.query(["python3", "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).out.strip()
        names = [name for name in self.names if name != DISTUTILS or python == SERIES]
        installation.Installation(host, names, proxy=proxy.variables if proxy else {}, options=collecting).run()
        missing = [name for name in names if not any(deb.startswith(f"{name}_") for deb in _debs(host, self.folder))]
        if missing:
            raise Failure(f"apt-get did not fetch {', '.join(missing)}", "see the note before this line")
        for name in ("partial", "lock"):
            host.remove(f"{self.folder}/{name}")
        host.write(
            f"{self.folder}/Packages", "".join(_entry(host, self.folder, name) for name in _debs(host, self.folder))
        )
        release = host.os_release()
        architecture = host.query(["dpkg", "--print-architecture"]).out.strip()
        facts = {"release": f"{release.id} {release.version}", "architecture": architecture, "python": python}
        host.write(os.path.join(os.path.dirname(self.folder), FACTS), json.dumps(facts))
        host.write(f"{self.folder}.done", self.mark)


def _debs(host: Reader, folder: str) -> list[str]:
    return [name for name in host.listdir(folder) if name.endswith(".deb")]


def _entry(host: System, folder: str, name: str) -> str:
    """A package in the index."""
    path = f"{folder}/{name}"
    control = host.run(["dpkg-deb", "--field", path]).out.rstrip()
    data = host.read(path) or b""
    return f"{control}\nFilename: ./{name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n\n"

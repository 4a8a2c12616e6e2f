"""A Python installed by uv, for releases that do not support the host's own Pythons."""

from __future__ import annotations

from typing import Sequence, Union

from encamp.resources.base import Change, CommandFailed, Failure, Resource, kind
from encamp.resources.files.paths import expand
from encamp.resources.python.interpreters import named, version_of
from encamp.resources.system import Reader, System
from encamp.shared.secret import Secret


@kind
class ManagedPython(Resource):
    """A Python of one series: the host's own if it has one, else one that uv downloads.

    series: such as ``3.11``.
    root: directory of the interpreters that uv installs; ``~/`` is the user's home.
    uv: path of the uv program (see UvTool).
    mirror: where uv downloads from, with the layout of python-build-standalone's releases; empty for uv's default,
        GitHub.
    ca_file: PEM file on the host with the mirror's CA; empty for the system's trust store.
    cache_dir: uv's cache.
    proxy: URL of the proxy that leads out; a Secret if it contains credentials. Empty: the one that the host itself
        names (see ``encamp.resources.proxy``).
    no_proxy: names and addresses that are reached without it.
    """

    series: str
    root: str = ""
    uv: str = ""
    mirror: str = ""
    ca_file: str = ""
    cache_dir: str = "/var/cache/encamp/uv"
    proxy: Union[str, Secret] = ""
    no_proxy: tuple[str, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        return [] if named(host, self.series, expand(host, self.root)) else [Change("python", "", self.series)]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        from encamp.resources.proxy import proxy_of
        from encamp.resources.python.uv import run as uv_run

        root, cache = expand(host, self.root), expand(host, self.cache_dir)
        for directory, mode in ((root, 0o755), (cache, 0o700)):
            if host.stat(directory) is None:
                host.mkdir(directory, mode=mode)
        known = uv_run.environment(host, cache, self.ca_file, proxy_of(host, self.proxy, self.no_proxy))
        known.update({"UV_PYTHON_INSTALL_DIR": root, "UV_PYTHON_DOWNLOADS": "manual"})
        if self.mirror:
            known["UV_PYTHON_INSTALL_MIRROR"] = self.mirror
        host.progress(f"downloading Python {self.series}")
        try:
            uv_run.run(host, self.uv, ["python", "install", "--no-bin", self.series], known)
        except CommandFailed as failed:
            raise Failure(
                f"uv could not install Python {self.series} on this host",
                "the download server cannot be reached, or has no such Python for this platform",
                f"install python{self.series} on the host, or set python_mirror: to a copy of the releases of "
                "python-build-standalone that the host can reach",
                failed.result.tail,
            ) from None
        host.run(["chmod", "-R", "u+rwX,go+rX,go-w", root])
        host.label(root, tree=True)
        if not version_of(host, named(host, self.series, root) or root):
            raise Failure(f"the Python {self.series} that uv installed does not run on this host", detail=root)

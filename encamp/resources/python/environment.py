"""A Python environment, created by uv from a lock with hashes."""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any, Optional, Sequence, Union

from encamp.resources.base import Change, CommandFailed, Failure, Resource, kind
from encamp.resources.files.paths import expand, is_series
from encamp.resources.system import Content, Reader, System
from encamp.shared.secret import Secret

if TYPE_CHECKING:
    from encamp.resources.proxy import Proxy

MARKER = ".encamp.json"


@kind
class PythonEnv(Resource):
    """A virtual environment with exactly the packages of a lock, each verified by hash, readable by every user.

    path: its directory, such as /opt/prefect/envs/3.9.1-1f0c9a4b2d3e; ``~/`` is the user's home. A path always belongs
        to one lock: the hash is part of the name.
    lock: requirements with hashes for every package.
    lock_sha256: sha256 of the lock's text.
    uv: path of the uv program (see UvTool).
    python: interpreter on the host, or a series such as 3.11 (the host's, or one that uv installed in ``pythons``);
        empty for the system's python3, or the newest python3.N if that does not fit.
    requires_python: range the release supports, such as ``>=3.10,<3.15``.
    index_url: package index; a Secret if it contains credentials. Empty: uv's default. A path: a folder of wheels,
        used without a network.
    ca_file: PEM file on the host with the index's CA; empty for the system's trust store.
    cache_dir: uv's cache. On the file system of ``path`` it needs no extra space (hard links).
    pythons: directory of the interpreters that uv installs (see ManagedPython).
    build: packages of the lock that are needed to build others without a wheel for this host.
    proxy: URL of the proxy that leads out; a Secret if it contains credentials. Empty: the one that the host itself
        names (see ``encamp.resources.proxy``).
    no_proxy: names and addresses that are reached without it.
    """

    path: str
    lock: Content
    lock_sha256: str
    uv: str
    python: str = ""
    requires_python: str = ""
    index_url: Union[str, Secret] = ""
    ca_file: str = ""
    cache_dir: str = "/var/cache/encamp/uv"
    pythons: str = ""
    build: tuple[str, ...] = ()
    proxy: Union[str, Secret] = ""
    no_proxy: tuple[str, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        """Cheap: reads the marker, which is written last, and follows the link to the base interpreter."""
        path = expand(host, self.path)
        if host.stat(path) is None:
            return [Change("environment", "", "to be created")]
        mark = _read_mark(host, path)
        if mark is None:
            return [Change("environment", "incomplete", "to be recreated")]
        if mark.get("lock") != self.lock_sha256:
            return [Change("environment", "created from another lock", "to be recreated")]
        base = _base(host, f"{path}/bin/python")
        if base != mark.get("base"):
            return [Change("environment", f"its Python {mark.get('base')} was removed", "to be recreated")]
        if self.python not in ("", mark.get("asked")) and not self._is_asked(host, base, str(mark.get("python", ""))):
            return [Change("environment", f"created with {base}", f"to be recreated with {self.python}")]
        return []

    def _is_asked(self, host: Reader, base: str, version: str) -> bool:
        """Whether an environment with ``base`` has the interpreter that is now declared."""
        if is_series(self.python):
            return version.startswith(f"{self.python}.")
        return _base(host, expand(host, self.python)) == base

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        """Recreate it: nothing is repaired in place. A failed attempt is removed, to free its disk space."""
        path = expand(host, self.path)
        from encamp.resources.python.interpreters import choose

        asked, pythons = expand(host, self.python), expand(host, self.pythons)
        python, version = choose(host, asked, self.requires_python, pythons)
        proxy = self._way_out(host)
        self._clear(host, path)
        self._parents(host, path)
        try:
            self._fill(host, path, python, version, proxy)
        except Failure:
            with contextlib.suppress(Failure):
                self._clear(host, path)
            raise

    def _way_out(self, host: System) -> Optional[Proxy]:
        """The proxy that uv needs. Raises Failure where the index does not answer either way."""
        from encamp.resources.proxy import proxy_of
        from encamp.resources.python.simple_index import ca_path, route

        if not self.index_url:
            return proxy_of(host, self.proxy, self.no_proxy)
        return route(host, self.index_url, ca_path(host, self.ca_file), self.proxy, self.no_proxy)

    def _fill(self, host: System, path: str, python: str, version: str, proxy: Optional[Proxy]) -> None:
        host.progress(f"creating the environment with Python {version}")
        self._uv(host, proxy, ["venv", "--no-project", "--python", python, path])
        host.progress("downloading and installing the packages of the lock")
        text = host.text(self.lock)
        from encamp.resources.python.uv.progress import installing

        with installing(host, expand(host, self.cache_dir), path, text):
            if self.build:
                self._uv(host, proxy, self._install(path), stdin=only(text, self.build))
            self._uv(host, proxy, [*self._install(path), *(["--no-build-isolation"] if self.build else [])], stdin=text)
        # Wheels may contain files with mode 0600; a service must be able to read its environment, but not change it.
        host.run(["chmod", "-R", "u+rwX,go+rX,go-w", path])
        host.label(path, tree=True)
        _flush(host, path)
        base = _base(host, f"{path}/bin/python")
        mark = {"lock": self.lock_sha256, "python": version, "base": base, "asked": self.python}
        host.write(f"{path}/{MARKER}", json.dumps(mark) + "\n")

    @staticmethod
    def _clear(host: System, path: str) -> None:
        """Removes the marker first: after an interrupted removal the environment must not look complete."""
        host.remove(f"{path}/{MARKER}")
        host.remove(path)

    def _parents(self, host: System, path: str) -> None:
        for directory, mode in ((path.rpartition("/")[0], 0o755), (expand(host, self.cache_dir), 0o700)):
            if host.stat(directory) is None:
                host.mkdir(directory, mode=mode)

    def _install(self, path: str) -> list[str]:
        # --no-deps: the lock is complete. Bytecode is compiled now, since the service cannot write it.
        return [
            *("pip", "install", "--python", f"{path}/bin/python", "--require-hashes", "--no-deps"),
            *("--strict", "--compile-bytecode", "-r", "-"),
        ]

    def _uv(self, host: System, proxy: Optional[Proxy], arguments: Sequence[str], stdin: str = "") -> None:
        """Run uv. Raises Failure with cause and fix."""
        from encamp.resources.python.uv import run as uv_run

        known = uv_run.environment(host, expand(host, self.cache_dir), self.ca_file, proxy)
        if isinstance(self.index_url, str) and self.index_url.startswith("/"):
            known.update(uv_run.from_folder(self.index_url))
        elif self.index_url:
            known["UV_DEFAULT_INDEX"] = self.index_url
        try:
            uv_run.run(host, self.uv, arguments, known, stdin)
        except CommandFailed as failed:
            from encamp.resources.python.uv.errors import explain

            raise explain(failed.result, self._space(host)) from None

    def _space(self, host: Reader) -> str:
        """Free disk space where uv writes."""
        return host.query(["df", "-Ph", expand(host, self.path), expand(host, self.cache_dir)]).out.strip()


def only(lock: str, names: Sequence[str]) -> str:
    """The part of a lock for these packages, with their hashes."""
    blocks = re.split(r"\n(?=[A-Za-z0-9])", lock)
    return "\n".join(block for block in blocks if re.split(r"[=\s\[]", block, maxsplit=1)[0] in names) + "\n"


def _read_mark(host: Reader, path: str) -> Optional[dict[str, Any]]:
    try:
        mark = json.loads(host.read(f"{path}/{MARKER}") or b"")
    except ValueError:
        return None
    return mark if isinstance(mark, dict) else None


def _base(host: Reader, path: str) -> str:
    """A link's final target; empty if missing. Followed by name, since ``python3 -> python3.11`` has the version."""
    for _ in range(16):
        stat = host.stat(path)
        if stat is None:
            return ""
        if stat.kind != "symlink":
            return path
        path = stat.target if stat.target.startswith("/") else f"{path.rpartition('/')[0]}/{stat.target}"
    return ""


def _flush(host: System, path: str) -> None:
    """Flush the files to disk before the marker is written: power may fail."""
    if not host.query(["sync", "-f", path]).ok:
        host.run(["sync"])

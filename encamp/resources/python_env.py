"""A Python environment made by uv from a lock with hashes."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any, Optional, Sequence, Union

from encamp.resources.base import Change, CommandFailed, Content, Failure, Reader, Resource, System, kind
from encamp.resources.home import expand
from encamp.shared.secret import Secret

MARKER = ".encamp.json"
TRIES = 3


@kind
class PythonEnv(Resource):
    """A virtual environment with exactly the packages of a lock, each proven by hash, readable by every user.

    path: where it goes, such as /opt/prefect/envs/3.8.8-1f0c9a4b2d3e; ``~/`` is the user's home. One path holds one
        lock for good: the hash is part of the name.
    lock: requirements with hashes for every package.
    lock_sha256: sha256 of the lock's text.
    uv: path of the uv program (see UvTool).
    python: interpreter on the host; empty for the system's python3, or the newest python3.N where that does not fit.
    requires_python: range the release supports, such as ``>=3.10,<3.15``.
    index_url: package index; a Secret when it holds credentials. Empty: uv's default.
    ca_file: PEM file on the host that proves the index; empty for the system's trust store.
    cache_dir: uv's cache. On the file system of ``path`` it costs no extra space (hard links).
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

    def check(self, host: Reader) -> list[Change]:
        """Cheap: reads the completion mark, which is written last, and follows the link to the base interpreter."""
        path = expand(host, self.path)
        if host.stat(path) is None:
            return [Change("environment", "", "to be made")]
        mark = _read_mark(host, path)
        if mark is None:
            return [Change("environment", "incomplete", "to be made again")]
        if mark.get("lock") != self.lock_sha256:
            return [Change("environment", "made from another lock", "to be made again")]
        base = _base(host, f"{path}/bin/python")
        if base != mark.get("base"):
            return [Change("environment", f"its Python is gone ({mark.get('base')})", "to be made again")]
        if self.python not in ("", mark.get("asked")) and _base(host, expand(host, self.python)) != base:
            return [Change("environment", f"made with {base}", f"to be made again with {self.python}")]
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        """Make it anew: nothing is repaired in place. What a failed attempt left is removed, since disks get full."""
        path = expand(host, self.path)
        from encamp.resources.interpreters import choose

        python, version = choose(host, expand(host, self.python), self.requires_python)
        self._clear(host, path)
        self._parents(host, path)
        try:
            self._fill(host, path, python, version)
        except Failure:
            with contextlib.suppress(Failure):
                self._clear(host, path)
            raise

    def _fill(self, host: System, path: str, python: str, version: str) -> None:
        host.progress(f"making the environment with Python {version}")
        self._uv(host, ["venv", "--no-project", "--python", python, path])
        host.progress("downloading and installing the packages of the lock")
        self._uv(host, self._install(path), stdin=host.text(self.lock))
        # Wheels may bring files of mode 0600, and a service must be able to read but never to change its environment.
        host.run(["chmod", "-R", "u+rwX,go+rX,go-w", path])
        _flush(host, path)
        base = _base(host, f"{path}/bin/python")
        mark = {"lock": self.lock_sha256, "python": version, "base": base, "asked": self.python}
        host.write(f"{path}/{MARKER}", json.dumps(mark) + "\n")

    @staticmethod
    def _clear(host: System, path: str) -> None:
        """The mark goes first: a removal that is killed half-way must not look complete."""
        host.remove(f"{path}/{MARKER}")
        host.remove(path)

    def _parents(self, host: System, path: str) -> None:
        for directory, mode in ((path.rpartition("/")[0], 0o755), (expand(host, self.cache_dir), 0o700)):
            if host.stat(directory) is None:
                host.mkdir(directory, mode=mode)

    def _install(self, path: str) -> list[str]:
        # --no-deps: the lock is complete, so nothing is resolved here. Bytecode now, since the service cannot write it.
        return [
            *("pip", "install", "--python", f"{path}/bin/python", "--require-hashes", "--no-deps"),
            *("--strict", "--compile-bytecode", "-r", "-"),
        ]

    def _uv(self, host: System, arguments: Sequence[str], stdin: str = "") -> None:
        """Run uv; again when the network failed. Raises Failure in plain words."""
        options = ("--no-config", "--no-progress", "--color", "never")
        argv = [*_dies_with_us(host), expand(host, self.uv), *arguments, *options]
        for attempt in range(1, TRIES + 1):
            try:
                host.run(argv, stdin, self._environment(host), timeout=1800)
                return
            except CommandFailed as failed:
                from encamp.resources.uv_errors import explain, is_network

                if attempt == TRIES or not is_network(failed.result):
                    raise explain(failed.result, self._space(host)) from None
            host.progress(f"the package index did not answer; try {attempt + 1} of {TRIES}")
            time.sleep(3 * attempt)

    def _space(self, host: Reader) -> str:
        """What is free where uv writes."""
        return host.query(["df", "-Ph", expand(host, self.path), expand(host, self.cache_dir)]).out.strip()

    def _environment(self, host: Reader) -> dict[str, Union[str, Secret]]:
        """All that uv may know: no configuration, credentials or interpreters of the host's users come into play."""
        cache = expand(host, self.cache_dir)
        chosen: dict[str, Union[str, Secret]] = {
            "HOME": cache,
            "UV_CACHE_DIR": cache,
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_HTTP_TIMEOUT": "60",
            "UV_HTTP_RETRIES": "3",
            "UV_COMPILE_BYTECODE_TIMEOUT": "600",
            "UV_SYSTEM_CERTS": "true",
        }
        if self.index_url:
            chosen["UV_DEFAULT_INDEX"] = self.index_url
        if self.ca_file:
            from encamp.resources.simple_index import ca_path

            chosen["SSL_CERT_FILE"] = ca_path(host, self.ca_file)
        return chosen


def _read_mark(host: Reader, path: str) -> Optional[dict[str, Any]]:
    try:
        mark = json.loads(host.read(f"{path}/{MARKER}") or b"")
    except ValueError:
        return None
    return mark if isinstance(mark, dict) else None


def _base(host: Reader, path: str) -> str:
    """Where a link ends, name by name; empty when it ends nowhere. ``python3 -> python3.11`` tells the version."""
    for _ in range(16):
        found = host.stat(path)
        if found is None:
            return ""
        if found.kind != "symlink":
            return path
        path = found.target if found.target.startswith("/") else f"{path.rpartition('/')[0]}/{found.target}"
    return ""


def _dies_with_us(host: Reader) -> tuple[str, ...]:
    """A prefix that ends uv with the agent: a uv left over would write into what the next run makes anew."""
    setpriv = host.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL") if setpriv else ()


def _flush(host: System, path: str) -> None:
    """Bring the files to the disk before the mark says they are there: power may fail."""
    if not host.query(["sync", "-f", path]).ok:
        host.run(["sync"])

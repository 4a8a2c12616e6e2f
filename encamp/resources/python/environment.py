"""A Python environment made by uv from a lock with hashes."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any, Optional, Sequence, Union

from encamp.resources.base import Change, CommandFailed, Failure, Resource, kind
from encamp.resources.files.paths import expand, is_series
from encamp.resources.python import uv_run
from encamp.resources.system import Content, Reader, System
from encamp.shared.secret import Secret

MARKER = ".encamp.json"


@kind
class PythonEnv(Resource):
    """A virtual environment with exactly the packages of a lock, each proven by hash, readable by every user.

    path: where it goes, such as /opt/prefect/envs/3.9.1-1f0c9a4b2d3e; ``~/`` is the user's home. One path holds one
        lock for good: the hash is part of the name.
    lock: requirements with hashes for every package.
    lock_sha256: sha256 of the lock's text.
    uv: path of the uv program (see UvTool).
    python: interpreter on the host, or a series such as 3.11 (the host's, or the one that uv brought to ``pythons``);
        empty for the system's python3, or the newest python3.N where that does not fit.
    requires_python: range the release supports, such as ``>=3.10,<3.15``.
    index_url: package index; a Secret when it holds credentials. Empty: uv's default.
    ca_file: PEM file on the host that proves the index; empty for the system's trust store.
    cache_dir: uv's cache. On the file system of ``path`` it costs no extra space (hard links).
    pythons: directory of the interpreters that uv brought (see ManagedPython).
    build: packages of the lock that others, which have no wheel for this host, are built with.
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
        if self.python not in ("", mark.get("asked")) and not self._is_asked(host, base, str(mark.get("python", ""))):
            return [Change("environment", f"made with {base}", f"to be made again with {self.python}")]
        return []

    def _is_asked(self, host: Reader, base: str, version: str) -> bool:
        """Whether an environment made with ``base`` is on the interpreter that is asked for now."""
        if is_series(self.python):
            return version.startswith(f"{self.python}.")
        return _base(host, expand(host, self.python)) == base

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        """Make it anew: nothing is repaired in place. What a failed attempt left is removed, since disks get full."""
        path = expand(host, self.path)
        from encamp.resources.python.interpreters import choose

        asked, pythons = expand(host, self.python), expand(host, self.pythons)
        python, version = choose(host, asked, self.requires_python, pythons)
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
        text = host.text(self.lock)
        from encamp.resources.python.uv_progress import installing

        with installing(host, expand(host, self.cache_dir), path, text):
            if self.build:
                self._uv(host, self._install(path), stdin=only(text, self.build))
            self._uv(host, [*self._install(path), *(["--no-build-isolation"] if self.build else [])], stdin=text)
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
        """Run uv. Raises Failure in plain words."""
        known = uv_run.environment(host, expand(host, self.cache_dir), self.ca_file)
        if self.index_url:
            known["UV_DEFAULT_INDEX"] = self.index_url
        try:
            uv_run.run(host, self.uv, arguments, known, stdin)
        except CommandFailed as failed:
            from encamp.resources.python.uv_errors import explain

            raise explain(failed.result, self._space(host)) from None

    def _space(self, host: Reader) -> str:
        """What is free where uv writes."""
        return host.query(["df", "-Ph", expand(host, self.path), expand(host, self.cache_dir)]).out.strip()


def only(lock: str, names: Sequence[str]) -> str:
    """The part of a lock that pins these packages, with their hashes."""
    blocks = re.split(r"\n(?=[A-Za-z0-9])", lock)
    return "\n".join(block for block in blocks if re.split(r"[=\s\[]", block, maxsplit=1)[0] in names) + "\n"


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


def _flush(host: System, path: str) -> None:
    """Bring the files to the disk before the mark says they are there: power may fail."""
    if not host.query(["sync", "-f", path]).ok:
        host.run(["sync"])

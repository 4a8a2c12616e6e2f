"""The host of a case: what its YAML says is there, and a record of what a kind does to it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from encamp.resources.base import CommandFailed, Failure
from encamp.resources.system import OsRelease, Result, Stat
from encamp.shared.secret import Secret
from tests.unit.resources.postgres.double import ANSWER, RUNNING

T = TypeVar("T")
KEYS = {"answers", "diff", "directories", "files", "home", "links", "os", "postgres", "programs", "root", "units"}
FILE_KEYS = {"text", "owner", "group", "mode", "mtime"}
ANSWER_KEYS = {"code", "out", "err", "stdin"}
UNIT = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled"}
NO_UNIT = {"LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead", "UnitFileState": ""}
#: Attributes of a cluster's files.
POSTGRES = {"owner": "postgres", "group": "postgres", "mode": 0o640, "mtime": 900.0}
FAMILIES = {"debian": "debian", "ubuntu": "debian", "rocky": "rhel", "rhel": "rhel"}


def matches(pattern: str, text: str) -> bool:
    """Whether a text is the pattern, in which ``*`` stands for any characters."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def require_keys(where: str, data: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(data) - known)
    assert not unknown, f"{where}: unknown key {', '.join(unknown)}; known: {', '.join(sorted(known))}"


class CaseHost:
    """Implements ``System``. ``done`` are (what was done, standard input); ``has_run``: one was a command."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        require_keys("host", data, KEYS)
        self._data = data
        self._tree: dict[str, tuple[Stat, str]] = {}
        self._known: dict[str, Any] = {}
        self.used: set[str] = set()
        self.given_way: set[str] = set()
        self.done: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self.has_run = False
        given = data.get("files", {})
        if "postgres" in data:
            self._put({path: text for path, text in RUNNING.items() if path not in given}, **POSTGRES)
        self._put({path: file for path, file in given.items() if file is not None})
        for path, attributes in data.get("directories", {}).items():
            require_keys(path, attributes or {}, FILE_KEYS - {"text"})
            self._place(path, _stat("directory", **(attributes or {})))
        for path, target in data.get("links", {}).items():
            self._place(path, _stat("symlink", mode=0o777, target=target))

    def _put(self, files: Mapping[str, Any], **attributes: Any) -> None:
        for path, file in files.items():
            given = file if isinstance(file, dict) else {"text": file}
            require_keys(path, given, FILE_KEYS)
            text = given.get("text", "")
            rest = {**attributes, **{key: value for key, value in given.items() if key != "text"}}
            self._place(path, _stat("file", size=len(text), **rest), text)

    def _place(self, path: str, stat: Stat, text: str = "") -> None:
        """Put an entry into the tree, and its parents, which have its owner."""
        self._tree[path] = (stat, text)
        parent = path.rpartition("/")[0]
        while parent and parent not in self._tree:
            self._tree[parent] = (_stat("directory", stat.owner, stat.group), "")
            parent = parent.rpartition("/")[0]

    # -- reading ------------------------------------------------------------------------------------------------

    @property
    def want_diff(self) -> bool:
        return bool(self._data.get("diff", False))

    @property
    def is_root(self) -> bool:
        return bool(self._data.get("root", True))

    @property
    def home(self) -> str:
        return str(self._data.get("home", "/root"))

    def os_release(self) -> OsRelease:
        name, version = self._data.get("os", "debian 12").split()
        return OsRelease(name, version, FAMILIES.get(name, "other"), f"{name.title()} {version}")

    def stat(self, path: str) -> Stat | None:
        return self._tree[path][0] if path in self._tree else None

    def read(self, path: str) -> bytes | None:
        entry = self._tree.get(path)
        return entry[1].encode() if entry and entry[0].kind == "file" else None

    def listdir(self, path: str) -> list[str]:
        inside = (name[len(path) + 1 :] for name in self._tree if name.startswith(f"{path}/"))
        return sorted({name.partition("/")[0] for name in inside})

    def which(self, program: str) -> str | None:
        return f"/usr/bin/{program}" if program in self._data.get("programs", ()) else None

    def query(self, argv: Sequence[str], stdin: Any = "", as_user: str = "", **_: Any) -> Result:
        answer = self._answer(argv, _text(stdin), as_user)
        assert answer is not None, f"the case has no answer for: {shlex.join(argv)}"
        return answer

    def _answer(self, argv: Sequence[str], stdin: str, as_user: str) -> Result | None:
        line = shlex.join(argv)
        for pattern, answer in self._data.get("answers", {}).items():
            given = answer if isinstance(answer, dict) else {"out": answer}
            require_keys(pattern, given, ANSWER_KEYS)
            if matches(pattern, line) and matches(given.get("stdin", "*"), stdin):
                self.used.add(pattern)
                return Result(tuple(argv), given.get("code", 0), given.get("out", ""), given.get("err", ""))
        if argv[0] == "getent":  # no accounts but those of the files
            return Result(tuple(argv), 2, "", "")
        if line.startswith("systemctl show") and "units" in self._data:
            return Result(tuple(argv), 0, self._unit(argv[-1]), "")
        if argv[0].endswith("/psql") and "SELECT json" in stdin:
            assert as_user == "postgres"
            return Result(tuple(argv), 0, json.dumps(self._postgres("pg_extension" in stdin)), "")
        return None

    def _unit(self, name: str) -> str:
        units = self._data["units"]
        properties = {**UNIT, **units[name]} if name in units else NO_UNIT
        return "".join(f"{key}={value}\n" for key, value in properties.items())

    def _postgres(self, extensions: bool) -> Any:
        given = dict(self._data["postgres"] or {})
        require_keys("postgres", given, {*ANSWER, "extensions"})
        installed = given.pop("extensions", ["plpgsql"])
        settings = {**ANSWER["settings"], **given.pop("settings", {})}
        return installed if extensions else {**ANSWER, **given, "settings": settings}

    def once(self, key: str, read: Callable[[], T]) -> T:
        if key not in self._known:
            self._known[key] = read()
        value: T = self._known[key]
        return value

    def text(self, content: Any) -> str:
        return _text(content)

    def note(self, text: str) -> None:
        self.notes.append(text)

    # -- changing -----------------------------------------------------------------------------------------------

    def _do(self, what: str, stdin: str = "") -> None:
        self._known.clear()
        self.done.append((what, stdin))

    def run(
        self, argv: Sequence[str], stdin: Any = "", as_user: str = "", cause: str = "", fix: str = "", **_: Any
    ) -> Result:
        self._do(shlex.join(argv), _text(stdin))
        self.has_run = True
        result = self._answer(argv, _text(stdin), as_user) or Result(tuple(argv), 0, "", "")
        if not result.ok:
            raise CommandFailed(result, cause, fix)
        return result

    def write(
        self,
        path: str,
        data: Any,
        owner: str = "",
        group: str = "",
        mode: int = 0o644,
        validate: Sequence[str] = (),
    ) -> None:
        self._do(f"write {path} {owner or 'root'}:{group or 'root'} {mode:04o}")
        if validate and not self.query([path if word == "{}" else word for word in validate]).ok:
            raise Failure(f"`{' '.join(validate)}` rejected the new file: nothing was replaced")
        self._put({path: _text(data)}, owner=owner or "root", group=group or "root", mode=mode)

    def mkdir(self, path: str, owner: str = "", group: str = "", mode: int = 0o755) -> None:
        self._do(f"mkdir {path} {owner or 'root'}:{group or 'root'} {mode:04o}")
        self._place(path, _stat("directory", owner=owner or "root", group=group or "root", mode=mode))

    def symlink(self, path: str, target: str) -> None:
        self._do(f"link {path} -> {target}")
        self._place(path, _stat("symlink", mode=0o777, target=target))

    def label(self, path: str, tree: bool = False) -> None:
        """Hosts of cases have no labels."""

    def set_owner(self, path: str, owner: str, group: str) -> None:
        self._do(f"chown {path} {owner}:{group}")
        stat, text = self._tree[path]
        self._tree[path] = (_stat(stat.kind, owner or stat.owner, group or stat.group, stat.mode), text)

    def set_mode(self, path: str, mode: int) -> None:
        self._do(f"chmod {path} {mode:04o}")
        stat, text = self._tree[path]
        self._tree[path] = (_stat(stat.kind, stat.owner, stat.group, mode), text)

    def remove(self, path: str) -> None:
        if self.stat(path) is None:
            return
        self._do(f"remove {path}")
        for name in [name for name in self._tree if name == path or name.startswith(f"{path}/")]:
            del self._tree[name]

    def progress(self, text: str) -> None:
        """Shown while a step runs; no part of its result."""

    def measure(self, text: str, done: float, total: float = 0) -> None:
        """As :meth:`progress`."""

    def wait_for(
        self, read: Callable[[], T], seconds: float, done: Callable[[T], object] = bool, every: float = 0.5
    ) -> T:
        for _ in range(3):
            self._known.clear()
            value = read()
            if done(value):
                break
        return value


def _stat(
    kind: str,
    owner: str = "root",
    group: str = "root",
    mode: int = 0,
    size: int = 0,
    mtime: float = 0.0,
    target: str = "",
) -> Stat:
    return Stat(kind, mode or (0o755 if kind == "directory" else 0o644), owner, group, size, mtime, target)


def _text(content: Any) -> str:
    if isinstance(content, bytes):
        return content.decode("utf-8", "replace")
    return content.reveal() if isinstance(content, Secret) else str(content)

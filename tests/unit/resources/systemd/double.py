"""A host of which only files and command answers are known, for tests of checks. It cannot change anything."""

from __future__ import annotations

from typing import Any, Callable

from encamp.resources.system import Result, Stat


class Answers:
    """``files`` by path; ``outputs`` by the start of the command line (unknown commands: not found)."""

    want_diff = False
    is_root = True

    def __init__(self, files: dict[str, str] | None = None, outputs: dict[str, str] | None = None) -> None:
        self.files, self.outputs = files or {}, outputs or {}
        self.asked: list[str] = []
        self.notes: list[str] = []
        self.given_way: set[str] = set()
        self._known: dict[str, Any] = {}

    def read(self, path: str) -> bytes | None:
        return self.files[path].encode() if path in self.files else None

    def stat(self, path: str) -> Stat | None:
        if path not in self.files:
            return None
        return Stat("file", 0o644, "root", "root", len(self.files[path]), 0.0)

    def listdir(self, path: str) -> list[str]:
        return sorted({name[len(path) + 1 :].partition("/")[0] for name in self.files if name.startswith(f"{path}/")})

    def which(self, program: str) -> str | None:
        return f"/usr/bin/{program}" if any(line.split()[0] == program for line in self.outputs) else None

    def query(self, argv: Any, **_: Any) -> Result:
        line = " ".join(argv)
        self.asked.append(line)
        known = [start for start in self.outputs if line.startswith(start)]
        if not known:
            return Result(tuple(argv), 127, "", "not found")
        return Result(tuple(argv), 0, self.outputs[max(known, key=len)], "")

    def once(self, key: str, read: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = read()
        return self._known[key]

    def note(self, text: str) -> None:
        self.notes.append(text)


def show(**properties: object) -> dict[str, str]:
    """The answer of ``systemctl show`` for every unit: a loaded one, except for what is given."""
    defaults = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled"}
    return {"systemctl show": "".join(f"{name}={value}\n" for name, value in {**defaults, **properties}.items())}

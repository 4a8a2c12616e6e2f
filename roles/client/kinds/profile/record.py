"""What encamp must remember to take its changes to a ``profiles.toml`` back: kept outside Prefect's own directory."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
from typing import Any, Optional

from encamp.resources.base import Failure
from encamp.resources.system import Reader, System

FILE = "profiles-undo.json"
#: Stands for the hash of a value that encamp took away again.
REMOVED = ""


def digest(data: bytes) -> str:
    """sha256 of some content, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


@dataclasses.dataclass
class ProfileRecord:
    """What encamp did to one profile.

    ``wrote`` maps each key to the sha256 of its value, so that a value which the user changed since can be told.
    ``previous`` holds the TOML values that stood there before, ``active`` which profile was active before (None: none).
    """

    wrote: dict[str, str] = dataclasses.field(default_factory=dict)
    previous: dict[str, str] = dataclasses.field(default_factory=dict)
    existed: bool = False
    activated: bool = False
    active: Optional[str] = None


@dataclasses.dataclass
class FileRecord:
    """A profiles file before encamp's first change: bytes (None: there was none), mode; hash of the last write."""

    before: Optional[bytes] = None
    mode: Optional[int] = None
    made_directory: bool = False
    wrote: str = ""
    profiles: dict[str, ProfileRecord] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        data = dataclasses.asdict(self)
        data["before"] = None if self.before is None else base64.b64encode(self.before).decode()
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> FileRecord:
        """Undo :meth:`to_json`."""
        before = None if data["before"] is None else base64.b64decode(data["before"])
        profiles = {name: ProfileRecord(**entry) for name, entry in data["profiles"].items()}
        return cls(before, data["mode"], data["made_directory"], data["wrote"], profiles)


def record_path(host: Reader) -> str:
    """Where the records of this user lie: root's, too, go with its home, since the profiles do."""
    return os.path.join(host.home, ".local/state/encamp", FILE)


def load(host: Reader) -> dict[str, FileRecord]:
    """All records, by the path of the profiles file. Raises Failure for a damaged file: undo would not be exact."""
    path = record_path(host)
    data = host.read(path)
    if data is None:
        return {}
    try:
        return {name: FileRecord.from_json(entry) for name, entry in json.loads(data)["files"].items()}
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(
            f"{path} is damaged: {error}",
            "it was edited or truncated",
            "move it away; encamp then treats the current profiles as the state to restore",
        ) from error


def save(host: System, records: dict[str, FileRecord]) -> None:
    """Keep the records, for this user's eyes only; with none left the file goes."""
    path = record_path(host)
    if not records:
        host.remove(path)
        return
    folder = os.path.dirname(path)
    if host.stat(folder) is None:
        host.mkdir(folder, mode=0o700)
    files = {name: record.to_json() for name, record in records.items()}
    host.write(path, json.dumps({"version": 1, "files": files}, indent=1).encode(), mode=0o600)

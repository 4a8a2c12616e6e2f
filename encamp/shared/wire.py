"""The wire format between controller and agent: JSON, with tags for types that JSON lacks.

A resource travels as ``{"kind": "module:Class", "fields": {...}}``. Sequences arrive as tuples, so that
frozen resources stay hashable. Content above :data:`INLINE_LIMIT` bytes travels as its sha256 only; the agent requests
what the host lacks, so a run without changes sends only hashes.
"""

from __future__ import annotations

import hashlib
import importlib
from typing import Any, Callable, Final

from encamp.shared.record import record
from encamp.shared.secret import Secret

PROTOCOL = 1
INLINE_LIMIT = 2048
HEARTBEAT_SECONDS = 10
#: Outcome of a host that changed after its plan was saved. Programs read the value; people read "drifted".
DRIFTED: Final = "moved on"
#: A note that begins so says what a verification did not show, and why; the recap has it once more.
NOT_PROVEN: Final = "not proven: "
#: Seconds without a message after which the other side counts as gone.
SILENCE_LIMIT = HEARTBEAT_SECONDS * 3.0
#: Bytes of a large file that are sent at a time.
PART_SIZE = 8 * 1024 * 1024


@record
class Blob:
    """Content known by its hash. ``size`` is in bytes."""

    sha256: str
    size: int
    secret: bool = False


@record
class LargeFile:
    """A file on the controller that is sent in parts, and only to hosts that request them.

    Each part has ``PART_SIZE`` bytes, the last one the rest.
    """

    path: str
    parts: tuple[Blob, ...]


class BlobStore:
    """Content by hash on the controller: the bytes that an agent may request, or where to read them."""

    def __init__(self) -> None:
        self._bytes: dict[str, bytes] = {}
        self._places: dict[str, tuple[str, int, int]] = {}

    def put(self, data: bytes, secret: bool = False) -> Blob:
        """Keep ``data`` and return the reference that is sent instead."""
        digest = hashlib.sha256(data).hexdigest()
        self._bytes[digest] = data
        return Blob(digest, len(data), secret)

    def put_file(self, file: LargeFile) -> tuple[Blob, ...]:
        """Register the parts of ``file`` and return the references that are sent instead."""
        for number, part in enumerate(file.parts):
            self._places[part.sha256] = (file.path, number * PART_SIZE, part.size)
        return file.parts

    def get(self, sha256: str) -> bytes:
        """Return the content of a blob. Raises KeyError for a hash that this run never put, OSError for a
        missing file."""
        if sha256 in self._bytes:
            return self._bytes[sha256]
        path, offset, size = self._places[sha256]
        with open(path, "rb") as stream:
            stream.seek(offset)
            return stream.read(size)


def to_wire(value: Any) -> Any:
    """Turn a value made of JSON types, tuples, secrets and blobs into plain JSON data (resources: ``plan``)."""
    if isinstance(value, Secret):
        return {"$secret": value.reveal()}
    if isinstance(value, Blob):
        return {"$blob": [value.sha256, value.size, value.secret]}
    if isinstance(value, dict):
        return {str(key): to_wire(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_wire(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"cannot send a {type(value).__name__}")


def from_wire(data: Any) -> Any:
    """Undo :func:`to_wire`. Lists become tuples."""
    if isinstance(data, list):
        return tuple(from_wire(item) for item in data)
    if not isinstance(data, dict):
        return data
    if "$secret" in data:
        return Secret(data["$secret"])
    if "$blob" in data:
        return Blob(*data["$blob"])
    if set(data) == {"kind", "fields"}:
        fields = {name: from_wire(item) for name, item in data["fields"].items()}
        return load_kind(data["kind"])(**fields)
    return {key: from_wire(item) for key, item in data.items()}


def kind_path(kind: type) -> str:
    """Name a kind as ``module:Class``, so that the other side finds it without a registry."""
    return f"{kind.__module__}:{kind.__qualname__}"


def load_kind(path: str) -> Callable[..., Any]:
    """Import the class that :func:`kind_path` named."""
    module, _, name = path.partition(":")
    loaded: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return loaded

"""A file of ``docker save`` on the controller: which images it holds, and its content in parts to be sent."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

from encamp.errors import SettingsError
from encamp.shared.record import record
from encamp.shared.wire import PART_SIZE, Blob, LargeFile
from encamp.support import cache

#: Files in an archive that list its content: Docker's own, and those of the OCI layout that newer ones write, too.
MANIFEST = "manifest.json"
INDEX = "index.json"


@record
class Archive:
    """``images`` are the ids that each tag may have once the file is loaded: it depends on the engine's store."""

    images: dict[str, tuple[str, ...]]
    content: LargeFile


def read(path: Path) -> Archive:
    """What a file holds. Read once: what is known of it is kept until its size or time changes.

    Raises SettingsError for a file that is missing or no archive of images.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise SettingsError(
            f"{path}: {error.strerror}", "use a file written by `docker save` on this machine"
        ) from None
    key = f"archive-{hashlib.sha256(repr((str(path), found.st_size, found.st_mtime_ns)).encode()).hexdigest()}"
    kept = cache.read(key)
    data = json.loads(kept) if kept else _examined(path)
    if kept is None:
        cache.write(key, json.dumps(data).encode())
    parts = tuple(Blob(sha256, size) for sha256, size in data["parts"])
    return Archive({tag: tuple(ids) for tag, ids in data["images"].items()}, LargeFile(str(path), parts))


def _examined(path: Path) -> dict[str, Any]:
    try:
        with tarfile.open(path) as tar:
            members = {name: _member(tar, name) for name in (MANIFEST, INDEX)}
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        raise SettingsError(f"{path} is not an image archive: {error}", "write it with `docker save`") from None
    if not members[MANIFEST]:
        raise SettingsError(f"{path} is not an image archive: it has no {MANIFEST}", "write it with `docker save`")
    return {"images": _images(members[MANIFEST], members[INDEX] or {}), "parts": _parts(path)}


def _member(tar: tarfile.TarFile, name: str) -> Any:
    try:
        stream = tar.extractfile(name)
    except KeyError:
        return None
    return json.load(stream) if stream else None


def _images(manifest: Any, index: Any) -> dict[str, list[str]]:
    """Ids by tag: the digest of the configuration, or of the manifest where Docker stores images as OCI does."""
    images: dict[str, list[str]] = {}
    for entry in manifest:
        config = Path(entry["Config"]).name.removesuffix(".json")
        for tag in entry.get("RepoTags") or ():
            images[tag] = [f"sha256:{config}"]
    for entry in index.get("manifests", ()):
        tag = entry.get("annotations", {}).get("io.containerd.image.name", "").removeprefix("docker.io/")
        if tag in images:
            images[tag].append(entry["digest"])
    return images


def _parts(path: Path) -> list[tuple[str, int]]:
    parts = []
    with path.open("rb") as stream:
        while part := stream.read(PART_SIZE):
            parts.append((hashlib.sha256(part).hexdigest(), len(part)))
    return parts

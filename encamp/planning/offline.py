"""A bundle on the controller: made of what a host collected, read and verified, and put into plans."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from encamp import __version__
from encamp.errors import UsageError
from encamp.planning.plan import HostPlan, Step
from encamp.resources.base import Resource
from encamp.resources.offline.received import RECEIVED, OfflineBundle
from encamp.resources.packages.installed import Packages
from encamp.resources.probes.expectation import MEBIBYTE, Expectation
from encamp.resources.python.environment import PythonEnv
from encamp.resources.python.uv.tool import UvTool
from encamp.shared.record import factory, record, replace
from encamp.shared.wire import PART_SIZE, Blob, LargeFile
from encamp.support import cache

FORMAT = 1
MANIFEST = "manifest.json"
WHEELS, DEBS = "wheels", "debs"
#: Where hosts keep it.
HOST_FOLDER = "/var/lib/encamp/bundle"


@record
class Needs:
    """What plans download. ``locks`` by sha256, ``uv`` the release of uv, ``packages`` of Debian."""

    locks: Mapping[str, PythonEnv] = factory(dict)
    uv: str = ""
    packages: tuple[str, ...] = ()


@record
class Bundle:
    """A bundle that was read: ``manifest`` as :func:`write` makes it, ``content`` in parts to be sent."""

    path: Path
    manifest: Mapping[str, Any]
    content: LargeFile

    @property
    def host_path(self) -> str:
        """Where a host keeps it: by its content."""
        digest = hashlib.sha256("".join(part.sha256 for part in self.content.parts).encode()).hexdigest()
        return f"{HOST_FOLDER}/{digest[:12]}"

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(part.size for part in self.content.parts)


def needs(plans: Iterable[HostPlan]) -> Needs:
    """All that some plans would download."""
    found = [step.resource for built in plans for step in built.steps]
    locks = {one.lock_sha256: one for one in found if isinstance(one, PythonEnv)}
    uv = next((one.version for one in found if isinstance(one, UvTool)), "")
    names = {name for one in found if isinstance(one, Packages) for name in one.debian}
    return Needs(locks, uv, tuple(sorted(names)))


# -- the file -------------------------------------------------------------------------------------------------------


def write(path: Path, folder: Path, facts: Mapping[str, Any], wanted: Needs) -> None:
    """Make a bundle of a folder's files, the manifest first. Raises OSError."""
    files = {str(file.relative_to(folder)): file for file in sorted(folder.rglob("*")) if file.is_file()}
    manifest = {
        "format": FORMAT,
        "encamp": __version__,
        **facts,
        "uv": wanted.uv,
        "locks": {sha256: Path(env.path).name for sha256, env in wanted.locks.items()},
        "packages": list(wanted.packages),
        "files": {name: _sha256(file) for name, file in files.items()},
    }
    listing = json.dumps(manifest, indent=1).encode()
    candidate = path.with_name(f".{path.name}.new")
    try:
        with tarfile.open(candidate, "w", format=tarfile.PAX_FORMAT) as tar:
            first = tarfile.TarInfo(MANIFEST)
            first.size = len(listing)
            tar.addfile(_plain(first), io.BytesIO(listing))
            for name, file in files.items():
                tar.add(file, name, filter=_plain)
        candidate.replace(path)
    finally:
        candidate.unlink(missing_ok=True)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """As anyone could have made it, so that the same files give the same bundle."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = "root"
    member.mode = 0o644
    return member


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1024 * 1024):
            digest.update(block)
    return digest.hexdigest()


def read(path: Path) -> Bundle:
    """Read and verify a bundle; what is known of it is kept until its size or time changes. Raises UsageError."""
    try:
        found = path.stat()
    except OSError as error:
        raise UsageError(f"--bundle {path}: {error.strerror}", "make it with: fab -H HOST bundle") from None
    key = f"bundle-{hashlib.sha256(repr((str(path), found.st_size, found.st_mtime_ns)).encode()).hexdigest()}"
    kept = cache.read(key)
    data = json.loads(kept) if kept else _examined(path)
    if kept is None:
        cache.write(key, json.dumps(data).encode())
    parts = tuple(Blob(sha256, size) for sha256, size in data["parts"])
    return Bundle(path, data["manifest"], LargeFile(str(path), parts))


def _examined(path: Path) -> dict[str, Any]:
    try:
        with tarfile.open(path) as tar:
            found = dict(_members(tar))
    except IsADirectoryError:
        raise UsageError(f"--bundle {path} is a folder", "name the file that `fab bundle` wrote") from None
    except PermissionError as error:
        raise UsageError(f"--bundle {path}: {error.strerror}", "make it readable for this user") from None
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        raise _damaged(path, str(error).partition(":\n")[0]) from None
    manifest = found.pop(MANIFEST, None)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise _damaged(path, f"it has no {MANIFEST} of format {FORMAT}")
    wrong = sorted(name for name in {*found, *manifest["files"]} if found.get(name) != manifest["files"].get(name))
    if wrong:
        raise _damaged(path, f"{wrong[0]} is missing, altered or was added ({len(wrong)} such files)")
    return {"manifest": manifest, "parts": list(_parts(path))}


def _members(tar: tarfile.TarFile) -> Iterator[tuple[str, Any]]:
    """The manifest, and the hash of every other file."""
    for member in tar:
        stream = tar.extractfile(member)
        data = stream.read() if stream else b""
        yield member.name, json.loads(data) if member.name == MANIFEST else hashlib.sha256(data).hexdigest()


def _parts(path: Path) -> Iterator[tuple[str, int]]:
    with path.open("rb") as stream:
        while part := stream.read(PART_SIZE):
            yield hashlib.sha256(part).hexdigest(), len(part)


def _damaged(path: Path, what: str) -> UsageError:
    return UsageError(f"{path} is no whole bundle: {what}", "copy it again, or make it again: fab -H HOST bundle")


# -- plans ----------------------------------------------------------------------------------------------------------


def applied(plan: HostPlan, bundle: Bundle) -> HostPlan:
    """The plan with a bundle in place of every download. Raises UsageError where the bundle lacks something."""
    lacking = _lacking(needs([plan]), bundle.manifest)
    if lacking:
        raise UsageError(
            f"{bundle.path} has no {', no '.join(lacking)}, which {plan.host} needs",
            "the inventory or encamp changed since it was made: make it again with `fab -H HOST bundle`",
        )
    own = tuple(
        replace(item, resource=_offline(item.resource, bundle)) if isinstance(item, Step) else item
        for item in plan.items
    )
    return plan if own == plan.items else replace(plan, items=(*map(Step, _received(bundle)), *own))


def _received(bundle: Bundle) -> Sequence[Resource]:
    path, manifest = bundle.host_path, bundle.manifest
    room = 2 * bundle.size // MEBIBYTE + 1  # while it is unpacked, its parts are there, too
    return (
        Expectation("space for the bundle", disk=((HOST_FOLDER, room),), unless=(f"{path}/{RECEIVED}",)),
        OfflineBundle(path, manifest["release"], manifest["architecture"], bundle.content),
    )


def _offline(resource: Resource, bundle: Bundle) -> Resource:
    """A resource that downloads nothing."""
    if isinstance(resource, (UvTool, PythonEnv)):
        return replace(resource, index_url=f"{bundle.host_path}/{WHEELS}", ca_file="")
    return replace(resource, source=f"{bundle.host_path}/{DEBS}") if isinstance(resource, Packages) else resource


def _lacking(wanted: Needs, manifest: Mapping[str, Any]) -> list[str]:
    found = [
        f"wheels of {Path(env.path).name}" for sha256, env in wanted.locks.items() if sha256 not in manifest["locks"]
    ]
    found += [f"uv {wanted.uv}"] if wanted.uv not in ("", manifest["uv"]) else []
    return found + [f"package {name}" for name in wanted.packages if name not in manifest["packages"]]

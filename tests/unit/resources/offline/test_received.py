"""A bundle on a host that uses it, by the real tar on files of the test's own."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from encamp.resources.base import Refused
from encamp.resources.offline.received import OfflineBundle
from encamp.resources.system import OsRelease, Result
from encamp.shared.wire import Blob, BlobStore
from tests.unit.roles.client.laptop import Laptop, converge

PART = 4096


class Debian(Laptop):
    """A host of Debian 12, to which a controller sends blobs."""

    def __init__(self, home: str, store: BlobStore) -> None:
        super().__init__(home)
        self.store, self.sent = store, 0
        self.left = 1000

    def os_release(self) -> OsRelease:
        return OsRelease("debian", "12", "debian", "Debian 12")

    def query(self, argv, *rest, **more):  # type: ignore[no-untyped-def]
        return Result(tuple(argv), 0, "amd64\n", "") if argv[0] == "dpkg" else super().query(argv, *rest, **more)

    def fetch(self, blob: Blob) -> bytes:
        if not self.left:
            raise ConnectionError("cut off")
        self.left, self.sent = self.left - 1, self.sent + 1
        return self.store.get(blob.sha256)


def parts(store: BlobStore, text: bytes = b"x" * 20_000) -> tuple[Blob, ...]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("debs/a.deb", "wheels/b.whl"):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    data = buffer.getvalue()
    return tuple(store.put(data[start : start + PART] + b"") for start in range(0, len(data), PART))


def test_received_once_and_those_before_it_go(tmp_path: Path) -> None:
    store = BlobStore()
    host = Debian(str(tmp_path), store)
    for name, text in (("one", b"1" * 9000), ("two", b"2" * 9000)):
        bundle = OfflineBundle(str(tmp_path / "bundle" / name), "debian 12", "amd64", parts(store, text))
        assert converge(bundle, host)
        sent = host.sent
        assert converge(bundle, host) == [] and host.sent == sent
    assert [path.name for path in (tmp_path / "bundle").iterdir()] == ["two"]
    assert (tmp_path / "bundle/two/wheels/b.whl").read_bytes() == b"2" * 9000


def test_an_interrupted_transfer_goes_on(tmp_path: Path) -> None:
    store = BlobStore()
    wanted = parts(store, bytes(range(256)) * 60)
    host, bundle = (
        Debian(str(tmp_path), store),
        OfflineBundle(str(tmp_path / "bundle/one"), "debian 12", "amd64", wanted),
    )
    host.left = 3
    with pytest.raises(ConnectionError):
        bundle.apply(host, bundle.check(host))
    assert bundle.check(host), "what is not whole does not count"
    host.left = 1000
    converge(bundle, host)
    assert host.sent == len(wanted)


@pytest.mark.parametrize(("release", "architecture"), [("debian 13", "amd64"), ("debian 12", "arm64")])
def test_another_release_or_architecture(tmp_path: Path, release: str, architecture: str) -> None:
    bundle = OfflineBundle(str(tmp_path / "bundle/one"), release, architecture, ())
    with pytest.raises(Refused, match="this host runs debian 12 on amd64"):
        bundle.check(Debian(str(tmp_path), BlobStore()))
    assert not (tmp_path / "bundle").exists()

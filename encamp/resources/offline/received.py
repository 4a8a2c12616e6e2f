"""A bundle on a host that uses it."""

from __future__ import annotations

import hashlib
import os
from typing import Sequence, Union

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.system import Reader, System
from encamp.shared.wire import Blob, LargeFile

RECEIVED = "received"
PROGRESS_EVERY = 4


@kind
class OfflineBundle(Resource):
    """The content of a bundle, unpacked at a path that belongs to it. Others beside it are removed.

    ``path``: such as /var/lib/encamp/bundle/1f0c9a4b2d3e; its name is the bundle's digest. ``release``: what it is for,
    such as ``debian 12``; ``architecture`` as dpkg calls it. ``parts``: the file in pieces; those that an interrupted
    run has received are not sent again.
    """

    path: str
    release: str
    architecture: str
    parts: Union[tuple[Blob, ...], LargeFile]

    def check(self, host: Reader) -> list[Change]:
        if host.stat(f"{self.path}/{RECEIVED}"):
            return []
        release = host.os_release()
        own = f"{release.id} {release.version}", host.query(["dpkg", "--print-architecture"]).out.strip()
        if own != (self.release, self.architecture):
            raise Refused(
                f"the bundle is for {self.release} on {self.architecture}; this host runs {own[0]} on {own[1] or '?'}",
                fix="make one on a host like this: fab -H HOST bundle",
            )
        return [Change("bundle", "absent", f"received in {self.path}")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        assert not isinstance(self.parts, LargeFile)
        arriving, unpacked = f"{self.path}.parts", f"{self.path}.new"
        host.mkdir(arriving, mode=0o700)
        for number, part in enumerate(self.parts):
            self._receive(host, f"{arriving}/{number:05d}", part)
            host.measure("receiving the bundle", number + 1, len(self.parts))
            if number % PROGRESS_EVERY == 0:
                host.progress(f"receiving the bundle: part {number + 1} of {len(self.parts)}")
        host.remove(unpacked)
        host.mkdir(unpacked)
        host.run(["sh", "-c", 'cat "$0"/* | tar -x --no-same-owner -C "$1"', arriving, unpacked])
        host.write(f"{unpacked}/{RECEIVED}", "")
        host.remove(self.path)
        host.label(unpacked, tree=True)
        host.rename(unpacked, self.path)
        self._forget_others(host)

    @staticmethod
    def _receive(host: System, path: str, part: Blob) -> None:
        found = host.read(path)
        if found is None or hashlib.sha256(found).hexdigest() != part.sha256:
            host.write(path, host.fetch(part), mode=0o600)

    def _forget_others(self, host: System) -> None:
        folder, own = os.path.split(self.path)
        for name in host.listdir(folder):
            if name != own:
                host.remove(f"{folder}/{name}")

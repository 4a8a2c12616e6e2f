"""The uv program, pinned by hash. The host needs neither pip nor python3-venv."""

from __future__ import annotations

from typing import Optional, Sequence, Union

from encamp.resources.base import Change, Failure, Refused, Resource, kind
from encamp.resources.files.paths import expand
from encamp.resources.system import Reader, System
from encamp.shared.secret import Secret
from encamp.shared.wire import Blob

MODE = 0o755


@kind
class UvTool(Resource):
    """The uv binary of one pinned version, from its wheel, verified by hash.

    path: of the binary, such as /opt/encamp/uv/0.13.9/uv; ``~/`` is the user's home.
    version: the uv release.
    wheels: (platform, wheel file name, sha256) for each platform; a platform is machine-system, such as
        x86_64-linux-gnu, aarch64-linux-gnu, x86_64-darwin, aarch64-darwin.
    index_url: simple index to fetch the wheel from; a Secret if it contains credentials. A path: a folder with it.
    ca_file: PEM file on the host with the index's CA; empty for the system's trust store.
    wheel: the wheel for the host's platform, sent by the controller instead of fetched from the index.
    proxy: URL of the proxy that leads out; a Secret if it contains credentials. Empty: the one that the host itself
        names (see ``encamp.resources.proxy``).
    no_proxy: names and addresses that are reached without it.
    """

    path: str
    version: str
    wheels: tuple[tuple[str, str, str], ...]
    index_url: Union[str, Secret] = ""
    ca_file: str = ""
    wheel: Optional[Union[Blob, bytes]] = None
    proxy: Union[str, Secret] = ""
    no_proxy: tuple[str, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        """Cheap: size and wheel's hash are in a file beside the binary, so that 50 MB are not hashed in each run."""
        path = expand(host, self.path)
        stat = host.stat(path)
        if stat is None:
            return [Change("uv", "", self.version)]
        if stat.kind != "file" or self._recorded(host, path) != stat.size:
            return [Change("uv", "unknown content", self.version)]
        if stat.mode != MODE:
            return [Change("mode", f"{stat.mode:04o}", f"{MODE:04o}")]
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        path = expand(host, self.path)
        if [change.what for change in changes] == ["mode"]:
            host.set_mode(path, MODE)
            return
        filename, sha256 = self._wheel_for(host)
        binary = _binary(self._wheel_bytes(host, filename, sha256), filename)
        host.remove(_marker(path))
        parent = path.rpartition("/")[0]
        if host.stat(parent) is None:
            host.mkdir(parent)
        host.write(path, binary, mode=MODE)
        host.run(
            [path, "--version"],
            cause="the binary does not run on this host",
            fix="check that the path is not on a noexec mount",
        )
        host.write(_marker(path), f"{sha256} {len(binary)}\n")

    def _recorded(self, host: Reader, path: str) -> int:
        """Recorded size of a binary that was written from one of the pinned wheels; -1 if there is none."""
        words = (host.read(_marker(path)) or b"").decode("utf-8", "replace").split()
        pinned = {sha256 for _, _, sha256 in self.wheels}
        return int(words[1]) if len(words) == 2 and words[0] in pinned and words[1].isdigit() else -1

    def _wheel_for(self, host: Reader) -> tuple[str, str]:
        platform = host.once("uv platform", lambda: _platform(host))
        for name, filename, sha256 in self.wheels:
            if name == platform:
                return filename, sha256
        known = ", ".join(name for name, _, _ in self.wheels)
        raise Refused(f"uv {self.version} is not pinned for {platform}", f"pinned: {known}")

    def _wheel_bytes(self, host: System, filename: str, sha256: str) -> bytes:
        if self.wheel is None:
            host.progress(f"fetching uv {self.version}")
            from encamp.resources.python.simple_index import ca_path, fetch, route

            ca_file = ca_path(host, self.ca_file)
            proxy = route(host, self.index_url, ca_file, self.proxy, self.no_proxy)
            return fetch(host, self.index_url, "uv", filename, sha256, ca_file, proxy)
        assert isinstance(self.wheel, Blob), "bytes travel as a blob"
        if self.wheel.sha256 != sha256:
            raise Failure(f"the received wheel is not {filename}", "the controller sent another platform's wheel")
        host.progress(f"receiving uv {self.version} from the controller")
        return host.fetch(self.wheel)


def _marker(path: str) -> str:
    return f"{path}.encamp"


def _platform(host: Reader) -> str:
    """The host's platform, as in ``UvTool.wheels``."""
    system, _, machine = host.query(["uname", "-sm"]).out.strip().partition(" ")
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(machine, machine)
    return f"{machine}-{ {'Linux': 'linux-gnu', 'Darwin': 'darwin'}.get(system, system.lower()) }"


def _binary(wheel: bytes, filename: str) -> bytes:
    """The program inside the wheel: ``uv-<version>.data/scripts/uv``."""
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        for member in archive.namelist():
            if member.endswith(".data/scripts/uv"):
                return archive.read(member)
    raise Failure(f"{filename} contains no uv program", "uv changed the layout of its wheels", "report it")

"""The host as resources see it: what they may read, and the only way to change it.

``check`` of a kind gets a :class:`Reader`, which has no method that writes; ``apply`` gets a :class:`System`. Both are
implemented by ``encamp.agent.system`` and, in tests, by doubles.

Shipped to hosts: Python 3.9 syntax, standard library only.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping, Optional, Protocol, Sequence, TypeVar, Union

from encamp.shared.record import factory, record
from encamp.shared.secret import Secret
from encamp.shared.wire import Blob

T = TypeVar("T")
Content = Union[str, Secret, Blob]


@record
class Stat:
    """What ``lstat`` says of a path. ``kind`` is file, directory, symlink or other; ``mode`` the permission bits."""

    kind: str
    mode: int
    owner: str
    group: str
    size: int
    mtime: float
    target: str = ""


@record
class Result:
    """A finished command. Output is decoded with replacement: odd bytes never end a run."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def tail(self) -> str:
        """The last lines a person needs: standard error, or standard output where that is empty."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return "\n".join(lines[-20:])


@record
class HttpAnswer:
    """An HTTP response. ``status`` is 0 when no server answered; ``error`` then says why."""

    status: int
    body: bytes = b""
    error: str = ""
    headers: Mapping[str, str] = factory(dict)

    def json(self) -> Any:
        """Parse the body. Raises ValueError when it is not JSON."""
        import json

        return json.loads(self.body.decode("utf-8", "replace"))


@record
class OsRelease:
    """``/etc/os-release``: ``id`` such as debian, ``version`` such as 12, ``family`` debian, rhel or other."""

    id: str
    version: str
    family: str
    pretty: str


class Reader(Protocol):
    """The host, to look at. Nothing here writes."""

    @property
    def want_diff(self) -> bool:
        """Whether the operator asked for diffs (they cost time to make)."""
        ...

    @property
    def is_root(self) -> bool: ...

    @property
    def home(self) -> str:
        """Home directory of the user the agent runs as."""
        ...

    def os_release(self) -> OsRelease: ...

    def stat(self, path: str) -> Optional[Stat]:
        """lstat of ``path``; None when nothing is there."""
        ...

    def read(self, path: str) -> Optional[bytes]:
        """Whole content of a file; None when it does not exist."""
        ...

    def listdir(self, path: str) -> list[str]:
        """Sorted names in a directory; empty when there is none."""
        ...

    def which(self, program: str) -> Optional[str]:
        """Absolute path of a program, looked up in the system's directories (sbin too)."""
        ...

    def query(
        self,
        argv: Sequence[str],
        stdin: Union[str, Secret] = "",
        env: Optional[Mapping[str, Union[str, Secret]]] = None,
        as_user: str = "",
        timeout: float = 60,
        cwd: str = "/",
    ) -> Result:
        """Run a command that only reads. A missing program gives code 127, a time-out code 124. Never raises for an
        exit code."""
        ...

    def http(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Optional[Mapping[str, str]] = None,
        timeout: float = 10,
        ca_file: str = "",
    ) -> HttpAnswer:
        """One HTTP request (``body`` is sent as JSON). Proxy variables are ignored. Never raises for network errors."""
        ...

    def once(self, key: str, read: Callable[[], T]) -> T:
        """Remember a costly reading under ``key`` until something on the host is changed."""
        ...

    def fetch(self, blob: Blob) -> bytes:
        """Content of a blob, asked from the controller."""
        ...

    def text(self, content: Content) -> str:
        """Content as text, whatever form it travelled in."""
        ...

    def note(self, text: str) -> None:
        """Tell the operator something that is no change and no failure. Shown in the recap."""
        ...

    def finding(self, data: Mapping[str, str]) -> None:
        """Send the controller one result of a diagnosis, for the listener that asked for it. No secrets."""
        ...


class System(Reader, Protocol):
    """The host, to change. The only door: resources never call os, shutil or subprocess themselves."""

    def run(
        self,
        argv: Sequence[str],
        stdin: Union[str, Secret] = "",
        env: Optional[Mapping[str, Union[str, Secret]]] = None,
        as_user: str = "",
        timeout: float = 600,
        cwd: str = "/",
        cause: str = "",
        fix: str = "",
    ) -> Result:
        """Run a command that must succeed (exit 0). Raises CommandFailed, with ``cause`` and ``fix``."""
        ...

    def write(
        self,
        path: str,
        data: Union[bytes, str, Secret],
        owner: str = "",
        group: str = "",
        mode: int = 0o644,
        validate: Sequence[str] = (),
    ) -> None:
        """Write beside the target with owner and mode set, validate, rename, fsync. ``{}`` in ``validate`` stands for
        the new file's path; when it fails nothing is replaced and Failure is raised. Empty owner: leave as created."""
        ...

    def mkdir(self, path: str, owner: str = "", group: str = "", mode: int = 0o755) -> None: ...

    def symlink(self, path: str, target: str) -> None:
        """Point ``path`` at ``target``, atomically replacing a link that is there."""
        ...

    def set_owner(self, path: str, owner: str, group: str) -> None: ...

    def set_mode(self, path: str, mode: int) -> None: ...

    def remove(self, path: str) -> None:
        """Remove a file, link or whole directory; nothing to do when absent."""
        ...

    def rename(self, source: str, target: str) -> None: ...

    def progress(self, text: str) -> None:
        """Say what a long step is doing."""
        ...

    def measure(self, text: str, done: float, total: float = 0) -> None:
        """Say how far a long step is, for a bar; 0: nobody knows of how much. Not told where there is no terminal."""
        ...

    def wait_for(
        self, read: Callable[[], T], seconds: float, done: Callable[[T], object] = bool, every: float = 0.5
    ) -> T:
        """Call ``read`` every ``every`` seconds until ``done`` accepts its value or ``seconds`` have passed; return the
        last value. Readings kept by ``once`` are dropped before each call."""
        ...

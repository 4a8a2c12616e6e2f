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
    """The result of ``lstat``. ``kind`` is file, directory, symlink or other; ``mode`` is the
    permission bits, ``mtime`` seconds since 1970."""

    kind: str
    mode: int
    owner: str
    group: str
    size: int
    mtime: float
    target: str = ""


@record
class Result:
    """A finished command. Output is decoded with replacement, so that invalid bytes never fail a run."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def tail(self) -> str:
        """The last 20 lines of standard error, or of standard output where that is empty."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return "\n".join(lines[-20:])


#: How ``error`` words that a server accepted the connection and then said nothing.
NO_RESPONSE = "connected, but no response within"


@record
class HttpAnswer:
    """An HTTP response. ``status`` is 0 when no server answered; ``error`` is then the reason. With a status, ``error``
    says what a redirect did to the request."""

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
    """Read access to the host. No method changes it."""

    @property
    def want_diff(self) -> bool:
        """Whether the operator requested diffs (which take time)."""
        ...

    @property
    def is_root(self) -> bool: ...

    @property
    def home(self) -> str:
        """Home directory of the user the agent runs as."""
        ...

    @property
    def has_modes(self) -> bool:
        """Whether files have an owner, a group and permission bits: not on Windows."""
        ...

    def os_release(self) -> OsRelease: ...

    def stat(self, path: str) -> Optional[Stat]:
        """lstat of ``path``; None when it does not exist."""
        ...

    def read(self, path: str) -> Optional[bytes]:
        """Whole content of a file; None when it does not exist."""
        ...

    def listdir(self, path: str) -> list[str]:
        """Sorted names in a directory; empty when it does not exist."""
        ...

    def which(self, program: str) -> Optional[str]:
        """Absolute path of a program, searched in the system's directories (including sbin); None when missing."""
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
        """Run a command that only reads. A missing program gives code 127, a timeout code 124. Never raises for an
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
        proxy: Union[str, Secret] = "",
    ) -> HttpAnswer:
        """One HTTP request (``body`` is sent as JSON), through ``proxy`` if its URL is given. Proxy variables are
        ignored. A connection is given up after ten seconds. Never raises for network errors."""
        ...

    def knock(self, address: str, port: int) -> Mapping[str, str]:
        """Let the controller connect to a port. ``result`` is open, refused, silent or failed; ``text`` says why."""
        ...

    def once(self, key: str, read: Callable[[], T]) -> T:
        """Return ``read()``, kept under ``key`` until something on the host changes."""
        ...

    @property
    def given_way(self) -> set[str]:
        """What a step moves away for later ones, as ``refuse`` of its kind has said. Kept for the whole run."""
        ...

    def fetch(self, blob: Blob) -> bytes:
        """Content of a blob, requested from the controller."""
        ...

    def text(self, content: Content) -> str:
        """Content as text, in whatever form it was sent."""
        ...

    def note(self, text: str) -> None:
        """Report something that is neither a change nor a failure. Shown in the recap."""
        ...

    def finding(self, data: Mapping[str, str]) -> None:
        """Send one result of a diagnosis to the controller. Must not contain secrets."""
        ...

    def log(self, data: Mapping[str, Any]) -> None:
        """Send lines of the host's logs to the controller. Raises ControllerGone, as all that sends."""
        ...


class System(Reader, Protocol):
    """Write access to the host, the only one: resources never call os, shutil or subprocess themselves."""

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
        """Write a temporary file with owner and mode, validate it, rename it over ``path``, fsync. ``{}`` in
        ``validate`` stands for the temporary file; if it fails, nothing is replaced and Failure is raised. Empty owner
        or group: as created."""
        ...

    def mkdir(self, path: str, owner: str = "", group: str = "", mode: int = 0o755) -> None: ...

    def symlink(self, path: str, target: str) -> None:
        """Point ``path`` at ``target``, atomically replacing a link that is there."""
        ...

    def label(self, path: str, tree: bool = False) -> None:
        """Give what other programs made here, with ``tree`` all below it, its label, where the host has SELinux.

        What ``write``, ``mkdir`` and ``symlink`` make has it."""
        ...

    def set_owner(self, path: str, owner: str, group: str) -> None: ...

    def set_mode(self, path: str, mode: int) -> None: ...

    def remove(self, path: str) -> None:
        """Remove a file, link or whole directory; does nothing when absent."""
        ...

    def rename(self, source: str, target: str) -> None: ...

    def progress(self, text: str) -> None:
        """Report what a long step is doing."""
        ...

    def measure(self, text: str, done: float, total: float = 0) -> None:
        """Report how far a long step is, for a progress bar; ``total`` 0: unknown. Shown on terminals only."""
        ...

    def wait_for(
        self, read: Callable[[], T], seconds: float, done: Callable[[T], object] = bool, every: float = 0.5
    ) -> T:
        """Call ``read`` every ``every`` seconds until ``done`` accepts its value or ``seconds`` have passed; return the
        last value. Readings kept by ``once`` are dropped before each call."""
        ...

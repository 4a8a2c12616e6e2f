"""The agent's access to the host: everything a resource reads or changes goes through :class:`Host`."""

from __future__ import annotations

import os
import threading
import time
from typing import Any, Callable, Mapping, Optional, Sequence, TypeVar, Union

from encamp.agent import files, http_client
from encamp.agent.commands import SYSTEM_PATH, Env, execute
from encamp.resources.base import CommandFailed, Failure
from encamp.resources.files.paths import expand
from encamp.resources.system import Content, HttpAnswer, OsRelease, Result, Stat
from encamp.shared.secret import Secret
from encamp.shared.wire import Blob

T = TypeVar("T")
#: Content above this many bytes is used once and not kept: the parts of an image would fill the memory.
KEEP_BYTES = 1024 * 1024


class Host:
    """The machine the agent runs on. Implements ``Reader`` and ``System`` of ``encamp.resources.system``.

    ``fetch`` requests a blob's bytes from the controller; ``say`` sends an event (kind, text, further fields),
    ``knock`` lets the controller connect to a port. Any
    change drops what ``once`` has kept.
    """

    def __init__(
        self,
        fetch: Callable[[Blob], bytes],
        say: Callable[..., None],
        want_diff: bool = False,
        knock: Optional[Callable[[str, int], Mapping[str, str]]] = None,
    ) -> None:
        self._fetch = fetch
        self._knock = knock
        self._say = say
        self._want_diff = want_diff
        self._known: dict[str, Any] = {}
        self._readings: dict[str, threading.RLock] = {}
        self._blobs: dict[str, bytes] = {}
        self._noted: set[str] = set()
        self._given_way: set[str] = set()
        self._labelled: Optional[bool] = None

    def recording(self, messages: list[Any]) -> Host:
        """The same host for a check whose result may be dropped: its messages go into ``messages``.

        Readings are shared. It may be used in another thread, as long as nothing changes meanwhile.
        """
        copy = Host.__new__(Host)
        vars(copy).update(vars(self), _noted=set(), _say=lambda *message: messages.append(message))
        return copy

    def replay(self, messages: list[Any]) -> None:
        """Send messages that :meth:`recording` held back."""
        for message in messages:
            self._say(*message)

    @property
    def want_diff(self) -> bool:
        return self._want_diff

    @property
    def is_root(self) -> bool:
        return os.geteuid() == 0

    @property
    def home(self) -> str:
        return files.own_home()

    @property
    def has_modes(self) -> bool:
        return True

    # -- reading ------------------------------------------------------------------------------------------------

    def os_release(self) -> OsRelease:
        return files.os_release()

    def stat(self, path: str) -> Optional[Stat]:
        return files.stat(path)

    def read(self, path: str) -> Optional[bytes]:
        return files.read(path)

    def listdir(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(path))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def which(self, program: str) -> Optional[str]:
        for directory in SYSTEM_PATH.split(":"):
            path = os.path.join(directory, program)
            if os.access(path, os.X_OK):
                return path
        return None

    def query(
        self,
        argv: Sequence[str],
        stdin: Union[str, Secret] = "",
        env: Optional[Env] = None,
        as_user: str = "",
        timeout: float = 60,
        cwd: str = "/",
    ) -> Result:
        return execute(argv, stdin, env, as_user, timeout, cwd)

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
        through = proxy.reveal() if isinstance(proxy, Secret) else proxy
        return http_client.request(method, url, body, headers or {}, timeout, expand(self, ca_file), through)

    def knock(self, address: str, port: int) -> Mapping[str, str]:
        if self._knock is None:
            return {"result": "failed", "text": "there is no controller to ask"}
        return self._knock(address, port)

    def once(self, key: str, read: Callable[[], T]) -> T:
        with self._readings.setdefault(key, threading.RLock()):  # other threads wait for the one that reads
            if key not in self._known:
                self._known[key] = read()
            value: T = self._known[key]
        return value

    @property
    def given_way(self) -> set[str]:
        return self._given_way

    def fetch(self, blob: Blob) -> bytes:
        if blob.size > KEEP_BYTES:
            return self._fetch(blob)
        if blob.sha256 not in self._blobs:
            self._blobs[blob.sha256] = self._fetch(blob)
        return self._blobs[blob.sha256]

    def text(self, content: Content) -> str:
        if isinstance(content, Blob):
            return self.fetch(content).decode()
        return content.reveal() if isinstance(content, Secret) else content

    def note(self, text: str) -> None:
        if text not in self._noted:  # a resource is checked twice where it changes something
            self._noted.add(text)
            self._say("note", text)

    def finding(self, data: Mapping[str, str]) -> None:
        self._say("finding", data.get("text", ""), data)

    def log(self, data: Mapping[str, Any]) -> None:
        self._say("log", "", data)

    # -- changing -----------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Drop all kept readings: the host has changed."""
        self._known.clear()

    def run(
        self,
        argv: Sequence[str],
        stdin: Union[str, Secret] = "",
        env: Optional[Env] = None,
        as_user: str = "",
        timeout: float = 600,
        cwd: str = "/",
        cause: str = "",
        fix: str = "",
    ) -> Result:
        self.forget()
        result = execute(argv, stdin, env, as_user, timeout, cwd)
        if not result.ok:
            raise CommandFailed(result, cause, fix)
        return result

    def write(
        self,
        path: str,
        data: Union[bytes, str, Secret],
        owner: str = "",
        group: str = "",
        mode: int = 0o644,
        validate: Sequence[str] = (),
    ) -> None:
        self.forget()
        files.write_atomic(path, data, owner, group, mode, self._validator(validate))
        self.label(path)

    def _validator(self, argv: Sequence[str]) -> Optional[Callable[[str], None]]:
        if not argv:
            return None

        def validate(candidate: str) -> None:
            result = self.query([candidate if word == "{}" else word for word in argv])
            if not result.ok:
                raise Failure(f"`{' '.join(argv)}` rejected the new file: nothing was replaced", detail=result.tail)

        return validate

    def mkdir(self, path: str, owner: str = "", group: str = "", mode: int = 0o755) -> None:
        self.forget()
        made = files.make_directory(path, owner, group, mode)
        if made:
            self.label(made, tree=True)

    def symlink(self, path: str, target: str) -> None:
        self.forget()
        files.link_atomic(path, target)
        self.label(path)

    def label(self, path: str, tree: bool = False) -> None:
        if self._labelled is None:
            self._labelled = self.which("selinuxenabled") is not None and self.query(["selinuxenabled"]).ok
        if self._labelled:
            from encamp.agent.labels import restore

            restore(self, path, tree)

    def set_owner(self, path: str, owner: str, group: str) -> None:
        self.forget()
        files.set_owner(path, owner, group)

    def set_mode(self, path: str, mode: int) -> None:
        self.forget()
        files.set_mode(path, mode)

    def remove(self, path: str) -> None:
        self.forget()
        files.remove(path)

    def rename(self, source: str, target: str) -> None:
        self.forget()
        with files.explained(target):
            os.replace(source, target)

    def progress(self, text: str) -> None:
        self._say("progress", text)

    def measure(self, text: str, done: float, total: float = 0) -> None:
        self._say("measure", text, {"done": done, "total": total})

    def wait_for(
        self, read: Callable[[], T], seconds: float, done: Callable[[T], object] = bool, every: float = 0.5
    ) -> T:
        deadline = time.monotonic() + seconds
        while True:
            self.forget()
            value = read()
            if done(value) or time.monotonic() >= deadline:
                return value
            time.sleep(every)

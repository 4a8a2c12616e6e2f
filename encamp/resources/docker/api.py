"""The Docker engine's API over its socket: what `docker inspect` shows, without a process, for any version."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, Iterable, Mapping, Optional, Union
from urllib.parse import quote

from encamp.resources.base import Failure
from encamp.resources.system import Reader

SOCKET = "/var/run/docker.sock"
SECONDS = 60.0


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(SOCKET)


def call(
    method: str,
    path: str,
    body: Union[bytes, Iterable[bytes], None] = None,
    content_type: str = "application/json",
    timeout: float = SECONDS,
) -> tuple[int, bytes]:
    """One request: status and body. ``timeout`` is for each read or write, in seconds.

    Raises Failure when the engine does not answer.
    """
    connection = _Connection("docker", timeout=timeout)
    try:
        connection.request(
            method, path, body, {"Content-Type": content_type}, encode_chunked=not isinstance(body, (bytes, type(None)))
        )
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failure(
            f"the Docker engine does not answer: {error}",
            f"it does not run, or its socket is not {SOCKET}",
            "see `systemctl status docker`",
        ) from None
    finally:
        connection.close()


def answers(host: Reader) -> bool:
    """Whether an engine answers. With socket activation the request starts it."""
    if host.stat(SOCKET) is None:
        return False
    try:
        return call("GET", "/_ping")[0] == 200
    except Failure:
        return False


def inspect(host: Reader, what: str, name: str) -> Optional[Mapping[str, Any]]:
    """The engine's data of a container, image or volume (``what``: containers, images, volumes); None if it has none.

    Kept until something on the host changes. Raises Failure when the engine does not answer.
    """
    path = f"/{what}/{quote(name, safe='/:@')}" + ("" if what == "volumes" else "/json")

    def read() -> Optional[Mapping[str, Any]]:
        status, body = call("GET", path)
        if status == 404:
            return None
        answer = json.loads(body or b"{}")
        if status != 200:
            raise Failure(f"Docker answers {status} about {what} {name}", str(answer.get("message", "")))
        return answer if isinstance(answer, dict) else {}

    return host.once(f"docker {path}", read)


def container_id(host: Reader, name: str) -> str:
    """The id of a running container; empty if there is none, or no engine."""
    if host.stat(SOCKET) is None:
        return ""
    container = inspect(host, "containers", name) or {}
    return str(container.get("Id", "")) if (container.get("State") or {}).get("Running") else ""


def container_pids(host: Reader, name: str) -> list[int]:
    """The host's process ids of a container, whose id is in their control group."""
    wanted = container_id(host, name).encode()
    if not wanted:
        return []
    pids = (pid for pid in host.listdir("/proc") if pid.isdigit())
    return [int(pid) for pid in pids if wanted in (_group(host, pid))]


def _group(host: Reader, pid: str) -> bytes:
    try:
        return host.read(f"/proc/{pid}/cgroup") or b""
    except OSError:
        return b""

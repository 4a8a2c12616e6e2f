"""The door's program as systemd starts it: with a listening socket as descriptor 3."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import CHECKOUT

PROGRAM = CHECKOUT / "templates" / "prefect_server" / "door.py"
NOTICE = {"since": 1796000000, "until": 1796001800, "seconds": 1800, "message": "new <disks>"}
#: The example of RFC 6455, section 1.3.
KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
UPGRADE = "\r\n".join(
    (
        *("GET /api/events/in HTTP/1.1", "Host: h", "Upgrade: websocket", "Connection: Upgrade"),
        *(f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: prefect", "", ""),
    )
)


class Door:
    """A door at work, and its address."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()

    def connect(self, text: str) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.sendall(text.encode())
        return connection


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    file, log = tmp_path / "shut", tmp_path / "log"
    file.write_text(json.dumps(NOTICE))
    with socket.create_server(("127.0.0.1", 0)) as listening, log.open("wb") as output:

        def hand_over() -> None:
            os.dup2(listening.fileno(), 3)

        process = subprocess.Popen(
            [sys.executable, "-I", str(PROGRAM), str(file)],
            preexec_fn=hand_over,
            close_fds=False,
            stderr=output,
            env={"LISTEN_FDS": "1"},
        )
        try:
            yield Door(process, listening.getsockname()[1], log)
        finally:
            process.kill()
            process.wait()


def test_programs_are_told_to_come_again(door: Door) -> None:
    status, headers, body = door.ask("GET", "/api/health")
    assert (status, headers["Prefect-Maintenance"], headers["Retry-After"]) == (503, "true", "2")
    assert headers["Cache-Control"] == "no-store" and headers["Connection"] == "close"
    assert json.loads(body) == {"detail": "shut for maintenance since 2026-11-30 00:53 UTC: new <disks>"}
    assert door.ask("HEAD", "/")[0::2] == (503, "")


def test_people_get_a_page(door: Door) -> None:
    _, headers, body = door.ask("GET", "/dashboard", Accept="text/html,*/*")
    assert headers["Content-Type"].startswith("text/html")
    assert "new &lt;disks&gt;" in body and "since 2026-11-30 00:53 UTC, until 2026-11-30 01:23 UTC" in body
    assert '<meta http-equiv="refresh" content="5">' in body


@pytest.mark.parametrize("chunked", [False, True])
def test_a_whole_body_is_read_before_the_answer(door: Door, chunked: bool) -> None:
    body = b"x" * 3_000_000
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=20)
    connection.request("POST", "/api/logs/", iter([body]) if chunked else body, encode_chunked=chunked)
    assert connection.getresponse().status == 503


def test_what_is_no_http_disturbs_nobody(door: Door) -> None:
    for text in (
        "\x16\x03\x01 no HTTP\r\n\r\n",
        "GET / HTTP/1.1\r\n" + "x" * 100_000,
        "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + "0" * 100_000,
        UPGRADE + "\x09\x7f\x00\x00\x01\x00\x00\x00\x00\x00",  # a ping of a TiB
    ):
        with door.connect(text) as connection, contextlib.suppress(ConnectionResetError):
            while connection.recv(4096):  # it is closed at once, with nothing more to come
                pass
    assert door.ask("GET", "/")[0] == 503
    assert not door.log.read_bytes()


def test_a_websocket_is_accepted_and_told_to_go_when_the_door_opens(door: Door) -> None:
    with door.connect(UPGRADE) as connection, connection.makefile("rb") as stream:
        head = b"".join(iter(stream.readline, b"\r\n")).decode()
        assert head.startswith("HTTP/1.1 101 ") and f"Sec-WebSocket-Accept: {ACCEPT}" in head
        assert "Sec-WebSocket-Protocol: prefect" in head
        connection.sendall(
            b"\x81\x85\x01\x02\x03\x04" + bytes(a ^ b for a, b in zip(b"hello", b"\x01\x02\x03\x04\x01"))
        )
        connection.sendall(b"\x89\x82\x00\x00\x00\x00hi")
        assert stream.read(4) == b"\x8a\x02hi", "text is not answered, a ping is"
        door.process.send_signal(signal.SIGTERM)
        assert stream.read(4) == b"\x88\x02\x03\xe9", "close with 1001"
    assert door.process.wait(20) == 0


def test_a_request_under_way_is_answered_when_the_door_opens(door: Door) -> None:
    with door.connect("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab") as connection:
        assert door.ask("GET", "/")[0] == 503, "the door has both"
        door.process.send_signal(signal.SIGTERM)
        connection.sendall(b"cd")
        assert connection.recv(64).startswith(b"HTTP/1.1 503 ")
    assert door.process.wait(20) == 0

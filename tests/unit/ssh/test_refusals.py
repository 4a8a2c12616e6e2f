"""Servers that end a connection before they say who they are, seen over both ways: real sockets, real ``ssh``."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from encamp.errors import Unreachable
from encamp.ssh.config import Hop
from encamp.ssh.connection import connect
from encamp.ssh.openssh.link import OpenSshLink
from encamp.ssh.target import Address, Policy

Attempt = Callable[[Address], object]


def by_openssh(address: Address) -> None:
    link = OpenSshLink(address)
    try:
        link.execute("true")
    finally:
        link.close()


BOTH_WAYS = pytest.mark.parametrize("attempt", [connect, by_openssh])


@contextlib.contextmanager
def server(says: bytes, stays: bool = False) -> Iterator[tuple[int, list[socket.socket]]]:
    """A port of this machine whose server says something and closes; and the connections that it took."""
    taken: list[socket.socket] = []

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = listener.accept()
                taken.append(line)
                line.sendall(says)
                if not stays:
                    line.shutdown(socket.SHUT_RDWR)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        try:
            yield listener.getsockname()[1], taken
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for line in taken:
                line.close()


def address(tmp_path: Path, port: int, tries: int = 1) -> Address:
    file = tmp_path / "config"
    file.write_text("", "utf-8")
    return Address((Hop("127.0.0.1", "127.0.0.1", port, "deploy"),), Policy(timeout=2), tries, str(file))


@BOTH_WAYS
def test_a_penalty_is_named_and_not_tried_again(tmp_path: Path, attempt: Attempt) -> None:
    with server(b"Not allowed at this time\r\n") as (port, taken), pytest.raises(Unreachable) as raised:
        attempt(address(tmp_path, port, tries=3))
    assert f"127.0.0.1:{port} answers 'Not allowed at this time'" in raised.value.message
    assert "journalctl -u ssh | grep penalty" in raised.value.fix and "PerSourcePenalt" in raised.value.fix
    assert len(taken) == 1


PAGE = b"<!DOCTYPE HTML PUBLIC>\r\n<html>\r\n" + b"<p>text</p>\r\n" * 30


@BOTH_WAYS
@pytest.mark.parametrize("says", [b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n" + PAGE, PAGE])
def test_a_web_server_is_named_and_not_tried_again(tmp_path: Path, attempt: Attempt, says: bytes) -> None:
    with server(says) as (port, taken), pytest.raises(Unreachable) as raised:
        attempt(address(tmp_path, port, tries=3))
    begins = says.split(b"\r")[0].decode()
    assert raised.value.message == f"127.0.0.1:{port} answers as a web server ({begins!r}), not as sshd"
    assert "ansible_port" in raised.value.fix and len(taken) == 1


@BOTH_WAYS
@pytest.mark.parametrize("words", ["", "Exceeded MaxStartups"])
def test_a_server_that_closes_before_its_banner(tmp_path: Path, attempt: Attempt, words: str) -> None:
    with server(words.encode() + b"\r\n" * bool(words)) as (port, _), pytest.raises(Unreachable) as raised:
        attempt(address(tmp_path, port))
    assert "closed the connection before sending its SSH banner" in raised.value.message
    assert words in raised.value.message
    assert "journalctl -u ssh -n 20" in raised.value.fix and "MaxStartups" in raised.value.fix


@BOTH_WAYS
def test_a_server_that_says_nothing(tmp_path: Path, attempt: Attempt) -> None:
    with server(b"", stays=True) as (port, _), pytest.raises(Unreachable) as raised:
        attempt(address(tmp_path, port))
    assert raised.value.message == f"127.0.0.1:{port} does not answer within 2 s"


@BOTH_WAYS
def test_nothing_listens(tmp_path: Path, attempt: Attempt) -> None:
    with server(b"") as (port, _):
        pass
    with pytest.raises(Unreachable) as raised:
        attempt(address(tmp_path, port))
    assert raised.value.message == f"127.0.0.1:{port}: Connection refused"


@BOTH_WAYS
def test_a_name_that_does_not_resolve(tmp_path: Path, attempt: Attempt) -> None:
    place = address(tmp_path, 22)
    hop = Hop("nosuch.invalid", "nosuch.invalid", 22, "deploy")
    with pytest.raises(Unreachable) as raised:
        attempt(Address((hop,), place.policy, 1, place.config_file))
    assert raised.value.message.startswith("no address for nosuch.invalid: ")

"""The doctor's tables and readers, where no host is needed: precedence by release, frames, files, releases."""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from encamp.shared.secret import Secret
from roles.doctor.kinds.api_target import ApiTarget
from roles.doctor.kinds.network import websocket
from roles.doctor.kinds.precedence import ClientSettings
from roles.doctor.kinds.route import alternatives
from roles.doctor.kinds.tls import check_tls
from roles.doctor.kinds.websocket import check_events_in
from roles.doctor.kinds.worker import CHECK_UNIT, WorkerDoctor, WorkerSubject
from roles.prefect.kinds.user_environment import Variable
from tests.certificates import Issuer
from tests.unit.resources.case_host import CaseHost
from tests.unit.roles.client.laptop import Laptop

URL = "PREFECT_API_URL"
EVERYWHERE = {
    ".env": f"{URL}=http://dotenv/api\n",
    "prefect.toml": '[api]\nurl = "http://toml/api"\n',
    "pyproject.toml": '[tool.prefect]\napi.url = "http://project/api"\n',
}


def settings(home: Path, version: str, **environment: str) -> ClientSettings:
    """A client in its home, with variables of its shell."""
    given = {name: [Variable(name, value, "shell")] for name, value in environment.items()}
    return ClientSettings(Laptop(str(home)), version, str(home), given)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home where every source sets the URL."""
    (tmp_path / ".prefect").mkdir()
    text = f'active = "p"\n\n[profiles.p]\n{URL} = "http://profile/api"\n'
    (tmp_path / ".prefect/profiles.toml").write_text(text, "utf-8")
    for name, content in EVERYWHERE.items():
        (tmp_path / name).write_text(content, "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ("2.7.12", ["shell", "profile"]),
        ("2.20.26", ["shell", "profile"]),
        ("3.0.11", ["shell", "dotenv", "profile"]),
        ("3.8.8", ["shell", "dotenv", "toml", "project", "profile"]),
        ("", ["shell", "dotenv", "toml", "project", "profile"]),
    ],
)
def test_each_release_has_its_own_order(home: Path, version: str, wanted: list[str]) -> None:
    found = settings(home, version, **{URL: "http://shell/api"}).all(URL)
    assert [one.value.split("/")[2] for one in found] == wanted


def test_what_a_release_does_not_read_is_known(home: Path) -> None:
    assert settings(home, "2.20.26").ignored(URL)[0].value == "http://dotenv/api"
    assert settings(home, "3.8.8").ignored(URL) == []


@pytest.mark.parametrize(("version", "ephemeral"), [("2.20.26", True), ("3.0.11", True), ("3.8.8", True)])
def test_without_a_file_the_built_in_profile_counts(tmp_path: Path, version: str, ephemeral: bool) -> None:
    found = settings(tmp_path, version)
    assert found.value(URL) is None and found.ephemeral is ephemeral and found.profile.source == "default"


def test_a_profile_without_a_word_of_ephemeral_is_not_ephemeral_since_3(home: Path) -> None:
    (home / ".prefect/profiles.toml").write_text('active = "p"\n[profiles.p]\n', "utf-8")
    assert settings(home, "2.20.26").ephemeral and not settings(home, "3.8.8").ephemeral


def test_places_of_the_profiles_file(home: Path) -> None:
    assert settings(home, "3.8.8", PREFECT_HOME="~/other").profiles_path == f"{home}/other/profiles.toml"
    both = settings(home, "3.8.8", PREFECT_HOME="/x", PREFECT_PROFILES_PATH="mine.toml")
    assert both.profiles_path == f"{home}/mine.toml"
    (home / ".env").write_text("PREFECT_PROFILES_PATH=/from/dotenv.toml\n", "utf-8")
    assert settings(home, "3.8.8").profiles_path == "/from/dotenv.toml"
    assert settings(home, "3.0.11").profiles_path == f"{home}/.prefect/profiles.toml"


def test_lines_are_those_of_the_file(home: Path) -> None:
    found = settings(home, "2.20.26").value(URL)
    assert found and found.source == f"{home}/.prefect/profiles.toml:4"


def test_where_the_api_may_be_instead() -> None:
    assert alternatives("http://h:4200") == ["http://h:4200/api"]
    assert alternatives("http://h/p/") == ["http://h/p/api", "http://h/api"]
    assert "http://h/p" in alternatives("http://h/p/api") and "http://h/api" in alternatives("http://h/p/api")


# -- WebSockets ------------------------------------------------------------------------------------------------------

Answer = Callable[[socket.socket, dict[str, str]], None]


def upgrade(stream: socket.socket, fields: dict[str, str]) -> None:
    """The server's half of an opening handshake (RFC 6455, 4.2.2)."""
    digest = hashlib.sha1((fields["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    lines = (
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}",
        "Sec-WebSocket-Protocol: prefect",
    )
    stream.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())


def heard(stream: socket.socket) -> dict[str, str]:
    """The message of a client, unmasked."""
    head = stream.recv(2)
    mask = stream.recv(4)
    data = stream.recv(head[1] & 0x7F)
    assert head[0] == 0x81 and head[1] & 0x80, "a client masks its frames"
    found: dict[str, str] = json.loads(bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)))
    return found


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    """A server that gives one answer; its address."""
    sockets = []

    def start(answer: Answer) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def run() -> None:
            stream, _ = listener.accept()
            with stream:
                lines = stream.recv(65536).decode().split("\r\n")
                pairs = (line.partition(":") for line in lines[1:])
                answer(stream, {name.lower(): value.strip() for name, _, value in pairs})

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/api/events/in"

    yield start
    for one in sockets:
        one.close()


def test_a_token_is_sent_and_the_answer_read_in_pieces(serve: Callable[[Answer], str]) -> None:
    told: list[dict[str, str]] = []

    def answer(stream: socket.socket, fields: dict[str, str]) -> None:
        upgrade(stream, fields)
        told.append(heard(stream))
        text = json.dumps({"type": "auth_success", "padding": "x" * 200}).encode()
        frame = b"\x89\x00" + b"\x81\x7e" + struct.pack("!H", len(text)) + text  # a ping comes first
        stream.sendall(frame[:5])
        stream.sendall(frame[5:])

    found = websocket(serve(answer), {}, "u:p", "")
    assert found.status == 101 and "auth_success" in found.said and told == [{"type": "auth", "token": "u:p"}]


def test_a_close_tells_its_code(serve: Callable[[Answer], str]) -> None:
    def answer(stream: socket.socket, fields: dict[str, str]) -> None:
        upgrade(stream, fields)
        heard(stream)
        stream.sendall(b"\x88\x0f" + struct.pack("!H", 1008) + b"Invalid token")

    found = websocket(serve(answer), {}, None, "")
    assert (found.close_code, found.said) == (1008, "Invalid token")


def test_a_client_that_does_not_log_in_sends_nothing(serve: Callable[[Answer], str]) -> None:
    told: list[dict[str, str]] = []

    def answer(stream: socket.socket, fields: dict[str, str]) -> None:
        told.append(fields)
        upgrade(stream, fields)

    found = websocket(serve(answer), {}, "u:p", "", login=False)
    assert (found.status, found.said) == (101, "") and "sec-websocket-protocol" not in told[0]


def guarded(stream: socket.socket, fields: dict[str, str]) -> None:
    """As a server from 3.6.14 with auth answers on /events/in."""
    if fields.get("sec-websocket-protocol") != "prefect":
        stream.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        return
    upgrade(stream, fields)
    assert heard(stream) == {"type": "auth", "token": "u:p"}
    text = b'{"type": "auth_success"}'
    stream.sendall(bytes([0x81, len(text)]) + text)


def unguarded(stream: socket.socket, fields: dict[str, str]) -> None:
    """As a server before 3.6.14 answers there: it takes what it hears for an event, and fails."""
    digest = hashlib.sha1((fields["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    accept = base64.b64encode(digest).decode()
    head = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    stream.sendall(head.encode())
    if "sec-websocket-protocol" in fields:
        heard(stream)
        stream.sendall(b"\x88\x02" + struct.pack("!H", 1011))


def asks_before(stream: socket.socket, fields: dict[str, str]) -> None:
    """As a proxy with a password of its own before a server that has the same."""
    if fields.get("authorization") != f"Basic {base64.b64encode(b'u:p').decode()}":
        stream.sendall(b"HTTP/1.1 401 Unauthorized\r\n\r\n")
        return
    guarded(stream, fields)


@pytest.mark.parametrize(
    ("answer", "client", "server", "text"),
    [
        (guarded, "3.6.13", "3.9.1", "install Prefect 3.6.14 or later for this client"),
        (guarded, "3.1.8", "3.6.14", "install Prefect 3.6.14 or later for this client"),
        (guarded, "3.6.14", "3.9.1", ""),
        (guarded, "", "3.9.1", ""),
        (unguarded, "3.6.13", "3.6.13", ""),
        (unguarded, "", "3.6.13", ""),
        (unguarded, "3.9.1", "3.6.13", "upgrade the server to Prefect 3.6.14 or later"),
        (asks_before, "3.8.3", "3.9.1", ""),
        (asks_before, "3.8.0", "3.9.1", "a proxy in between wants a password in the request for this WebSocket"),
    ],
)
def test_the_websocket_is_opened_as_the_release_of_the_client_does(
    serve: Callable[[Answer], str], answer: Answer, client: str, server: str, text: str
) -> None:
    url = serve(answer).removesuffix("/events/in")
    target = ApiTarget(Laptop("/"), url, version=client, auth=Secret("u:p"), server_version=server)
    found = check_events_in(target)
    assert found and found.status == ("FAIL" if text else "ok"), found
    assert text in f"{found.cause} {found.fix}"


def test_a_proxy_that_answers_in_plain_http(serve: Callable[[Answer], str]) -> None:
    found = websocket(serve(lambda stream, _: stream.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n")), {}, None, "")
    assert (found.status, found.said) == (404, "")


def test_a_connection_that_is_dropped_is_an_error(serve: Callable[[Answer], str]) -> None:
    def answer(stream: socket.socket, fields: dict[str, str]) -> None:
        upgrade(stream, fields)
        heard(stream)

    with pytest.raises(OSError, match="closed without a response"):
        websocket(serve(answer), {}, None, "")


@contextlib.contextmanager
def https(folder: Path, certificate: str, key: str) -> Iterator[str]:
    """The URL of a server that shows a certificate for localhost."""
    (folder / "leaf.pem").write_text(certificate + key, "utf-8")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "leaf.pem")

    def greet() -> None:
        with contextlib.suppress(OSError):  # closed below
            while True:
                context.wrap_socket(listener.accept()[0], server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=greet, daemon=True).start()
        yield f"https://localhost:{listener.getsockname()[1]}/api"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("authority", "days", "status", "fix"),
    [
        ("encamp CA 1", 40, "ok", ""),
        ("encamp CA 1", 10, "warn", "`fab -H vm1 deploy`"),
        ("Company CA", 10, "warn", "check why it is not renewed"),
    ],
)
def test_a_certificate_that_ends_soon_is_told_with_who_renews_it(
    tmp_path: Path, authority: str, days: int, status: str, fix: str
) -> None:
    issuer = Issuer(authority)
    (tmp_path / "ca.pem").write_text(issuer.pem, "utf-8")
    with https(tmp_path, *issuer.leaf("localhost", datetime.timedelta(days))) as url:
        found = check_tls(ApiTarget(Laptop(str(tmp_path)), url, ca_file=str(tmp_path / "ca.pem"), server="vm1"))
    assert found and (found.status, found.fix) == (status, fix)


@pytest.mark.parametrize(
    ("state", "said", "cause", "starts"),
    [
        ("inactive", "w.service is inactive", "it was stopped, or never started", True),
        ("deactivating", "w.service is deactivating", "systemd is changing its state", False),
    ],
)
def test_only_a_worker_that_is_stopped_is_started(state: str, said: str, cause: str, starts: bool) -> None:
    """A worker that lets its flow runs end is stopping, and a start would be of no use."""
    host = CaseHost({"units": {"w.service": {"ActiveState": state, "SubState": "dead"}}})
    found = CHECK_UNIT.run(
        WorkerSubject(host, WorkerDoctor("w", env_file="/etc/prefect/default/worker.env"), "w.service")
    )
    assert found and (found.status, found.text, found.cause) == ("FAIL", said, cause)
    assert (found.remedy is not None) == starts

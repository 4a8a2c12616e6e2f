"""HTTP from the agent, against a real server on loopback."""

from __future__ import annotations

import http.client
import http.server
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from encamp.agent import http_client
from encamp.resources.probes.http_probe import HttpProbe
from encamp.resources.system import NO_RESPONSE
from tests.agent.conftest import Converge, statuses


class Handler(http.server.BaseHTTPRequestHandler):
    """Ready some time after the start; redirects; echoes what credentials it saw."""

    ready_at = 0.0

    def do_GET(self) -> None:
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("location", "/echo")
            self.end_headers()
            return
        self.send_response(200 if time.monotonic() >= self.ready_at else 503)
        self.end_headers()
        self.wfile.write(f"fine {self.headers.get('Authorization')}".encode())

    def do_POST(self) -> None:
        if self.path.startswith("/moved"):
            self.send_response(int(self.path[-3:]))
            self.send_header("location", "/echo")
            self.end_headers()
            return
        if self.path == "/slow":
            time.sleep(3)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_probe_waits_until_the_answer_is_right(url: str, converge: Converge) -> None:
    Handler.ready_at = time.monotonic() + 2
    assert statuses(converge(HttpProbe(f"{url}/", contains="fine"))) == {f"HttpProbe:{url}/": "ok"}


def test_a_wrong_answer_fails_with_what_was_said(url: str, converge: Converge) -> None:
    Handler.ready_at = 0
    event = converge(HttpProbe(f"{url}/", contains="great", timeout=1))[-2]
    assert event["status"] == "failed" and "HTTP 200 without 'great'" in event["reason"]


def test_nobody_there_is_a_failure_and_in_check_mode_unknown(converge: Converge) -> None:
    probe = HttpProbe("http://127.0.0.1:1/", timeout=1)
    assert "refused" in converge(probe)[-2]["reason"]
    assert statuses(converge(probe, check=True)) == {probe.id: "unknown"}


def test_a_body_is_sent_as_json_and_redirects_are_followed(url: str) -> None:
    Handler.ready_at = 0
    assert http_client.request("POST", f"{url}/", {"a": 1}, {}, 5, "").json() == {"a": 1}
    assert b"Basic x" in http_client.request("GET", f"{url}/redirect", None, {"Authorization": "Basic x"}, 5, "").body


@pytest.mark.parametrize(("status", "kept"), [(301, False), (302, False), (303, False), (307, True), (308, True)])
def test_a_redirect_may_turn_a_post_into_a_get_as_for_prefects_client(url: str, status: int, kept: bool) -> None:
    Handler.ready_at = 0
    answer = http_client.request("POST", f"{url}/moved-{status}", {"a": 1}, {}, 5, "")
    assert (answer.body == b'{"a": 1}') is kept
    assert (answer.error == "") is kept and (kept or f"POST was redirected to {url}/echo" in answer.error)


def test_a_server_that_accepts_and_says_nothing_is_told_from_one_that_cannot_be_reached(url: str) -> None:
    answer = http_client.request("POST", f"{url}/slow", {}, {}, 0.3, "")
    assert (answer.status, answer.error) == (0, "connected, but no response within 0.3 s")


def test_credentials_do_not_follow_to_another_server(url: str) -> None:
    other = url.replace("127.0.0.1", "localhost")
    target, headers = http_client._redirected(
        f"{url}/redirect", f"{other}/echo", {"Authorization": "Basic x", "X": "y"}
    )
    assert target == f"{other}/echo" and headers == {"X": "y"}


@pytest.mark.parametrize("bad", ["ftp://x/", "nonsense", "http://", "http://h:99999/"])
def test_what_is_no_address_is_an_error_and_no_exception(bad: str) -> None:
    assert http_client.request("GET", bad, None, {}, 1, "").status == 0


def test_a_server_that_says_nothing_is_told_from_one_that_is_not_there(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until Python 3.10 a socket that times out raises ``socket.timeout``, which is no TimeoutError."""
    silent = http_client.request("POST", f"{url}/slow", {}, {}, 0.2, "")
    assert silent.error == f"{NO_RESPONSE} 0.2 s"

    class OldTimeout(OSError):
        """As it was in Python 3.9."""

    def time_out(connection: http.client.HTTPConnection) -> None:
        raise OldTimeout("timed out")

    monkeypatch.setattr(socket, "timeout", OldTimeout)
    monkeypatch.setattr(http.client.HTTPConnection, "getresponse", time_out)
    assert http_client.request("GET", f"{url}/", None, {}, 0.2, "").error == f"{NO_RESPONSE} 0.2 s"

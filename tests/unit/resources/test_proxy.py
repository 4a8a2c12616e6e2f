"""The proxy that leads out: from which file, for whom, and what is asked through it."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from encamp.agent import http_client
from encamp.resources.base import Failure
from encamp.resources.proxy import is_exempt, proxy_of
from encamp.resources.python.simple_index import route
from encamp.resources.system import HttpAnswer
from encamp.shared.secret import Secret
from tests.unit.resources.case_host import CaseHost


@pytest.mark.parametrize(
    ("files", "url", "exceptions", "source"),
    [
        ({"/etc/environment": 'PATH="/bin"\n'}, "", "", ""),
        (
            {"/etc/environment": 'https_proxy="http://p:3128/"\nNO_PROXY=.a.com, b\n'},
            "http://p:3128/",
            ".a.com,localhost,127.0.0.1,::1",
            "/etc/environment",
        ),
        ({"/etc/environment": "export HTTP_PROXY=p:3128\n"}, "http://p:3128", None, "/etc/environment"),
        ({"/etc/environment": "#http_proxy=http://old:1\n"}, "", "", ""),
        (
            {"/etc/apt/apt.conf.d/95proxies": 'Acquire::http::Proxy "http://u:w@p:8080";\n'},
            "http://u:w@p:8080",
            "localhost,127.0.0.1,::1",
            "/etc/apt/apt.conf.d/95proxies",
        ),
        ({"/etc/apt/apt.conf.d/95proxies": '// Acquire::http::Proxy "http://p:1";\n'}, "", "", ""),
        ({"/etc/apt/apt.conf": 'Acquire::http::Proxy "DIRECT";\n'}, "", "", ""),
    ],
)
def test_what_a_host_says_of_its_proxy(files: dict[str, str], url: str, exceptions: str | None, source: str) -> None:
    host: Any = CaseHost({"files": files})
    found = proxy_of(host)
    assert (found.url.reveal(), found.source) == (url, source) if found else url == ""
    if found and exceptions is not None:
        assert found.variables["no_proxy"] == exceptions and found.variables["NO_PROXY"] == exceptions


def test_the_sites_own_goes_first_and_its_password_is_a_secret() -> None:
    host: Any = CaseHost({"files": {"/etc/environment": "https_proxy=http://other:1\n"}})
    found = proxy_of(host, Secret("http://u:pass@p:3128"), ("*.a.com", "10.0.0.5"))
    assert found and found.shown == "http://p:3128" and isinstance(found.variables["HTTPS_PROXY"], Secret)
    assert found.variables["no_proxy"] == ".a.com,10.0.0.5,localhost,127.0.0.1,::1"
    plain = proxy_of(host, "http://p:3128")
    assert plain and plain.variables["http_proxy"] == "http://p:3128"


@pytest.mark.parametrize(
    ("server", "names", "exempt"),
    [
        ("a.example.com", ["example.com"], True),
        ("a.example.com", [".example.com"], True),
        ("a.example.com", ["*.example.com"], False),
        ("badexample.com", ["example.com"], False),
        ("10.0.0.5", ["10.0.0.5"], True),
        ("10.0.0.5", ["10.0.0.0/8"], False),
        ("::1", ["[::1]"], True),
        ("anything", ["*"], True),
        ("anything", ["", "."], False),
    ],
)
def test_exceptions_as_httpx_reads_them(server: str, names: list[str], exempt: bool) -> None:
    assert is_exempt(server, names) is exempt


@contextlib.contextmanager
def listener(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A port of 127.0.0.1 that answers one connection, and what it was sent."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                seen.append(connection.recv(65536))
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], seen
        thread.join(5)


def test_plain_http_goes_to_the_proxy_whole_with_its_login() -> None:
    with listener(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as (port, seen):
        proxy = f"http://us%40er:pa%3Ass@127.0.0.1:{port}"
        answer = http_client.request("GET", "http://index.example.com/simple/?a=b", None, {}, 5, "", proxy)
    assert (answer.status, answer.body) == (200, b"ok")
    assert seen[0].startswith(b"GET http://index.example.com/simple/?a=b HTTP/1.1\r\n")
    assert b"Basic " + base64.b64encode(b"us@er:pa:ss") in seen[0] and b"Host: index.example.com\r\n" in seen[0]


def test_https_goes_through_a_tunnel() -> None:
    with listener(b"HTTP/1.1 403 Filtered\r\n\r\n") as (port, seen):
        answer = http_client.request("GET", "https://index.example.com/", None, {}, 5, "", f"http://127.0.0.1:{port}")
    assert answer.status == 0 and "403 Filtered" in answer.error
    assert seen[0].startswith(b"CONNECT index.example.com:443 HTTP/1.")


def test_a_proxy_of_another_kind_is_an_error_and_no_traceback() -> None:
    answer = http_client.request("GET", "http://a/", None, {}, 5, "", "socks5://127.0.0.1:1080")
    assert answer.status == 0 and "http://HOST:PORT" in answer.error


class Ways(CaseHost):
    """A host that reaches the index in some ways: ``direct``, or by the URL of a proxy."""

    def __init__(self, open_ways: set[str], environment: str = "") -> None:
        super().__init__({"files": {"/etc/environment": environment}})
        self.open_ways = open_ways

    def http(self, method: str, url: str, *more: Any, proxy: Any = "", **others: Any) -> HttpAnswer:
        way = proxy.reveal() if isinstance(proxy, Secret) else "direct"
        return HttpAnswer(404) if way in self.open_ways else HttpAnswer(0, error="timed out")


INDEX = "https://u:w@index.example.com/simple"
NAMED = "https_proxy=http://p:1\n"


@pytest.mark.parametrize(
    ("host", "given", "way"),
    [
        (Ways({"direct"}), "", ""),
        (Ways({"direct", "http://p:1"}, NAMED), "", ""),
        (Ways({"http://p:1"}, NAMED), "", "http://p:1"),
        (Ways({"direct", "http://q:1"}, NAMED), "http://q:1", "http://q:1"),
        (Ways({"direct"}, "https_proxy=http://p:1\nno_proxy=example.com\n"), "", ""),
    ],
)
def test_the_way_to_the_index(host: Any, given: str, way: str) -> None:
    found = route(host, INDEX, "", given)
    assert (found.url.reveal() if found else "") == way


@pytest.mark.parametrize(
    ("host", "given", "reason", "cause"),
    [
        (Ways(set()), "", "timed out", "only a proxy leads out (none is set in proxy:, /etc/environment"),
        (Ways(set(), NAMED), "", "(through the proxy http://p:1, from /etc/environment)", "the proxy does not answer"),
        (Ways({"direct"}), "http://x:y@q:1", "(through the proxy http://q:1, from proxy:)", "wants a password"),
    ],
)
def test_no_way_to_the_index_is_said_with_what_was_seen(host: Any, given: str, reason: str, cause: str) -> None:
    with pytest.raises(Failure) as caught:
        route(host, INDEX, "", given)
    failure = caught.value
    assert reason in failure.reason and cause in failure.cause and "curl" in failure.fix
    assert "u:w" not in f"{failure.reason} {failure.cause} {failure.fix}" and "x:y" not in str(vars(failure))

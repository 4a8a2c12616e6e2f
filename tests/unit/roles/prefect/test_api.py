"""What answers and refusals mean, over real HTTP on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from encamp.resources.base import Failure
from encamp.resources.system import HttpAnswer
from encamp.shared.secret import Secret
from roles.client.kinds.api import ClientApi
from roles.prefect.kinds.api import Api, problem_of, without_password
from roles.server.kinds.resolved_settings import same_value
from roles.worker.kinds.pool import WorkPool
from tests.unit.roles.client.laptop import Laptop

GOOD = {
    "GET /api/health": (200, True),
    "POST /api/flow_runs/filter": (200, []),
    "GET /api/admin/version": (200, "3.8.8"),
}


class Server(ThreadingHTTPServer):
    """Answers from a table of ``METHOD path``; keeps the headers it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.table: dict[str, tuple[int, Any]] = dict(GOOD)
        self.seen: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        call = f"{self.command} {self.path.partition('?')[0]}"
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((call, dict(self.headers)))
        status, body = self.server.table.get(call, (404, {"detail": "Not Found"}))
        if status == 403 and self.headers.get("Prefect-Csrf-Token") == "t":
            status, body = 200, []
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = answer

    def log_message(self, *words: Any) -> None:
        return


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def host(tmp_path: Path) -> Laptop:
    return Laptop(str(tmp_path))


def failure(kind: ClientApi, host: Laptop) -> Failure:
    changes = kind.check(host)
    assert changes
    with pytest.raises(Failure) as caught:
        kind.apply(host, changes)
    return caught.value


def test_a_good_server_is_noted_once(server: Server, host: Laptop) -> None:
    kind = ClientApi(f"{server.url}/api/")
    assert kind.check(host) == [] and kind.check(host) == []
    assert len(host.notes) == 1 and "3.8.8" in host.notes[0]


def test_auth_is_sent_as_prefect_does(server: Server, host: Laptop) -> None:
    ClientApi(f"{server.url}/api", Secret("user:päss")).check(host)
    assert all(headers["Authorization"] == "Basic dXNlcjpww6Rzcw==" for _, headers in server.seen)


def test_api_missing_in_the_url(server: Server, host: Laptop) -> None:
    assert "/api" in failure(ClientApi(server.url), host).fix


def test_health_is_not_enough(server: Server, host: Laptop) -> None:
    server.table["POST /api/flow_runs/filter"] = (500, {"detail": "boom"})
    assert "HTTP 500" in failure(ClientApi(f"{server.url}/api", timeout=0), host).reason


def test_wrong_auth(server: Server, host: Laptop) -> None:
    server.table["POST /api/flow_runs/filter"] = (401, {"exception_message": "Unauthorized"})
    assert "PREFECT_API_AUTH_STRING" in failure(ClientApi(f"{server.url}/api"), host).fix


def test_another_program_that_answers(server: Server, host: Laptop) -> None:
    server.table["GET /api/health"] = (200, {"status": "UP"})
    assert "not like a Prefect API" in failure(ClientApi(f"{server.url}/api"), host).reason


def test_nothing_listens(server: Server, host: Laptop) -> None:
    url = server.url
    server.server_close()
    assert "nothing listens" in failure(ClientApi(f"{url}/api", timeout=0), host).cause


def test_name_unknown(host: Laptop) -> None:
    assert "resolve" in failure(ClientApi("http://no-such-host.invalid:4200/api", timeout=0), host).cause


def test_it_waits_for_a_server_that_comes_up(server: Server, host: Laptop) -> None:
    server.table["GET /api/health"] = (503, {})
    kind = ClientApi(f"{server.url}/api", timeout=10)
    changes = kind.check(host)
    threading.Timer(0.5, lambda: server.table.update(GOOD)).start()
    kind.apply(host, changes)
    assert kind.check(host) == []


def test_csrf_token_is_fetched_where_asked_for(server: Server, host: Laptop) -> None:
    server.table["POST /api/flow_runs/filter"] = (403, {"detail": "Missing CSRF token."})
    server.table["GET /api/csrf-token"] = (200, {"token": "t"})
    assert ClientApi(f"{server.url}/api").check(host) == []


def test_a_busy_server_is_asked_again(server: Server, host: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roles.prefect.kinds.api.PAUSES", (0.01, 0.01))
    server.table["GET /api/health"] = (503, {})
    assert Api(f"{server.url}/api").persistent(host, "GET", "health").status == 503
    assert len(server.seen) == 3


def test_an_absent_pool_is_not_a_wrong_url(server: Server, host: Laptop) -> None:
    server.table["GET /api/work_pools/a%20b"] = (404, {"detail": 'Work pool "a b" not found.'})
    assert [change.what for change in WorkPool("a b", api_url=f"{server.url}/api").check(host)] == ["work pool"]
    with pytest.raises(Failure, match="404"):
        WorkPool("a b", api_url=server.url).check(host)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ("[Errno 111] Connection refused", "nothing listens"),
        ("timed out", "firewall"),
        ("[Errno 113] No route to host", "firewall"),
        ("[Errno -2] Name or service not known", "resolve"),
        ("[Errno 8] nodename nor servname provided, or not known", "resolve"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "plain http"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self signed", "authority"),
    ],
)
def test_network_errors_have_a_cause(error: str, word: str) -> None:
    problem = problem_of(HttpAnswer(0, error=error), "GET", "http://me:secret@x/api/health")
    assert problem and word in problem.cause and "secret" not in problem.reason


def test_password_is_blotted_out() -> None:
    assert without_password("postgresql+asyncpg://u:p%40@h/d http://x/y") == "postgresql+asyncpg://***@h/d http://x/y"


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [
        (4200, "4200", True),
        (10.0, "10", True),
        (True, "true", True),
        (False, "true", False),
        (None, "", True),
        (None, "x", False),
        ("http://a/api", "http://a/api/", True),
        ("**********", "secret", True),
        ("P30D", "P30D", True),
        (4201, "4200", False),
    ],
)
def test_resolved_settings_compare(found: Any, wanted: str, same: bool) -> None:
    assert same_value(found, wanted) is same

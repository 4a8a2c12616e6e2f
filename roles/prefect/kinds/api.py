"""Prefect's HTTP API as seen from the host."""

from __future__ import annotations

import base64
import re
import time
from typing import Any, Mapping, Optional

from encamp.resources.base import Failure
from encamp.resources.system import HttpAnswer, Reader
from encamp.shared.record import record
from encamp.shared.secret import Secret

BODY_SHOWN = 300
BUSY = (429, 502, 503)
#: Seconds between the tries of a persistent call.
PAUSES = (0.3, 0.6, 1.2, 2.4, 4.8)


@record
class Problem:
    """What does not hold: what happened, the likely cause, what to do. ``settled``: waiting will not change it."""

    reason: str
    cause: str = ""
    fix: str = ""
    settled: bool = False

    def failure(self, detail: str = "") -> Failure:
        """The same as an exception."""
        return Failure(self.reason, self.cause, self.fix, detail)


@record
class Api:
    """The API at ``url`` (ending in ``/api``). ``auth`` is ``user:password`` where the server requires it."""

    url: str
    auth: Optional[Secret] = None
    ca_file: str = ""

    def call(self, host: Reader, method: str, path: str, body: Any = None, timeout: float = 10) -> HttpAnswer:
        """One call. Fetches a CSRF token and tries once more where the server asks for one. Never raises."""
        headers = self.headers()
        answer = host.http(method, self.address(path), body, headers, timeout, self.ca_file)
        if answer.status == 403 and b"CSRF" in answer.body:
            headers = {**headers, **self._csrf(host, timeout)}
            answer = host.http(method, self.address(path), body, headers, timeout, self.ca_file)
        return answer

    def persistent(self, host: Reader, method: str, path: str, body: Any = None) -> HttpAnswer:
        """A call, tried again as Prefect's own client does: a server on SQLite says 503 while its file is locked."""
        answer = self.call(host, method, path, body)
        for pause in PAUSES:
            if answer.status not in BUSY:
                break
            time.sleep(pause)
            answer = self.call(host, method, path, body)
        return answer

    def must(self, host: Reader, method: str, path: str, body: Any = None) -> Any:
        """A persistent call that has to succeed; its JSON (None where the body is empty). Raises Failure."""
        answer = self.persistent(host, method, path, body)
        problem = problem_of(answer, method, self.address(path))
        if problem:
            raise problem.failure()
        return answer.json() if answer.body else None

    def address(self, path: str) -> str:
        """Full address of a path of the API."""
        return self.url.rstrip("/") + "/" + path.lstrip("/")

    def headers(self) -> Mapping[str, str]:
        """The credentials, as Prefect's client sends them."""
        if self.auth is None:
            return {}
        token = base64.b64encode(self.auth.reveal().encode()).decode()
        return {"Authorization": f"Basic {token}"}

    def _csrf(self, host: Reader, timeout: float) -> Mapping[str, str]:
        import uuid

        client = str(uuid.uuid4())
        address = self.address(f"csrf-token?client={client}")
        answer = host.http("GET", address, None, self.headers(), timeout, self.ca_file)
        if answer.status != 200:
            return {}
        return {"Prefect-Csrf-Token": str(answer.json().get("token", "")), "Prefect-Csrf-Client": client}


def problem_of(answer: HttpAnswer, method: str, address: str) -> Optional[Problem]:
    """What is wrong with an answer; None for a 2xx."""
    if 200 <= answer.status < 300:
        return None
    from roles.prefect.kinds.call_errors import SHUT, STATUS_MEANINGS, explain_network

    call = f"{method} {without_password(address)}"
    if answer.status == 0:
        cause, fix = explain_network(answer.error)
        return Problem(f"{call}: {answer.error}", cause, fix)
    if answer.error:
        return Problem(
            f"{call}: HTTP {answer.status}: {answer.error}",
            "a proxy redirects to another address, and Prefect's clients then send GET in place of POST",
            "use the address that it redirects to (https://) in public_url and in PREFECT_API_URL",
            settled=True,
        )
    cause, fix = STATUS_MEANINGS.get(answer.status, ("", ""))
    if answer.headers.get("Prefect-Maintenance"):
        cause, fix = SHUT
    if answer.status >= 500 and not cause:
        cause, fix = (
            "the server failed, often because of its database",
            "run `fab -H SERVER doctor`, or read the server's journal (journalctl -u UNIT)",
        )
    detail = (
        ""
        if answer.body.lstrip()[:1] == b"<"
        else " ".join(answer.body[:BODY_SHOWN].decode("utf-8", "replace").split())
    )
    return Problem(f"{call}: HTTP {answer.status} {detail}".rstrip(), cause, fix, settled=answer.status < 500)


def without_password(url: str) -> str:
    """A URL fit to be shown: user and password blotted out."""
    return re.sub(r"(\w://)[^/@\s]*@", r"\1***@", url)


def seconds_of(text: Any) -> Optional[float]:
    """A time as the API writes it (UTC), in seconds since the epoch; None for what is none."""
    import calendar

    try:
        return float(calendar.timegm(time.strptime(str(text)[:19], "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        return None

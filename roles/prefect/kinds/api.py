"""Prefect's HTTP API as seen from the host, and what its refusals mean in plain words."""

from __future__ import annotations

import base64
import re
import time
from typing import Any, Mapping, Optional

from encamp.resources.base import Failure
from encamp.resources.system import NO_RESPONSE, HttpAnswer, Reader
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


#: (what the TLS library says of a certificate, cause, fix), first match wins.
CERTIFICATE_ERRORS = (
    (
        r"certificate has expired",
        "the server's certificate has expired, or this machine's clock is ahead",
        "`date` shows the clock; renew the certificate (`fab deploy` does with tls: internal, Caddy does with tls: "
        "acme)",
    ),
    (
        r"not yet valid",
        "the certificate is not valid yet; usually this machine's clock is behind",
        "`date` shows the clock; set it (`timedatectl set-ntp true`)",
    ),
    (
        r"[Hh]ostname mismatch|doesn't match|IP address mismatch",
        "the certificate is for a different name than the one in the URL",
        "use the name in the certificate, or add this one to it (public_url)",
    ),
)
#: (what the network error says, cause, fix), first match wins.
NETWORK_ERRORS = (
    (
        r"Name or service not known|nodename nor servname|Temporary failure in name resolution|No address associated"
        r"|getaddrinfo",
        "this machine cannot resolve the server's name",
        "use a name that this machine can resolve (DNS or /etc/hosts), or the address, in public_url",
    ),
    (
        r"Connection refused",
        "the machine is reachable, but nothing listens on that port, or a firewall rejects the connection",
        "`ss -ltn` on the server shows whether something listens there; check host and port in public_url",
    ),
    (
        rf"{NO_RESPONSE}|read operation timed out",
        "the server accepts connections, but is too busy to answer, or hangs; after a pause, late runs start at once",
        "`fab -H SERVER doctor` shows late runs and what it logs",
    ),
    (
        r"Network is unreachable",
        "this machine has no route to that address: it is offline, its VPN is off, or the address is IPv6 and it has "
        "none",
        "`ip route get ADDRESS` shows the route; join the server's network",
    ),
    (
        r"No route to host|Host is down",
        "the network does not lead there: the server is off, the address is wrong, or a firewall rejects the packets",
        "`ping ADDRESS` from another machine of the server's network shows whether it is up",
    ),
    (
        r"timed out",
        "packets do not arrive: a firewall drops them, a VPN is off, or the address is wrong",
        "`fab -H SERVER doctor` shows whether they reach the server (check `outside`); open the port from here to it",
    ),
    *CERTIFICATE_ERRORS,
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "the certificate is not signed by an authority that this machine trusts",
        "set ca_bundle: to the certificate authority that signed it",
    ),
    (
        r"WRONG_VERSION_NUMBER|wrong version number|record layer failure",
        "the URL is https, but the port speaks plain http",
        "use http:// in public_url, or put TLS in front of the server",
    ),
    (
        r"too many redirects",
        "a proxy redirects in a circle, as from http to https and back",
        "`curl -sIL URL` shows each redirect",
    ),
    (
        r"reset by peer|closed connection without response|RemoteDisconnected|BadStatusLine|IncompleteRead",
        "something accepts connections and closes them: a proxy without a backend, or not a Prefect server",
        "`ss -ltnp` on the server shows what listens on that port",
    ),
)

NOT_THE_API = "`fab doctor` shows what answers there (check `path`); the API URL must end in /api"
#: What an HTTP status means when a Prefect server was expected.
STATUS_MEANINGS = {
    401: (
        "the server, or a proxy in front of it, requires user and password; they are missing or wrong",
        "set PREFECT_API_AUTH_STRING to the server's auth string; PREFECT_API_KEY is only for Prefect Cloud",
    ),
    403: (
        "the server or a proxy in front of it forbids this",
        "`fab -H SERVER doctor` asks the server itself; if that is well, read the log of the proxy",
    ),
    404: (
        "the address responds, but has no such path: /api is missing from the URL, or another program responds there",
        NOT_THE_API,
    ),
    405: (
        "the address responds, but not to this method: /api is missing from the URL, or another program responds there",
        NOT_THE_API,
    ),
    422: (
        "the server does not accept the request's format: most likely client and server are of different releases",
        "`fab doctor` names both (check `version`); the server must be at least as new as every client",
    ),
    502: ("a proxy responds, but the server behind it does not", "check the server with `fab -H SERVER doctor`"),
    503: (
        "the server is not ready, as while its database is down or busy; or a proxy has no backend",
        "check the server with `fab -H SERVER doctor`",
    ),
    504: (
        "a proxy responds, but the server behind it is too slow or down",
        "check the server with `fab -H SERVER doctor`",
    ),
}


def problem_of(answer: HttpAnswer, method: str, address: str) -> Optional[Problem]:
    """What is wrong with an answer; None for a 2xx."""
    if 200 <= answer.status < 300:
        return None
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


def explain_network(error: str) -> tuple[str, str]:
    """Likely cause and fix of a network error by its text; empty where it is none that is known."""
    return next(((cause, fix) for pattern, cause, fix in NETWORK_ERRORS if re.search(pattern, error)), ("", ""))


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

"""Verifies that Prefect answers at its public address, through the proxy: pages, API and WebSockets."""

from __future__ import annotations

import http.client
import ipaddress
import json
import ssl
import time
from typing import Any, ClassVar, Mapping, Optional, Sequence
from urllib.parse import urlsplit

from encamp.resources.base import Change, Resource, kind
from encamp.resources.certificates.handshake import SWITCHED, UPGRADE, Answer, ask
from encamp.resources.system import Reader, System
from roles.prefect.kinds.api import Problem
from roles.prefect.kinds.memory import note_once

DAY = 24 * 3600
LOOPBACK = "127.0.0.1"


@kind
class ProxyProbe(Resource):
    """A public https address at which the proxy of this host serves Prefect: API, UI and WebSockets.

    ``url`` is the public address without ``/api``. From this host its name may lead elsewhere, so the requests go to
    the host's own address, with that name. ``sockets`` are paths below ``/api`` that must open as WebSockets: task runs
    travel over them, and a proxy that does not forward WebSockets loses them silently. ``ca_file`` verifies the
    certificate; empty: the system's trust store. ``timeout`` is how many seconds it may take: an ACME server takes
    some. ``unit`` is the proxy's, for its journal in failures. ``warn_days``: a certificate that expires sooner is
    reported.
    """

    changes_host: ClassVar[bool] = False

    url: str
    sockets: tuple[str, ...] = ()
    ca_file: str = ""
    timeout: int = 30
    unit: str = ""
    warn_days: int = 21

    def check(self, host: Reader) -> list[Change]:
        problem = self._problem(host)
        return [Change("answers", problem.reason, "yes")] if problem else []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.progress(f"waiting for {self.url} to answer through the proxy")
        problem = host.wait_for(lambda: self._problem(host), self.timeout, done=lambda problem: problem is None)
        if problem:
            from encamp.resources.systemd.journal import journal_tail

            raise problem.failure(journal_tail(host, self.unit) if self.unit else "")

    def _problem(self, host: Reader) -> Optional[Problem]:
        """The first thing that does not work; None when all does."""
        try:
            health = self._ask("/api/health", {})
            if health.status != 200 or health.body.strip() != b"true":
                return _http_problem(f"{self.url}/api/health", health)
            self._warn(host, health.ends)
            answer = self._ask("/ui-settings", {})
            if answer.status == 200 and _api_url(answer.body) not in ("", f"{self.url}/api"):
                reason = f"the UI at {self.url} tells browsers to use {_api_url(answer.body)}, not {self.url}/api"
                return Problem(reason, "another server responds there, or this one was not restarted since the change")
            for path in self.sockets:
                answer = self._ask(f"/api/{path}", UPGRADE)
                if answer.status != SWITCHED:
                    return _socket_problem(f"{self.url}/api/{path}", answer)
        except (OSError, ValueError, http.client.HTTPException) as error:
            return _network_problem(self.url, error)
        return None

    def _ask(self, path: str, headers: Mapping[str, str]) -> Answer:
        return ask(self.url + path, _here(urlsplit(self.url).hostname or ""), self.ca_file, headers)

    def _warn(self, host: Reader, ends: float) -> None:
        left = ends - time.time()
        if left < self.warn_days * DAY:
            day = time.strftime("%Y-%m-%d", time.gmtime(ends))
            note_once(self, host, f"the certificate of {self.url} expires on {day}, in {left / DAY:.0f} days: renew it")


def _here(name: str) -> str:
    """The address to ask at: the URL's own where it is one of this host (without a name in the handshake, Caddy chooses
    the certificate by the address), else loopback."""
    from encamp.resources.probes.free_port import is_here

    try:
        ipaddress.ip_address(name)
    except ValueError:
        return LOOPBACK
    return name if is_here(name) else LOOPBACK


def _api_url(body: bytes) -> str:
    """The API URL in the UI's settings; empty when there is none."""
    try:
        settings: Any = json.loads(body)
        return str(settings.get("api_url") or "").rstrip("/")
    except (ValueError, AttributeError):
        return ""


def _http_problem(address: str, answer: Answer) -> Problem:
    if answer.status == 502:
        return Problem(f"{address}: HTTP 502", "the proxy responds, but the Prefect server behind it does not")
    return Problem(
        f"{address}: HTTP {answer.status} instead of Prefect's health",
        "another site of this proxy uses that address, or the base path is wrong",
        "check the sites in /etc/caddy",
    )


def _socket_problem(address: str, answer: Answer) -> Problem:
    return Problem(
        f"{address} does not open as a WebSocket: HTTP {answer.status}",
        "something between the proxy and Prefect does not forward WebSockets; task runs and logs would be lost",
        "check the sites in /etc/caddy",
    )


def _network_problem(url: str, error: Exception) -> Problem:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Problem(
            f"{url}: certificate verification failed: {error.verify_message}",
            "the proxy has no certificate for that name yet, or this host does not trust its authority",
            "with tls: acme check the proxy's log; add your own authority to ca_bundle: or acme_ca_root:",
        )
    if isinstance(error, ssl.SSLError):
        return Problem(
            f"{url}: TLS failed: {error.reason or error}", "the proxy has no certificate for that name (yet)"
        )
    if isinstance(error, ConnectionRefusedError):
        return Problem(
            f"{url}: nothing listens on that port on this host", "the proxy is not running, or uses another port"
        )
    return Problem(f"{url}: {error or type(error).__name__}", "the proxy does not respond like a web server")

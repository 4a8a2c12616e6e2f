"""A client and its route to the server, as the doctor's checks need them."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Mapping, Optional

from encamp.resources.system import HttpAnswer, Reader
from encamp.shared.secret import Secret
from roles.doctor.kinds.precedence import SENT_FIRST
from roles.prefect.kinds.api import Api
from roles.prefect.kinds.endpoint import Endpoint
from roles.prefect.kinds.releases import AUTH_SINCE, FLOW_RUNS, older, since

TIMEOUT = 6.0
#: Hosts in URLs that stand for every address, and for the machine itself.
LISTENED_ON = ("0.0.0.0", "::", "*")
OWN = ("127.0.0.1", "::1", "localhost")


@dataclasses.dataclass
class ApiTarget:
    """A client and its route to the server.

    ``where`` says what set ``url``, ``version`` is the client's release. ``auth`` and ``key`` are its own auth string
    and Cloud key (``key_where``: what set it). ``ca_file`` is the file its HTTP client trusts; ``insecure``: it checks
    no certificates. ``csrf_off``: it was told not to send CSRF tokens. ``near``: it is on the server's own machine.
    ``work`` is what it is there for, by the names in ``releases``. ``server_version`` is found out on the way.
    """

    host: Reader
    url: str
    where: str = ""
    version: str = ""
    auth: Optional[Secret] = None
    key: Optional[Secret] = None
    key_where: str = ""
    ca_file: str = ""
    insecure: bool = False
    csrf_off: bool = False
    near: bool = False
    server: str = "SERVER"
    work: tuple[str, ...] = (FLOW_RUNS,)
    server_version: str = ""

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint.of(self.url)

    @property
    def base(self) -> str:
        """The server's address without ``/api``."""
        return self.url.rstrip("/").removesuffix("/api")

    @property
    def can_authenticate(self) -> bool:
        """Whether a client of this release can send an auth string at all."""
        return not self.version or not older(self.version, AUTH_SINCE)

    def headers(self) -> Mapping[str, str]:
        """The credentials as the client sends them: one of the two, by its release."""
        own = Api(self.url, self.auth).headers() if self.auth is not None and self.can_authenticate else {}
        cloud = {"Authorization": f"Bearer {self.key.reveal()}"} if self.key is not None else {}
        first, second = (cloud, own) if since(SENT_FIRST, self.version) == "PREFECT_API_KEY" else (own, cloud)
        return first or second

    @property
    def api(self) -> Api:
        """The API with the client's own user and password."""
        return Api(self.url, self.auth if self.can_authenticate else None, self.ca_file)

    def healthy(self, url: str) -> bool:
        """Whether an API answers at ``url``."""
        answer = self.host.http("GET", f"{url.rstrip('/')}/health", None, {}, TIMEOUT, self.ca_file)
        return answer.status == 200 and answer.body.strip() == b"true"

    def call(self, method: str, path: str, body: Any = None, bare: bool = False) -> HttpAnswer:
        """One request to the API with the client's credentials, or (``bare``) without any. Never raises."""
        headers = {} if bare else self.headers()
        return self.host.http(method, f"{self.url.rstrip('/')}/{path}", body, headers, TIMEOUT, self.ca_file)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON that the API answers; None where it refuses, or does not know what was asked."""
        answer = self.api.call(self.host, method, path, body, timeout=TIMEOUT)
        return json_of(answer) if answer.status in (200, 201) else None


def clock_ahead(target: ApiTarget) -> float:
    """Seconds that this machine's clock is ahead of the server's; 0 where that is unknown. Read once."""

    def read() -> float:
        from email.utils import parsedate_to_datetime

        before = time.time()
        answer = target.call("GET", "health")
        now = (before + time.time()) / 2
        try:
            return now - parsedate_to_datetime(answer.headers["Date"]).timestamp() - 0.5
        except (KeyError, ValueError, TypeError):
            return 0.0

    return target.host.once(f"doctor-clock {target.url}", read)


def json_of(answer: HttpAnswer) -> Any:
    """The body as JSON; None where it is none."""
    try:
        return answer.json()
    except ValueError:
        return None

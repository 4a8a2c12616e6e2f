"""The look at Prefect's WebSockets: task runs and events travel over them, or are lost in silence."""

from __future__ import annotations

import re
from typing import Optional

from roles.doctor.kinds.api_target import ApiTarget
from roles.doctor.kinds.findings import Finding, fail, ok
from roles.doctor.kinds.network import Upgrade, websocket
from roles.prefect.kinds.releases import version_key

#: Since this release clients send task runs as events; servers before have no such WebSockets to need.
EVENTS_SINCE = (3, 0)
PROXY_FIX = (
    "let the proxy pass WebSockets on below /api (nginx: proxy_http_version 1.1 and the headers Upgrade and "
    "Connection), or try the server's port directly"
)


def check_events_in(target: ApiTarget) -> Optional[Finding]:
    """/events/in opens: task runs arrive."""
    return _see(target, "events/in", "flow runs arrive, task runs and events do not")


def check_events_out(target: ApiTarget) -> Optional[Finding]:
    """/events/out opens: clients and the UI hear of events."""
    return _see(target, "events/out", "clients that wait for events hear nothing")


def _see(target: ApiTarget, path: str, loss: str) -> Optional[Finding]:
    releases = [version for version in (target.version, target.server_version) if version]
    if any(version_key(version) < EVENTS_SINCE for version in releases):
        return None
    token = target.auth.reveal() if target.auth is not None and target.can_authenticate else None
    try:
        answer = websocket(f"{target.url.rstrip('/')}/{path}", {}, token, target.ca_file)
    except OSError as error:
        return fail(f"/{path}: {error or 'no answer'}", f"a proxy between cuts WebSockets off: {loss}", PROXY_FIX)
    return _judge(answer, path, loss)


def _judge(answer: Upgrade, path: str, loss: str) -> Finding:
    if answer.status != 101:
        said = f"/{path} is answered with HTTP {answer.status} instead of a WebSocket"
        if answer.status in (401, 403):
            return fail(said, f"the server, or a proxy, does not let this client in: {loss}", "see the look at auth")
        return fail(said, f"a proxy between does not pass WebSockets on: {loss}", PROXY_FIX)
    if answer.close_code:
        reason = f" ({answer.said})" if answer.said else ""
        return fail(
            f"/{path} opens and is closed at once, code {answer.close_code}{reason}",
            f"the server does not accept this client's user and password there: {loss}",
            "see that PREFECT_API_AUTH_STRING is the server's",
        )
    let_in = re.search(r"auth_success", answer.said)
    return ok("opens, and lets this client in" if let_in else "opens")

"""The checks of Prefect's WebSockets: task runs and events are sent over them, or silently lost."""

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
    "configure the proxy to forward WebSockets below /api (nginx: proxy_http_version 1.1 and the headers Upgrade and "
    "Connection), or connect to the server's port directly"
)


def check_events_in(target: ApiTarget) -> Optional[Finding]:
    """/events/in opens: task runs arrive."""
    return _see(target, "events/in", "flow runs arrive, task runs and events do not")


def check_events_out(target: ApiTarget) -> Optional[Finding]:
    """/events/out opens: clients and the UI hear of events."""
    return _see(target, "events/out", "clients that wait for events receive none")


def _see(target: ApiTarget, path: str, loss: str) -> Optional[Finding]:
    releases = [version for version in (target.version, target.server_version) if version]
    if any(version_key(version) < EVENTS_SINCE for version in releases):
        return None
    token = target.auth.reveal() if target.auth is not None and target.can_authenticate else None
    try:
        answer = websocket(f"{target.url.rstrip('/')}/{path}", {}, token, target.ca_file)
    except OSError as error:
        return fail(f"/{path}: {error or 'no answer'}", f"a proxy in between closes WebSockets: {loss}", PROXY_FIX)
    return _judge(answer, path, loss)


def _judge(answer: Upgrade, path: str, loss: str) -> Finding:
    if answer.status != 101:
        seen = f"/{path} returned HTTP {answer.status} instead of opening a WebSocket"
        if answer.status in (401, 403):
            return fail(seen, f"the server or a proxy refuses this client: {loss}", "see the check `auth`")
        return fail(seen, f"a proxy in between does not forward WebSockets: {loss}", PROXY_FIX)
    if answer.close_code:
        reason = f" ({answer.said})" if answer.said else ""
        return fail(
            f"/{path} opens and is closed immediately, code {answer.close_code}{reason}",
            f"the server does not accept this client's user and password there: {loss}",
            "check that PREFECT_API_AUTH_STRING matches the server's",
        )
    let_in = re.search(r"auth_success", answer.said)
    return ok("opens, and accepts this client" if let_in else "opens")

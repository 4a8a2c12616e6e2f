"""What must hold for a Prefect server to be healthy, one function a fact, in the order in which faults show best.

``/api/health`` alone proves little: it answers true on servers where every POST fails, where the UI is missing, and
where another program's server sits on the port.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Mapping, Optional
from urllib.parse import urlsplit

from encamp.resources.base import Refused
from encamp.resources.listening import listening_sockets
from encamp.resources.probes.free_port import FreePort
from encamp.resources.system import HttpAnswer, Reader
from encamp.resources.systemd.unit_state import unit_name, unit_state
from encamp.shared.record import factory, record
from roles.prefect.kinds.api import Api, Problem, problem_of
from roles.prefect.kinds.api_auth import unguarded
from roles.prefect.kinds.ui_page import problem_of_pages
from roles.server.kinds.process_files import files_of
from roles.server.kinds.resolved_settings import differing

TIMEOUT = 5.0
CRASH_LOOP = 3


@record
class Server:
    """The server to check: ``base`` without ``/api``; the rest as in ServerHealth."""

    base: str
    api: Api
    public_api_url: str = ""
    unit: str = ""
    ui: bool = True
    expected: Mapping[str, str] = factory(dict)
    version: str = ""
    database: str = ""
    ready: bool = True
    container: str = ""


Probe = Callable[[Reader, Server], Optional[Problem]]


def first_problem(host: Reader, server: Server) -> Optional[tuple[str, Problem]]:
    """The first fact that does not hold, by name, and why; None for a healthy server."""
    for name, probe in PROBES:
        problem = probe(host, server)
        if problem:
            return name, problem
    return None


def hopeless(host: Reader, server: Server) -> bool:
    """Whether waiting is useless: the unit failed, or systemd restarts it over and over."""
    if not server.unit:
        return False
    state = unit_state(host, server.unit)
    return state.active_state == "failed" or (state.broken and state.restarts >= CRASH_LOOP)


def unit_runs(host: Reader, server: Server) -> Optional[Problem]:
    """The unit is active."""
    if not server.unit:
        return None
    state = unit_state(host, server.unit)
    if state.active:
        return None
    return Problem(f"{server.unit} is {state}", state.why(), f"read its log: journalctl -u {server.unit} -e")


def health(host: Reader, server: Server) -> Optional[Problem]:
    """GET /health answers true."""
    answer = server.api.call(host, "GET", "health", timeout=TIMEOUT)
    problem = _problem(server, answer, "GET", "health")
    if problem or answer.body.strip() == b"true":
        return problem
    return Problem(
        f"{server.api.address('health')} responds, but not with `true`", "another program responds on that port"
    )


def own_port(host: Reader, server: Server) -> Optional[Problem]:
    """The port is held by the unit's own processes, not by another program that happens to be healthy."""
    port = re.search(r":(\d+)$", _origin(server))
    if not server.unit or not host.is_root or not port:
        return None
    sockets = {f"socket:[{inode}]" for inode in listening_sockets(host, int(port[1]))}
    if sockets & set(files_of(host, server.unit, server.container)):
        return None
    try:  # A costly scan of all processes, for a child of the unit that listens, or for the stranger's name.
        FreePort(int(port[1]), unit_name(server.unit), container=server.container).check(host)
    except Refused as refused:
        return Problem(
            f"{server.unit} does not own its port: {refused.reason}",
            "another server, possibly one that was started by hand",
            refused.fix,
        )
    return None


def ready(host: Reader, server: Server) -> Optional[Problem]:
    """GET /ready answers 200 (it asks the database), where the release has it."""
    if not server.ready:
        return None
    answer = server.api.call(host, "GET", "ready", timeout=TIMEOUT)
    return _problem(server, answer, "GET", "ready")


def post(host: Reader, server: Server) -> Optional[Problem]:
    """A real POST works: health is true on servers where every POST fails."""
    answer = server.api.call(host, "POST", "flow_runs/filter", {"limit": 1}, timeout=TIMEOUT)
    problem = _problem(server, answer, "POST", "flow_runs/filter")
    if problem or isinstance(_json(answer), list):
        return problem
    return Problem(
        "POST flow_runs/filter responds, but not with a list of flow runs", "another program responds on that port"
    )


def release(host: Reader, server: Server) -> Optional[Problem]:
    """The release that runs is the one that was deployed."""
    if not server.version:
        return None
    running, problem = _asked(host, server, "admin/version")
    if problem or running == server.version:
        return problem
    return Problem(
        f"the server runs Prefect {running}, not {server.version}",
        "it was not restarted since the release changed, or another server responds",
        f"restart {server.unit or 'it'}",
        settled=True,
    )


def settings(host: Reader, server: Server) -> Optional[Problem]:
    """The settings that the server resolved are those that were written: it silently ignores unknown names."""
    if not server.expected:
        return None
    resolved, problem = _asked(host, server, "admin/settings")
    wrong = [] if problem else list(differing(resolved, server.expected))
    if not wrong:
        return problem
    return Problem(
        "the server's settings differ from those written:  " + "; ".join(wrong),
        "this release does not know the name that was written, something overrides it (a .env, prefect.toml or profile "
        "in the service's home), or the server was not restarted since",
        "compare with `fab settings`",
        settled=True,
    )


def database(host: Reader, server: Server) -> Optional[Problem]:
    """The server is on the database it was given, and has not fallen back on SQLite.

    ``/admin/settings`` hides the whole URL. A server that holds an SQLite file open is not on Postgres. The other way
    round nothing follows: old SQLAlchemys close the file after each query.
    """
    if not server.database or not server.unit or not host.is_root:
        return None
    files = [name for name in files_of(host, server.unit, server.container) if name.endswith(".db")]
    if server.database.startswith("sqlite") or not files:
        return None
    return Problem(
        f"the server uses SQLite ({files[0]}), but {server.database} was written",
        "this release does not know the name of the database setting, and uses its default",
        "compare with `fab settings`, and deploy again",
        settled=True,
    )


def ui_address(host: Reader, server: Server) -> Optional[Problem]:
    """The UI tells browsers the public API URL."""
    if not server.ui:
        return None
    answer = _ui_settings(host, server)
    problem = problem_of(answer, "GET", f"{server.base}/ui-settings")
    api_url = str((_json(answer) or {}).get("api_url", "")) if not problem else ""
    if problem or not server.public_api_url or api_url.rstrip("/") == server.public_api_url.rstrip("/"):
        return problem
    return Problem(
        f"the UI tells browsers to use {api_url or 'no API URL'}, not {server.public_api_url}",
        "PREFECT_UI_API_URL is not set, or not under the name that this release knows",
        "set public_url",
        settled=True,
    )


def ui_page(host: Reader, server: Server) -> Optional[Problem]:
    """The UI's pages are there, and the program and style that each of them loads."""
    return problem_of_pages(host, server.base, _json(_ui_settings(host, server)) or {}) if server.ui else None


def _origin(server: Server) -> str:
    """The server's address without the base path: what it says of its own pages begins with that."""
    return server.base.removesuffix(urlsplit(server.base).path)


def _ui_settings(host: Reader, server: Server) -> HttpAnswer:
    address = f"{server.base}/ui-settings"
    return host.once(address, lambda: host.http("GET", address, timeout=TIMEOUT))


PROBES: tuple[tuple[str, Probe], ...] = (
    ("unit", unit_runs),
    ("port", own_port),
    ("health", health),
    ("ready", ready),
    ("POST", post),
    ("auth", lambda host, server: unguarded(host, server.api)),
    ("version", release),
    ("settings", settings),
    ("database", database),
    ("UI settings", ui_address),
    ("UI page", ui_page),
)


# -- helpers ---------------------------------------------------------------------------------------------------------


def _problem(server: Server, answer: HttpAnswer, method: str, path: str) -> Optional[Problem]:
    return problem_of(answer, method, server.api.address(path))


def _asked(host: Reader, server: Server, path: str) -> tuple[Any, Optional[Problem]]:
    """The JSON that the API has at a path, and what is wrong with its answer, if anything."""
    answer = server.api.call(host, "GET", path, timeout=TIMEOUT)
    return _json(answer), _problem(server, answer, "GET", path)


def _json(answer: HttpAnswer) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None

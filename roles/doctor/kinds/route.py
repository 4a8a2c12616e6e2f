"""The checks on the way from a client to its server: name, port, path."""

from __future__ import annotations

import time
from typing import Optional
from urllib.parse import urlsplit

from roles.doctor.kinds.api_target import LISTENED_ON, OWN, ApiTarget
from roles.doctor.kinds.findings import Finding, fail, failed, ok
from roles.doctor.kinds.network import addresses, connect
from roles.prefect.kinds.api import Problem, problem_of, without_password
from roles.prefect.kinds.call_errors import explain_network


def check_name(target: ApiTarget) -> Optional[Finding]:
    """The name in the URL leads to an address."""
    name = target.endpoint.host
    if name in LISTENED_ON:
        return fail(
            f"{name} is an address to listen on, not one to connect to",
            "the client's URL contains the server's listen address",
            f"use the server's name or address in PREFECT_API_URL ({target.where})",
        )
    try:
        found = addresses(target.endpoint)
    except (OSError, UnicodeError) as error:
        cause, fix = explain_network(f"getaddrinfo {error}")
        return fail(f"{name} cannot be resolved: {getattr(error, 'strerror', None) or error}", cause, fix)
    if name in OWN:
        return ok(f"{name} is this machine")
    return ok(name if found[0] == name else f"{name} is {', '.join(found)}")


def check_port(target: ApiTarget) -> Optional[Finding]:
    """Something accepts connections there."""
    endpoint, started = target.endpoint, time.monotonic()
    try:
        connect(endpoint).close()
    except OSError as error:
        return _no_connection(target, error)
    return ok(f"{endpoint.port} accepts connections ({(time.monotonic() - started) * 1000:.0f} ms)")


def _no_connection(target: ApiTarget, error: OSError) -> Finding:
    """Refused, filtered or no way there: the three have different cures."""
    place, text = f"{target.endpoint.authority}", str(error)
    look = f"`fab -H {target.server} doctor` checks the server itself"
    if "refused" in text:
        return fail(
            f"{place} refuses connections",
            "the machine is reachable, but nothing listens on that port (the server is down, or the port is "
            "wrong), or a "
            "firewall rejects the connection",
            look,
        )
    if "timed out" in text:
        return fail(
            f"{place} does not respond (filtered)",
            "no packet came back: a firewall drops them, a VPN is off, or the address is not in use",
            f"open port {target.endpoint.port} from here to the server (allowed_sources, then `fab deploy`); {look}",
        )
    cause, fix = explain_network(text)
    return fail(f"{place}: {error.strerror or text}", cause, fix or look)


def check_path(target: ApiTarget) -> Optional[Finding]:
    """GET <URL>/health answers ``true``; else which address does."""
    answer = target.call("GET", "health")
    if answer.status == 200 and answer.body.strip() == b"true":
        return ok(f"{without_password(target.url)}/health is true".replace("//health", "/health"))
    if target.endpoint.scheme == "http" and answer.status == 400 and b"HTTPS" in answer.body:
        return fail(
            f"{target.endpoint.authority} expects https, but the URL is http",
            "what listens there speaks TLS, such as a proxy in front of the server",
            f"write https:// in PREFECT_API_URL ({target.where})",
        )
    working = next((other for other in alternatives(target.url) if target.healthy(other)), "")
    if working:
        lacks = working.startswith(target.url.rstrip("/"))
        return fail(
            f"{without_password(target.url)} is not the API; {without_password(working)} is",
            "/api is missing from the URL: only the UI responds there, or nothing"
            if lacks
            else "the path in the URL is wrong",
            f"set PREFECT_API_URL to {without_password(working)} ({target.where})",
        )
    problem = problem_of(answer, "GET", f"{target.url.rstrip('/')}/health") or Problem(
        f"{without_password(target.url)}/health responds, but not with `true`",
        "another program answers on that port, or a proxy with a page of its own",
        f"`ss -ltnp` on {target.endpoint.host} shows what listens there; {target.where} sets the URL",
    )
    return failed(problem)


def alternatives(url: str) -> list[str]:
    """Where the API may be instead: with ``/api``, without it, at the top."""
    plain, parts = url.rstrip("/"), urlsplit(url)
    root = f"{parts.scheme}://{parts.netloc}"
    without = plain[: -len("/api")] if plain.endswith("/api") else plain
    found = (f"{plain}/api", f"{root}/api", without, f"{without}/api")
    return [one for one in dict.fromkeys(found) if one != plain]

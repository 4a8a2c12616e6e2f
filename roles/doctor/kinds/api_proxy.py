"""Whether a process sends its calls of the API through a proxy, and whether that one carries them."""

from __future__ import annotations

from typing import Mapping, Optional

from encamp.resources.proxy import Proxy, is_exempt
from encamp.resources.system import Reader
from encamp.shared.secret import Secret
from roles.doctor.kinds.api_target import ApiTarget
from roles.doctor.kinds.findings import Finding, fail, warn
from roles.prefect.kinds.endpoint import Endpoint

CAUSE = "HTTP_PROXY or HTTPS_PROXY is set for the worker, and NO_PROXY does not name the server"


def examine(host: Reader, environment: Mapping[str, str], target: Optional[ApiTarget]) -> Optional[Finding]:
    """What becomes of calls of ``target`` with a process's variables; None where no proxy is on the way.

    httpx, which Prefect calls the API with, reads the variables in either case.
    """
    if target is None:
        return None
    server = Endpoint.of(target.url)
    named = (f"{server.scheme}_proxy", "all_proxy")
    values = [environment.get(form, "") for name in named for form in (name, name.upper())]
    url = next(filter(None, values), "")
    exceptions = (environment.get("no_proxy") or environment.get("NO_PROXY") or "").split(",")
    if not url or is_exempt(server.host, exceptions):
        return None
    proxy = Proxy(Secret(url), (), "its environment")
    fix = (
        f"add {server.host} to no_proxy: (with proxy: encamp does that by itself), or to NO_PROXY where it is set, "
        "then run `fab deploy`"
    )
    answer = host.http("GET", f"{target.url}/health", timeout=10, ca_file=target.ca_file, proxy=proxy.url)
    if answer.status == 200:
        return warn(f"calls of the API take a detour through the proxy {proxy.shown}", CAUSE, fix)
    seen = answer.error or f"HTTP {answer.status}"
    return fail(f"calls of the API go to the proxy {proxy.shown}, which answers: {seen}", CAUSE, fix)

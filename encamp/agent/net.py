"""HTTP from the host, with the standard library alone. Proxy variables of the environment are ignored."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any, Mapping, Optional

from encamp.resources.base import Failure, HttpAnswer

TRIES = 4


def request(method: str, url: str, body: Any, headers: Mapping[str, str], timeout: float, ca_file: str) -> HttpAnswer:
    """One request, redirects followed. What went wrong on the network stands in ``error``, with status 0."""
    import http.client
    import ssl
    import urllib.error
    import urllib.request

    data = None if body is None else json.dumps(body).encode()
    call = urllib.request.Request(url, data=data, method=method, headers=dict(headers))
    if data is not None:
        call.add_header("Content-Type", "application/json")
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    try:
        if url.startswith("https:"):
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca_file or None)))
        with urllib.request.build_opener(*handlers).open(call, timeout=timeout) as answer:
            return HttpAnswer(answer.status, answer.read(), headers=dict(answer.headers))
    except urllib.error.HTTPError as error:
        return HttpAnswer(error.code, error.read(), headers=dict(error.headers))
    except urllib.error.URLError as error:
        return HttpAnswer(0, error=str(error.reason))
    except (OSError, ValueError, http.client.HTTPException) as error:
        return HttpAnswer(0, error=f"{type(error).__name__}: {error}")


def download(url: str, sha256: str, ca_file: str) -> bytes:
    """Fetch a file and prove its hash. Raises Failure after a few tries."""
    answer: Optional[HttpAnswer] = None
    for attempt in range(TRIES):
        if attempt:
            time.sleep(2**attempt)
        answer = request("GET", url, None, {}, 120, ca_file)
        if answer.status == 200 and hashlib.sha256(answer.body).hexdigest() == sha256:
            return answer.body
        if answer.status in (401, 403, 404):
            break
    assert answer is not None
    if answer.status == 200:
        raise Failure(f"{url}: the content does not have the pinned hash", "a proxy or mirror serves something else")
    fix = "set ca_bundle: to your company's certificate authority" if "CERTIFICATE" in answer.error.upper() else ""
    raise Failure(f"{url}: {answer.error or f'HTTP {answer.status}'}", "this host cannot reach that address", fix)

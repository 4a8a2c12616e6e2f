"""HTTP from the host, with the standard library only.

``http.client`` instead of ``urllib.request``: it imports faster, which every run pays for, and ignores the proxy
variables of the environment.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Mapping

from encamp.resources.system import NO_RESPONSE, HttpAnswer
from encamp.shared.record import replace

if TYPE_CHECKING:
    import http.client

#: Seconds for a connection to come about. What drops packets would cost the whole time-out of a download.
CONNECT = 10.0
REDIRECTS = (301, 302, 303, 307, 308)
#: After these, clients ask with GET, whatever they asked with.
FORGETFUL = (301, 302, 303)
HOPS = 5


def request(
    method: str,
    url: str,
    body: Any,
    headers: Mapping[str, str],
    timeout: float,
    ca_file: str,
    proxy: str = "",
) -> HttpAnswer:
    """One request, following redirects. A network error gives status 0 and the reason in ``error``.

    As in browsers and in Prefect's client, a redirect may turn a POST into a GET; ``error`` of the answer says so.
    ``proxy``: the URL of a proxy to go through, perhaps with user and password; empty: directly.
    """
    import http.client

    turned = ""
    try:
        for _ in range(HOPS):
            answer = _exchange(method, url, body, headers, timeout, ca_file, proxy)
            if answer.status not in REDIRECTS or "Location" not in answer.headers:
                return replace(answer, error=turned)
            url, headers = _redirected(url, answer.headers["Location"], headers)
            if answer.status in FORGETFUL and method not in ("GET", "HEAD"):
                turned = f"{method} was redirected to {url}, and became GET"
                method, body = "GET", None
        return HttpAnswer(0, error="too many redirects")
    except (OSError, ValueError, http.client.HTTPException) as error:
        known = isinstance(error, (OSError, ValueError)) and str(error)
        return HttpAnswer(0, error=str(error) if known else f"{type(error).__name__}: {error}")


def _exchange(
    method: str, url: str, body: Any, headers: Mapping[str, str], timeout: float, ca_file: str, proxy: str
) -> HttpAnswer:
    """One request on a connection of its own. Raises the network's errors."""
    import socket

    data = None if body is None else json.dumps(body).encode()
    sent = {"User-Agent": "encamp", **({"Content-Type": "application/json"} if data is not None else {}), **headers}
    connection, path = _connection(url, min(timeout, CONNECT), ca_file)
    if proxy:
        connection, path, login = _through(proxy, connection, url, path)
        sent.update(login)
    try:
        connection.connect()
        connection.sock.settimeout(timeout)
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
        except (TimeoutError, socket.timeout):  # two classes before Python 3.10
            raise TimeoutError(f"{NO_RESPONSE} {timeout:g} s") from None
        return HttpAnswer(answer.status, answer.read(), headers={k.title(): v for k, v in answer.getheaders()})
    finally:
        connection.close()


def _connection(url: str, timeout: float, ca_file: str) -> tuple[http.client.HTTPConnection, str]:
    """A connection for an address, and the path to request. Raises ValueError for any other URL."""
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url} is not an HTTP URL")
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout), path
    import ssl

    context = ssl.create_default_context(cafile=ca_file or None)
    return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=context), path


def _through(
    proxy: str, direct: http.client.HTTPConnection, url: str, path: str
) -> tuple[http.client.HTTPConnection, str, Mapping[str, str]]:
    """The same connection by way of a proxy: a tunnel for https, else the whole URL as path, and the proxy's login.

    Raises ValueError for a proxy that is reached otherwise than by HTTP.
    """
    import base64
    import http.client
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(proxy)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("a proxy's URL must be http://HOST:PORT")
    login = {}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        login = {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    target = urlsplit(url)
    if target.scheme == "https":
        host, port = direct.host, direct.port
        direct.host, direct.port = parts.hostname, parts.port or 80
        direct.set_tunnel(host, port, login)
        return direct, path, {}
    made = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=direct.timeout)
    return made, f"http://{target.netloc.rpartition('@')[2]}{path}", login


def _redirected(url: str, location: str, headers: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """The next address, and the headers for it: credentials are sent to their own server only."""
    from urllib.parse import urljoin, urlsplit

    target = urljoin(url, location)
    if urlsplit(target).netloc == urlsplit(url).netloc:
        return target, headers
    return target, {name: value for name, value in headers.items() if name.lower() != "authorization"}

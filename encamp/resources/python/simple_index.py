"""One file from a Python package index, with the standard library only (PEP 503 pages, PEP 691 JSON)."""

from __future__ import annotations

import time
from typing import Optional, Sequence, Union

from encamp.resources.base import Failure
from encamp.resources.files.paths import expand
from encamp.resources.proxy import Proxy, proxy_of
from encamp.resources.system import HttpAnswer, Reader
from encamp.shared.secret import Secret

ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
TRIES = 3
CA_FIX = "set ca_bundle: to the certificate authority of your network or index"


def fetch(
    host: Reader,
    index_url: Union[str, Secret],
    project: str,
    filename: str,
    sha256: str,
    ca_file: str = "",
    proxy: Optional[Proxy] = None,
) -> bytes:
    """Fetch one file of a project and verify its hash. Raises Failure when that fails.

    ``index_url`` is the simple index's address; a user and password in it are sent as basic authentication, to that
    server only. A path is a folder with the file.
    """
    import hashlib

    files = project_files(host, index_url, project, ca_file, proxy)
    if filename not in files:
        page = f"{_split(index_url)[0].rstrip('/')}/{project}/"
        raise Failure(f"{page} does not have {filename}", "the index lacks that release", "use an index that has it")
    data = download(host, index_url, files[filename], ca_file, proxy)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise altered(files[filename])
    return data


def project_files(
    host: Reader, index_url: Union[str, Secret], project: str, ca_file: str = "", proxy: Optional[Proxy] = None
) -> dict[str, str]:
    """The files of a project, and where each is. Raises Failure."""
    base, credentials = _split(index_url)
    if is_folder(index_url):
        return {name: f"{base}/{name}" for name in host.listdir(base)}
    return _listed(host, f"{base.rstrip('/')}/{project}/", {"Accept": ACCEPT, **credentials}, ca_file, proxy)


def download(
    host: Reader, index_url: Union[str, Secret], url: str, ca_file: str = "", proxy: Optional[Proxy] = None
) -> bytes:
    """A file of the index, unverified. Raises Failure."""
    if is_folder(index_url):
        return host.read(url) or b""
    base, credentials = _split(index_url)
    return _get(host, url, credentials if _server(url) == _server(base) else {}, ca_file, proxy).body


def is_folder(index_url: Union[str, Secret]) -> bool:
    """Whether packages come from a folder of the host, not from an index."""
    return isinstance(index_url, str) and index_url.startswith("/")


def altered(url: str) -> Failure:
    """The failure for a file with another hash."""
    return Failure(
        f"{url}: the content does not match the pinned hash",
        "a proxy or mirror sends another file",
        "find out what changed the file; encamp does not install it",
    )


def _split(index_url: Union[str, Secret]) -> tuple[str, dict[str, str]]:
    return split_credentials(index_url.reveal() if isinstance(index_url, Secret) else index_url)


def _listed(host: Reader, page: str, headers: dict[str, str], ca_file: str, proxy: Optional[Proxy]) -> dict[str, str]:
    """The links of a page, requested again if it cannot be parsed: proxies may send empty or truncated answers."""
    for attempt in range(TRIES):
        answer = _get(host, page, headers, ca_file, proxy)
        content_type = next((value for name, value in answer.headers.items() if name.lower() == "content-type"), "")
        try:
            return links(answer.body, content_type, page)
        except (ValueError, KeyError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}"
            time.sleep(2**attempt)
    raise Failure(f"{page}: not a page of a package index ({reason})", fix="check index_url:, and proxies on the way")


def ca_path(host: Reader, ca_file: str) -> str:
    """Path of the index's CA file; empty for none. Raises Failure when it is missing: tools would then differ in what
    they trust."""
    path = expand(host, ca_file)
    if path and host.stat(path) is None:
        raise Failure(f"{path}: this CA file does not exist", "the CA bundle is not installed yet", CA_FIX)
    return path


def links(body: bytes, content_type: str, page: str) -> dict[str, str]:
    """The files of a simple page: name to absolute URL without the fragment."""
    from urllib.parse import unquote, urldefrag, urljoin, urlsplit

    if "json" in content_type:
        import json

        return {item["filename"]: urljoin(page, item["url"]) for item in json.loads(body)["files"]}
    addresses = (urldefrag(urljoin(page, link)).url for link in _anchors(body.decode("utf-8", "replace")))
    return {unquote(urlsplit(address).path.rsplit("/", 1)[-1]): address for address in addresses}


def split_credentials(url: str) -> tuple[str, dict[str, str]]:
    """Split a URL into the URL without user and password, and the header with them, empty if there are none."""
    import base64
    from urllib.parse import unquote, urlsplit, urlunsplit

    parts = urlsplit(url)
    userinfo, at, server = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    token = base64.b64encode(unquote(userinfo).encode()).decode()
    return urlunsplit(parts._replace(netloc=server)), {"Authorization": f"Basic {token}"}


def _anchors(text: str) -> list[str]:
    from html.parser import HTMLParser

    addresses: list[str] = []

    class Anchors(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, Optional[str]]]) -> None:
            if tag == "a":
                addresses.extend(value for name, value in attrs if name == "href" and value)

    Anchors().feed(text)
    return addresses


def _server(url: str) -> tuple[str, str]:
    from urllib.parse import urlsplit

    return urlsplit(url).scheme, urlsplit(url).netloc


def route(
    host: Reader,
    index_url: Union[str, Secret],
    ca_file: str = "",
    given: Union[str, Secret] = "",
    no_proxy: Sequence[str] = (),
) -> Optional[Proxy]:
    """The proxy through which an index answers; None: it answers directly, or is a folder.

    ``given`` is the site's proxy. Without one, that of the host's own files is used where the index does not answer
    directly. Raises Failure, within seconds, where nothing answers: tools try for minutes, and say less.
    """
    if is_folder(index_url):
        return None
    base, credentials = _split(index_url)
    url = f"{base.rstrip('/')}/"
    ways = [proxy_of(host, given, no_proxy)] if given else [None, proxy_of(host, "", no_proxy)]
    for way in list(dict.fromkeys(ways)):
        answer = _ask(host, url, credentials, ca_file, way, method="HEAD", timeout=20)
        if answer.status not in (0, 407) or "CERTIFICATE" in answer.error.upper():
            return way
    raise _refusal(url, answer, way)


def _ask(
    host: Reader,
    url: str,
    headers: dict[str, str],
    ca_file: str,
    proxy: Optional[Proxy],
    method: str = "GET",
    timeout: float = 120,
) -> HttpAnswer:
    """One request, through the proxy if it carries that server."""
    from urllib.parse import urlsplit

    if proxy and proxy.carries(urlsplit(url).hostname or ""):
        return host.http(method, url, headers=headers, timeout=timeout, ca_file=ca_file, proxy=proxy.url)
    return host.http(method, url, headers=headers, timeout=timeout, ca_file=ca_file)


def _get(host: Reader, url: str, headers: dict[str, str], ca_file: str, proxy: Optional[Proxy]) -> HttpAnswer:
    """GET with retries: of what drops packets, one. Raises Failure with cause and fix."""
    for attempt in range(TRIES):
        answer = _ask(host, url, headers, ca_file, proxy)
        if answer.status == 200:
            return answer
        if answer.status in (401, 403, 404, 407) or "CERTIFICATE" in answer.error.upper():
            break
        if attempt and "timed out" in answer.error:
            break
        time.sleep(2**attempt)
    if answer.status in (401, 403):
        raise Failure(
            f"{url}: HTTP {answer.status}", "the index requires credentials, or other ones", "add them to index_url:"
        )
    raise _refusal(url, answer, proxy)


def _refusal(url: str, answer: HttpAnswer, proxy: Optional[Proxy]) -> Failure:
    """Why an index does not answer: what was seen, and the candidates."""
    from urllib.parse import urlsplit

    server = urlsplit(url).hostname or ""
    if "CERTIFICATE" in answer.error.upper():
        return Failure(f"{url}: {answer.error}", "this host does not trust the server's certificate", CA_FIX)
    reason = answer.error or f"HTTP {answer.status}"
    if proxy and proxy.carries(server):
        return Failure(
            f"{url}: {reason} (through the proxy {proxy.shown}, from {proxy.source})",
            "the proxy does not answer, wants a password, or does not let this host reach the package index",
            f"on this host: `curl -x {proxy.shown} -sI {url}`; set proxy: to the right one, or index_url: to an index "
            "inside your network and its name in no_proxy:",
        )
    return Failure(
        f"{url}: {reason}",
        "only a proxy leads out (none is set in proxy:, /etc/environment or apt's configuration), a firewall drops "
        f"the connection, or the name {server} does not resolve",
        f"on this host: `curl -sI {url}`; set proxy:, or index_url: to an index that this host can reach",
    )

"""One file from a Python package index, with the standard library only (PEP 503 pages, PEP 691 JSON)."""

from __future__ import annotations

import time
from typing import Optional, Union

from encamp.resources.base import Failure
from encamp.resources.files.paths import expand
from encamp.resources.system import HttpAnswer, Reader
from encamp.shared.secret import Secret

ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
TRIES = 3
CA_FIX = "set ca_bundle: to the certificate authority of your network or index"


def fetch(
    host: Reader, index_url: Union[str, Secret], project: str, filename: str, sha256: str, ca_file: str = ""
) -> bytes:
    """Fetch one file of a project and verify its hash. Raises Failure when that fails.

    ``index_url`` is the simple index's address; a user and password in it are sent as basic authentication, to that
    server only. A path is a folder with the file.
    """
    import hashlib

    files = project_files(host, index_url, project, ca_file)
    if filename not in files:
        page = f"{_split(index_url)[0].rstrip('/')}/{project}/"
        raise Failure(f"{page} does not have {filename}", "the index lacks that release", "use an index that has it")
    data = download(host, index_url, files[filename], ca_file)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise altered(files[filename])
    return data


def project_files(host: Reader, index_url: Union[str, Secret], project: str, ca_file: str = "") -> dict[str, str]:
    """The files of a project, and where each is. Raises Failure."""
    base, credentials = _split(index_url)
    if base.startswith("/"):
        return {name: f"{base}/{name}" for name in host.listdir(base)}
    return _listed(host, f"{base.rstrip('/')}/{project}/", {"Accept": ACCEPT, **credentials}, ca_file)


def download(host: Reader, index_url: Union[str, Secret], url: str, ca_file: str = "") -> bytes:
    """A file of the index, unverified. Raises Failure."""
    base, credentials = _split(index_url)
    if base.startswith("/"):
        return host.read(url) or b""
    return _get(host, url, credentials if _server(url) == _server(base) else {}, ca_file).body


def altered(url: str) -> Failure:
    """The failure for a file with another hash."""
    return Failure(
        f"{url}: the content does not match the pinned hash",
        "a proxy or mirror sends another file",
        "find out what changed the file; encamp does not install it",
    )


def _split(index_url: Union[str, Secret]) -> tuple[str, dict[str, str]]:
    return split_credentials(index_url.reveal() if isinstance(index_url, Secret) else index_url)


def _listed(host: Reader, page: str, headers: dict[str, str], ca_file: str) -> dict[str, str]:
    """The links of a page, requested again if it cannot be parsed: proxies may send empty or truncated answers."""
    for attempt in range(TRIES):
        answer = _get(host, page, headers, ca_file)
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


def _get(host: Reader, url: str, headers: dict[str, str], ca_file: str) -> HttpAnswer:
    """GET with retries. Raises Failure with cause and fix."""
    for attempt in range(TRIES):
        answer = host.http("GET", url, headers=headers, timeout=120, ca_file=ca_file)
        if answer.status == 200:
            return answer
        if answer.status in (401, 403, 404) or "CERTIFICATE" in answer.error.upper():
            break
        time.sleep(2**attempt)
    if answer.status in (401, 403):
        raise Failure(
            f"{url}: HTTP {answer.status}", "the index requires credentials, or other ones", "add them to index_url:"
        )
    if "CERTIFICATE" in answer.error.upper():
        raise Failure(f"{url}: {answer.error}", "this host does not trust the server's certificate", CA_FIX)
    reason = answer.error or f"HTTP {answer.status}"
    raise Failure(
        f"{url}: {reason}", "this host cannot reach the package index", "set index_url: to an index that it can reach"
    )

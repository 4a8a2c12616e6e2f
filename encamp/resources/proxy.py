"""The HTTP proxy through which a host reaches the internet: the site's, or the one that the host's own files name."""

from __future__ import annotations

import re
from typing import Optional, Sequence, Union

from encamp.resources.system import Reader
from encamp.shared.record import record
from encamp.shared.secret import Secret

#: Never asked for through a proxy.
LOOPBACK = ("localhost", "127.0.0.1", "::1")
ENVIRONMENT = "/etc/environment"
APT_FILE, APT_FOLDER = "/etc/apt/apt.conf", "/etc/apt/apt.conf.d"
_VARIABLE = re.compile(r"(?im)^\s*(?:export\s+)?(https?_proxy|all_proxy|no_proxy)\s*=\s*[\"']?([^\"'\s#]*)")
_APT = re.compile(r"(?im)^\s*Acquire::https?::Proxy\s+\"(https?://[^\"]+)\"")


@record
class Proxy:
    """A proxy by its URL, which may hold a password; hosts that are reached without it; and what names it."""

    url: Secret
    exceptions: tuple[str, ...]
    source: str

    @property
    def shown(self) -> str:
        """Its URL without user and password."""
        return re.sub(r"//[^/@]*@", "//", self.url.reveal())

    @property
    def variables(self) -> dict[str, Union[str, Secret]]:
        """The variables that curl, apt, uv and Python read."""
        url = self.url if "@" in self.url.reveal() else self.url.reveal()
        found: dict[str, Union[str, Secret]] = {}
        for name in ("http_proxy", "https_proxy"):
            found.update({name: url, name.upper(): url})
        names = [entry[1:] if entry.startswith("*.") else entry for entry in self.exceptions]
        found.update(dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(names)))
        return found

    def carries(self, server: str) -> bool:
        """Whether a server, by name or address, is asked for through it."""
        return not is_exempt(server, self.exceptions)


def is_exempt(server: str, exceptions: Sequence[str]) -> bool:
    """Whether a list such as no_proxy names a server: itself, a domain that it is in, or ``*``.

    As httpx reads it, with which Prefect calls its API: neither ``*.example.com`` nor a network such as 10.0.0.0/8
    names anything (PrefectHQ/prefect#12896).
    """
    name = server.lower().strip("[]")
    entries = [entry.lower().strip().strip("[]") for entry in exceptions]
    wanted = [entry.lstrip(".") for entry in entries if entry.strip(".")]
    return "*" in entries or any(name == entry or name.endswith(f".{entry}") for entry in wanted)


def proxy_of(host: Reader, given: Union[str, Secret] = "", exceptions: Sequence[str] = ()) -> Optional[Proxy]:
    """The proxy that a site gives, or else the one in /etc/environment or in apt's configuration; None: none."""
    if given:
        url = given if isinstance(given, Secret) else Secret(given)
        return Proxy(url, _with_loopback(exceptions), "proxy:")
    named = {name.lower(): value for name, value in _VARIABLE.findall(_text(host, ENVIRONMENT))}
    url_text = named.get("https_proxy") or named.get("http_proxy") or named.get("all_proxy")
    others = [*exceptions, *named.get("no_proxy", "").split(",")]
    if url_text:
        return Proxy(Secret(_full(url_text)), _with_loopback(others), ENVIRONMENT)
    for path in (APT_FILE, *(f"{APT_FOLDER}/{name}" for name in host.listdir(APT_FOLDER))):
        found = _APT.search(_text(host, path))
        if found:
            return Proxy(Secret(found[1]), _with_loopback(others), path)
    return None


def _with_loopback(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*(name.strip() for name in names if name.strip()), *LOOPBACK]))


def _full(url: str) -> str:
    return url if "://" in url else f"http://{url}"


def _text(host: Reader, path: str) -> str:
    return (host.read(path) or b"").decode("utf-8", "replace")

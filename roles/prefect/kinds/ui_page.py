"""The UI as a browser loads it: each of its pages, and the program and style that the page names, with their types.

A proxy that answers every path with the same page, or with a wrong type, leaves browsers with an empty page while each
answer is 200.
"""

from __future__ import annotations

import re
from typing import Any, Iterator, Optional
from urllib.parse import urljoin, urlsplit

from encamp.resources.system import HttpAnswer, Reader
from roles.prefect.kinds.api import Problem

TIMEOUT = 5.0
SCRIPT = re.compile(r"<script[^>]*\ssrc=\"([^\"]+\.js)\"")
STYLE = re.compile(r"<link[^>]*\shref=\"([^\"]+\.css)\"")
#: Types that browsers accept of a program that is a module, and of a style.
PROGRAMS = ("text/javascript", "application/javascript", "application/x-javascript", "text/ecmascript")
STYLES = ("text/css",)
THROUGH_PROXY = "a proxy in between changes what the server sends: it serves another path, or sets a type of its own"
PASS_ON = "let it pass everything below the UI's address on as it is, with the server's Content-Type"


def problem_of_pages(host: Reader, base: str, ui: dict[str, Any], ca_file: str = "") -> Optional[Problem]:
    """The first thing of the UI that a browser cannot use; ``ui`` is what ``/ui-settings`` of ``base`` says."""
    pages = {urlsplit(base).path, *(str(ui[key]) for key in ("v1_base_url", "v2_base_url") if ui.get(key))}
    for page in sorted(page.rstrip("/") + "/" for page in pages):
        problem = _page(host, urljoin(base, page), ca_file)
        if problem:
            return problem
    return None


def _page(host: Reader, address: str, ca_file: str) -> Optional[Problem]:
    answer = host.http("GET", address, timeout=TIMEOUT, ca_file=ca_file)
    text = answer.body.decode("utf-8", "replace")
    if answer.status != 200 or not SCRIPT.search(text):
        return _missing(address, answer)
    for name, types in _parts(text):
        part = urljoin(address, name)
        found = host.http("HEAD", part, timeout=TIMEOUT, ca_file=ca_file)
        if found.status != 200:
            return _missing(part, found)
        kind = found.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind not in types:
            seen = f"the UI does not load: {part} has the type {kind or 'none'}, not {types[0]}"
            return Problem(seen, THROUGH_PROXY, PASS_ON, settled=True)
    return None


def _parts(page: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The program and the style that a page names, each with the types that browsers accept."""
    for pattern, types in ((SCRIPT, PROGRAMS), (STYLE, STYLES)):
        found = pattern.search(page)
        if found:
            yield found[1], types


def _missing(address: str, answer: HttpAnswer) -> Problem:
    found = f"HTTP {answer.status}" if answer.status else answer.error or "nothing"
    return Problem(
        f"the UI is missing: {address} returns {found}" + (" without the UI's program" if answer.status == 200 else ""),
        "Prefect could not copy its UI to its directory at startup; or a proxy in between serves another path there",
        "`fab -H SERVER doctor` looks at the server itself; then check the proxy's paths",
        settled=True,
    )

"""What a package index knows of a release: when it was uploaded, and for which Pythons (PEP 691, PEP 700)."""

from __future__ import annotations

import datetime
import json
import ssl
import time
import urllib.error
import urllib.request
from typing import Any

from encamp.errors import EncampError
from encamp.locking.package_index import IndexConfig
from encamp.resources.python.simple_index import split_credentials
from encamp.shared.record import record

TRIES = 3
JSON_PAGE = "application/vnd.pypi.simple.v1+json"


class IndexUnusable(EncampError):
    """The index did not answer, or not with what is needed."""


@record
class Release:
    """A release. ``uploaded`` (UTC day): None where the index keeps no times; ``requires_python``: e.g. >=3.10."""

    version: str
    uploaded: datetime.date | None
    requires_python: str


def find(project: str, version: str, index: IndexConfig) -> Release:
    """Look up a release. Raises IndexUnusable when the index lacks it or cannot be asked."""
    prefixes = (f"{project}-{version}-", f"{project}-{version}.tar.gz")
    files = [file for file in _page(project, index)["files"] if file["filename"].startswith(prefixes)]
    if not files:
        raise IndexUnusable(f"the index has no {project} {version}", "check the version and the index")
    days = [datetime.date.fromisoformat(file["upload-time"][:10]) for file in files if file.get("upload-time")]
    return Release(version, min(days, default=None), normalized(files[0].get("requires-python") or ""))


def normalized(requires_python: str) -> str:
    """A range with its lower bound first and no blanks: ``>=3.10,<3.15``."""
    clauses = sorted(clause.strip().replace(" ", "") for clause in requires_python.split(",") if clause.strip())
    return ",".join(sorted(clauses, key=lambda clause: not clause.startswith(">")))


def _page(project: str, index: IndexConfig) -> dict[str, Any]:
    base, credentials = split_credentials(index.plain_url)
    url = f"{base.rstrip('/')}/{project}/"
    request = urllib.request.Request(url, headers={"Accept": JSON_PAGE, **credentials})
    for attempt in range(1, TRIES + 1):
        try:
            return _json(request, index.ca_file)
        except urllib.error.HTTPError as error:
            raise IndexUnusable(f"{url}: HTTP {error.code}", "check index_url: and its credentials") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            time.sleep(attempt if attempt < TRIES else 0)
    fix = "the index must be reachable from here and support the JSON form of the simple API (PEP 691)"
    raise IndexUnusable(f"{url}: {reason}", fix)


def _json(request: urllib.request.Request, ca_file: str | None) -> dict[str, Any]:
    """One try. Raises OSError for the network, ValueError for an answer that is not JSON."""
    context = ssl.create_default_context(cafile=ca_file)
    with urllib.request.urlopen(request, timeout=60, context=context) as answer:
        page: dict[str, Any] = json.load(answer)
        return page

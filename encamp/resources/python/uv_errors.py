"""What uv says when it fails, told for an operator."""

from __future__ import annotations

from typing import Optional

from encamp.resources.base import CommandFailed, Failure
from encamp.resources.python.simple_index import CA_FIX
from encamp.resources.system import Result
from encamp.shared.record import record


@record
class _Symptom:
    """Texts of uv that tell one failure from another (any of ``texts``, case ignored), and what to say of it."""

    name: str
    texts: tuple[str, ...]
    reason: str
    cause: str
    fix: str


NETWORK = "network"
SPACE = "space"
# The first that matches counts: a TLS failure also reads "error sending request", and a full disk may break anything.
SYMPTOMS = (
    _Symptom(
        SPACE,
        ("no space left on device", "os error 28)", "disk quota exceeded"),
        "no space left on this host",
        "an environment takes about 300 MB at its place, and as much again in the cache if that is another file system",
        "free some space, then deploy again",
    ),
    _Symptom(
        "hash",
        ("hash mismatch",),
        "a downloaded package does not have the hash that the lock proves it by",
        "a proxy or mirror serves something else, or the file on the index was replaced",
        "find out what altered the package; encamp does not install it",
    ),
    _Symptom(
        "tls",
        ("invalid peer certificate", "unknownissuer", "unknown issuer", "certificate verify failed", "badsignature"),
        "this host does not trust the package index's certificate",
        "the network or the index uses a certificate authority of its own",
        CA_FIX,
    ),
    _Symptom(
        "credentials",
        ("401 unauthorized", "403 forbidden", "status code 401", "status code 403"),
        "the package index refuses access",
        "it wants credentials, or other ones",
        "set index_url: with them",
    ),
    _Symptom(
        "build",
        ("failed to build", "build backend", "failed to compile"),
        "a package has no wheel for this host and could not be built here",
        "the lock is older than this host's Python, or no compiler is installed",
        "choose another python:, a newer Prefect release, or install build-essential and python3-dev",
    ),
    _Symptom(
        NETWORK,
        (
            "error sending request",
            "failed to fetch",
            "connection refused",
            "connection reset",
            "dns error",
            "timed out",
            "operation timeout",
            "failed to download",
            "error decoding response body",
            "unexpected eof",
        ),
        "this host cannot fetch from the package index",
        "no route, no name resolution, or an index that is down",
        "set index_url: to an index that this host can reach, then deploy again",
    ),
    _Symptom(
        "missing",
        ("no solution found", "not found in the package registry", "no matching"),
        "the package index does not offer what the lock names",
        "the index is a partial mirror, or has nothing for this host's Python",
        "set index_url: to a complete index",
    ),
)


def is_network(result: Result) -> bool:
    """Whether trying again may help."""
    found = _match(result)
    return found is not None and found.name == NETWORK


def explain(result: Result, space: str) -> Failure:
    """The failure to raise for a uv that failed. ``space`` says what was free, and is told where that matters."""
    found = _match(result)
    if found is None:
        return CommandFailed(result)
    detail = f"{result.tail}\n{space}" if found.name == SPACE else result.tail
    return Failure(found.reason, found.cause, found.fix, detail)


def _match(result: Result) -> Optional[_Symptom]:
    said = (result.err + result.out).lower()
    return next((symptom for symptom in SYMPTOMS if any(text in said for text in symptom.texts)), None)

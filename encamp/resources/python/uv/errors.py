"""uv's errors as failures with cause and fix."""

from __future__ import annotations

from typing import Optional

from encamp.resources.base import CommandFailed, Failure
from encamp.resources.python.simple_index import CA_FIX
from encamp.resources.system import Result
from encamp.shared.record import record


@record
class _Symptom:
    """An error of uv: recognized by any of ``texts`` in its output (case ignored), with the failure to report."""

    name: str
    texts: tuple[str, ...]
    reason: str
    cause: str
    fix: str


NETWORK = "network"
SPACE = "space"
# The first match counts: a TLS failure also prints "error sending request", and a full disk may cause any error.
SYMPTOMS = (
    _Symptom(
        SPACE,
        ("no space left on device", "os error 28)", "disk quota exceeded"),
        "no space left on this host",
        "an environment needs about 300 MB, and the same again in the cache if that is on another file system",
        "free some space, then deploy again",
    ),
    _Symptom(
        "hash",
        ("hash mismatch",),
        "a downloaded package does not match its hash in the lock",
        "a proxy or mirror sends another file, or the file on the index was replaced",
        "find out what changed the package; encamp does not install it",
    ),
    _Symptom(
        "validity",
        ("certificate expired", "certificate: expired", "certificate: notvalidyet", "certificate not valid yet"),
        "the package index's certificate is not valid at this host's time",
        "it has expired, or this host's clock is wrong",
        "`date -u` on the host shows its clock; if that is right, the index needs a new certificate",
    ),
    _Symptom(
        "name",
        ("notvalidforname", "certificate not valid for name"),
        "the package index's certificate is for another name",
        "index_url: has another name than the certificate, or another machine answers, such as a proxy's login page",
        "`openssl s_client -connect HOST:443 </dev/null` on the host shows whose certificate it is",
    ),
    _Symptom(
        "tls",
        ("invalid peer certificate", "unknownissuer", "unknown issuer", "certificate verify failed", "badsignature"),
        "this host does not trust the package index's certificate",
        "the network or the index uses a private certificate authority",
        CA_FIX,
    ),
    _Symptom(
        "proxy",
        ("proxy authorization required", "proxy authentication required", "proxy auth required"),
        "the proxy requires user and password",
        "proxy: has none, or wrong ones",
        "add them to proxy: (http://USER:PASSWORD@HOST:PORT)",
    ),
    _Symptom(
        "credentials",
        ("401 unauthorized", "403 forbidden", "status code 401", "status code 403"),
        "the package index refuses access",
        "it requires credentials, or other ones; or a proxy on the way forbids it (403)",
        "add them to index_url:; if they are right, read the proxy's log",
    ),
    _Symptom(
        "distutils",
        ("missing `distutils`",),
        "this host's Python has no distutils, and uv makes no environment without it",
        "Debian and its kin package it separately (uv's last line names the package)",
        "install it as root, such as `apt-get install python3-distutils`, or set python: to another interpreter",
    ),
    _Symptom(
        "build",
        ("failed to build", "build backend", "failed to compile", "or wheel for the current platform"),
        "a package has no wheel for this host and could not be built here",
        "the lock is older than this host's Python, the host is older than the wheels (glibc) or of another "
        "processor, or no "
        "compiler is installed",
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
        "no name resolution, a firewall or a proxy that is not set, or the index is down (uv's last line says which)",
        "set index_url: to an index that this host can reach, or proxy:, then deploy again",
    ),
    _Symptom(
        "missing",
        ("no solution found", "not found in the package registry", "no matching"),
        "the package index lacks packages of the lock",
        "the index is a partial mirror, or has no files for this host's Python",
        "set index_url: to a complete index",
    ),
)


def is_network(result: Result) -> bool:
    """Whether a retry may help."""
    symptom = _match(result)
    return symptom is not None and symptom.name == NETWORK


def explain(result: Result, space: str) -> Failure:
    """The failure for a failed uv. ``space``: free disk space, shown where it matters."""
    symptom = _match(result)
    if symptom is None:
        return CommandFailed(result)
    detail = f"{result.tail}\n{space}" if symptom.name == SPACE else result.tail
    return Failure(symptom.reason, symptom.cause, symptom.fix, detail)


def _match(result: Result) -> Optional[_Symptom]:
    output = (result.err + result.out).lower()
    return next((symptom for symptom in SYMPTOMS if any(text in output for text in symptom.texts)), None)

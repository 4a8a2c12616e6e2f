"""Failed installations as failures: the first error first, a cause where the message states it, else candidates."""

from __future__ import annotations

import re
from typing import Optional, Sequence

from encamp.resources.base import CommandFailed, Failure
from encamp.resources.packages.locks import LOCKED
from encamp.shared.record import record

DETAIL_LINES = 15
#: Errors that new package lists may fix: an unknown name, a version that the mirror no longer has.
OUTDATED = re.compile(
    r"Unable to locate package|no installation candidate|Couldn't find any package|404 +Not Found"
    r"|Unable to find a match|No match for argument"
)
#: Consequences of an earlier line, which name no cause of their own.
CONSEQUENCE = re.compile(r"Some index files failed to download|is not signed|Problem unlinking|can't be done securely")


@record
class Known:
    """An error by its text (a regular expression), with cause and fix. ``\\1`` in them is its first group."""

    pattern: str
    cause: str
    fix: str

    def explains(self, text: str) -> Optional[tuple[str, str]]:
        """Cause and fix, if the error is in a text."""
        found = re.search(self.pattern, text)
        if not found:
            return None
        group = (found[1] or "") if found.re.groups else ""
        return self.cause.replace("\\1", group), self.fix.replace("\\1", group)


NO_SPACE = Known(
    r"No space left on device|enough free space|more space needed on the|needs \d+\w+ on the",
    "a file system of this host is full",
    "free some space (`df -h /var /usr`, `apt-get clean`), then deploy again",
)
#: What dnf prints about the sources of packages.
DNF_SOURCES = (
    Known(
        r"Could not resolve host: ([^\]\s]+)",
        "this host cannot resolve \\1: its DNS, or only a proxy leads out",
        "`getent hosts \\1` shows whether DNS works; behind a proxy, set proxy:, or proxy= in /etc/dnf/dnf.conf",
    ),
    Known(
        r"Status code: 407|CONNECT tunnel failed, response 407",
        "the proxy that dnf uses requires user and password",
        "`grep -r proxy /etc/dnf/dnf.conf /etc/yum.repos.d` shows it; add proxy_username= and proxy_password= there",
    ),
    Known(
        r"Status code: 403 for (\S+)",
        "a package source refuses this host, or a proxy on the way refuses the source: \\1",
        "`curl -I \\1` on the host shows who answers; allow it there",
    ),
    Known(
        r"Status code: 404 for (\S+)",
        "a package source has no \\1 (any more)",
        "correct the source in /etc/yum.repos.d (releases without support move to an archive)",
    ),
    Known(
        r"Status code: (\d+ for \S+)",
        "a package source, or a proxy on the way, answers \\1",
        "wait some minutes and deploy again; if it stays, use another mirror",
    ),
    Known(
        r"Curl error \(60\)|SSL peer certificate",
        "this host does not trust the certificate of a package source",
        "set ca_bundle: to your company's authorities, or correct this host's clock (`timedatectl`)",
    ),
    Known(
        r"Curl error",
        "this host cannot reach a package source",
        "check its network and proxy (`dnf makecache` shows the same); then deploy again",
    ),
    Known(
        r"do not have any GPG public keys installed|Public key for (\S+) is not installed",
        "a package source is signed with a key that this host does not have",
        "set gpgkey= of the source in /etc/yum.repos.d, or `rpm --import` its key, then deploy again",
    ),
)
#: Errors about the sources of packages, whichever command prints them.
SOURCES = (
    *DNF_SOURCES,
    Known(
        r"(?:Temporary failure resolving|Could not resolve) '?([^'\s]+)",
        "this host cannot resolve \\1: its DNS, or only a proxy leads out",
        "`getent hosts \\1` shows whether DNS works; behind a proxy, apt needs Acquire::http::Proxy in "
        "/etc/apt/apt.conf.d",
    ),
    Known(
        r"NO_PUBKEY ([0-9A-F]+)",
        "a package source is signed with a key that this host does not have: \\1",
        "install that source's key (its Signed-By), or remove the source, then deploy again",
    ),
    Known(
        r"EXPKEYSIG ([0-9A-F]+)",
        "the key of a package source has expired: \\1",
        "install that source's new key, then deploy again",
    ),
    Known(
        r"not valid yet",
        "this host's clock is behind the package source's, or the source's is ahead",
        "`timedatectl` shows this host's clock and whether it is synchronized",
    ),
    Known(
        r"is expired \(invalid since",
        "the package source has not been updated for too long, or this host's clock is ahead",
        "`timedatectl` shows this host's clock; if it is right, use another mirror",
    ),
    Known(
        r"(?:407|Proxy Authentication Required)",
        "the proxy that apt uses requires user and password",
        "`apt-config dump | grep -i proxy` shows it; put them into Acquire::http::Proxy",
    ),
    Known(
        r"403 +(?:Forbidden|Filtered|Access)|Invalid response from proxy",
        "a proxy on the way refuses the package source, or the source refuses this host",
        "`apt-config dump | grep -i proxy` shows the proxy; allow the source in it",
    ),
    Known(
        r"[Cc]ertificate verification failed|certificate (?:is NOT trusted|verify failed)",
        "this host does not trust the certificate of a package source",
        "set ca_bundle: to your company's authorities, or correct this host's clock (`timedatectl`)",
    ),
    Known(
        r"does not have a Release file",
        "a package source does not exist (any more) for this release of the system",
        "correct the source: the lines below name it (releases without support move to an archive)",
    ),
    Known(
        r"Hash Sum mismatch|unexpected size|Mirror sync in progress",
        "a package source is being updated, or a proxy on the way returns an old file",
        "wait some minutes and deploy again; if it stays, use another mirror or bypass the proxy",
    ),
    Known(
        r"changed its '(\w+)' value",
        "a package source has changed its \\1, which apt wants to be accepted",
        "`apt-get update --allow-releaseinfo-change`, then deploy again",
    ),
    Known(
        r"list of sources could not be read|Malformed|Conflicting values set for option|Type '[^']*' is not known",
        "a file of package sources is wrong",
        "correct it: the lines below name it, then `apt-get update`",
    ),
    Known(
        r"NO_PUBKEY|not signed|authenticat|GPG (?:check FAILED|error)|BADSIG",
        "the package source's signature is not trusted, or this host's clock is wrong",
        "check the source's key and the clock (`timedatectl`)",
    ),
    Known(
        r"Could not connect|Cannot initiate|[Cc]onnection (?:failed|refused|timed out)|timed out"
        r"|Network is unreachable|Failed to fetch|Unable to fetch|404 +Not Found|Curl error|Cannot download",
        "this host cannot reach its package mirror",
        "check its network, DNS and proxy (`apt-get update` shows the same); then deploy again",
    ),
)
#: Errors of the installation itself. The first match is reported.
INSTALLATION = (
    NO_SPACE,
    Known(
        LOCKED.pattern,
        "another package manager has held its lock all that time",
        "let it finish, then deploy again, or set apt_lock_timeout:",
    ),
    Known(
        OUTDATED.pattern.replace("|404 +Not Found", ""),
        "no configured package source has a package with that name",
        "check the name and the sources (`apt-cache policy NAME`, `dnf info NAME`)",
    ),
    Known(
        r"remove is disabled",
        "it conflicts with installed packages, which apt would have to remove",
        "decide which to keep: `apt-get install --simulate` with the same names shows the conflict",
    ),
    Known(
        r"unmet dependencies|held broken packages|nothing provides",
        "its dependencies cannot be met: mixed releases, a held package, or a missing source",
        "check the lines below, and `apt-mark showhold` and `apt-cache policy` (`dnf repoquery --requires NAME`)",
    ),
    Known(
        r"Error in \w+ scriptlet in rpm package (\S+)",
        "the package \\1 cannot be installed: one of its scripts failed",
        "the lines below are its own",
    ),
    Known(
        r"Errors were encountered while processing:\s+(\S+)",
        "the package \\1 cannot be configured",
        "`dpkg --configure -a` shows why; the lines below are its own",
    ),
)


def explained(error: CommandFailed, names: Sequence[str], update: Sequence[str] = (), held_by: str = "") -> Failure:
    """A failed installation as a Failure with cause and fix.

    ``update``: what the update of the package lists complained about before, the first error of all. ``held_by``: who
    holds the lock that was waited for.
    """
    output = error.result.out + error.result.err
    reason = f"could not install {', '.join(names)}"
    first = [line for line in update if not CONSEQUENCE.search(line)]
    last = output.splitlines()[-DETAIL_LINES:]
    detail = "\n".join([*(line for line in first if not any(line in other for other in last)), *last])
    missing = OUTDATED.search(output) is not None
    for known, text in [*_pairs(first if missing else ()), *((known, output) for known in (*INSTALLATION, *SOURCES))]:
        found = known.explains(text)
        if found:
            cause, fix = found
            return Failure(reason, f"{cause}: {held_by}" if held_by and LOCKED.search(output) else cause, fix, detail)
    return Failure(reason, error.reason, "check the lines below", detail)


def _pairs(lines: Sequence[str]) -> list[tuple[Known, str]]:
    """Each known error with each line, in the order of the lines."""
    return [(known, line) for line in lines for known in (NO_SPACE, *SOURCES)]

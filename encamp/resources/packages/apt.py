"""dpkg and apt: what is installed, and how to install without prompts."""

from __future__ import annotations

import re
import time
from typing import Iterable, Mapping, Optional, Sequence

from encamp.resources.base import CommandFailed, Failure
from encamp.resources.system import Reader, System

INSTALLED = "installed"
ABSENT = "absent"
DPKG = "/var/lib/dpkg"
LISTS = "/var/lib/apt/lists"
LISTS_MAX_AGE = 24 * 3600  # seconds
HALF_UNPACKED = ("reinstreq", "half-installed")
LOCK_SECONDS = 300
INSTALL_SECONDS = 1800
DETAIL_LINES = 15

#: No prompts. needrestart only lists what it would restart: other services are not restarted.
ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBIAN_PRIORITY": "critical",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_MODE": "l",
}
#: Configuration files edited by the operator stay.
KEEP_CONFIG = ("--force-confdef", "--force-confold")
APT = (
    "apt-get",
    "-q",
    "-y",
    "-o",
    f"DPkg::Lock::Timeout={LOCK_SECONDS}",
    "-o",
    "Acquire::Retries=3",
    *(word for option in KEEP_CONFIG for word in ("-o", f"DPkg::Options::={option}")),
)
#: --no-remove: apt would otherwise silently remove conflicting packages.
INSTALL = ("install", "--no-install-recommends", "--no-remove")

LOCKED = re.compile(r"Could not get lock|Unable to acquire the dpkg|Unable to lock|was locked by another process")
#: Errors that new package lists may fix: an unknown name, a version that the mirror no longer has.
OUTDATED = re.compile(r"Unable to locate package|no installation candidate|Couldn't find any package|404 +Not Found")
BROKEN = re.compile(r"--fix-broken|-f install")

_STANZA_FIELDS = re.compile(rb"^(Package|Status|Provides): (.*)$", re.MULTILINE)


def parse_status(data: bytes) -> dict[str, str]:
    """Read dpkg's status file: package name to state, such as installed or half-configured.

    Names provided by installed packages count as installed, and so does a package installed for any architecture.
    """
    states: dict[str, str] = {}
    provided: list[str] = []
    for stanza in data.split(b"\n\n"):
        fields = dict(_STANZA_FIELDS.findall(stanza))
        words = fields.get(b"Status", b"").split()
        if len(words) != 3:
            continue
        state = words[2].decode() if words[1] == b"ok" else words[1].decode()
        name = fields.get(b"Package", b"").decode("utf-8", "replace")
        if state == INSTALLED:
            provided.extend(_provided_names(fields.get(b"Provides", b"")))
        if states.get(name) != INSTALLED:
            states[name] = ABSENT if state in ("not-installed", "config-files") else state
    for name in provided:
        if states.get(name, ABSENT) == ABSENT:
            states[name] = INSTALLED
    return states


def _provided_names(field: bytes) -> list[str]:
    return [entry.split()[0].decode("utf-8", "replace") for entry in field.split(b",") if entry.strip()]


def states(host: Reader) -> Mapping[str, str]:
    """Every package known to dpkg, and its state. Read once for all Packages on a host, without a process."""
    return host.once("dpkg status", lambda: parse_status(host.read(f"{DPKG}/status") or b""))


def interrupted(host: Reader) -> bool:
    """Whether dpkg was interrupted (or is running now): apt then refuses to do anything."""
    return any(name.isdigit() for name in host.listdir(f"{DPKG}/updates"))


def install(host: System, names: Sequence[str], source: str = "") -> None:
    """Install ``names`` with one command, after repairing an interrupted installation. Raises Failure.

    ``source``: a folder to install from, in place of the host's own package sources.
    """
    apt_get = (*APT, *_only_from(host, source)) if source else APT
    known = states(host)
    if interrupted(host) or any(known.get(name, ABSENT) != ABSENT for name in names):
        host.progress("finishing an interrupted package installation")
        _run_unlocked(host, ["dpkg", *KEEP_CONFIG, "--configure", "-a"], may_fail=True)
    updated = bool(source) or _lists_are_old(host)
    if updated:
        update(host, apt_get)
    host.progress(f"installing {', '.join(names)}")
    from encamp.resources.packages.apt_progress import unpacking

    argv = [*apt_get, *INSTALL]
    if any(known.get(name) in HALF_UNPACKED for name in names):
        argv.append("--reinstall")
    try:
        with unpacking(host, names):
            _run_unlocked(host, [*argv, *names])
    except CommandFailed as error:
        output = error.result.out + error.result.err
        if OUTDATED.search(output) and not updated:
            update(host, apt_get)
        elif BROKEN.search(output):
            argv.append("--fix-broken")
        else:
            raise
        _run_unlocked(host, [*argv, *names])


def _lists_are_old(host: Reader) -> bool:
    """Whether there are no package lists, or they were fetched more than a day ago.

    The lists have the mirror's timestamps; apt's download directories show when it last fetched.
    """
    if not any("_Packages" in name for name in host.listdir(LISTS)):
        return True
    fetched = max(_mtimes(host, (LISTS, f"{LISTS}/partial")), default=0.0)
    return time.time() - fetched > LISTS_MAX_AGE


def _mtimes(host: Reader, paths: Iterable[str]) -> list[float]:
    return [stat.mtime for stat in map(host.stat, paths) if stat]


def _only_from(host: System, folder: str) -> tuple[str, ...]:
    """apt's options for a folder as the only package source. Its hashes are the controller's, so no key signs it."""
    sources, lists = f"{folder}.list", f"{folder}.lists"
    host.write(sources, f"deb [trusted=yes] file:{folder} ./\n")
    host.mkdir(f"{lists}/partial")
    options = (f"Dir::Etc::SourceList={sources}", "Dir::Etc::SourceParts=/dev/null", f"Dir::State::Lists={lists}")
    return tuple(word for option in options for word in ("-o", option))


def update(host: System, apt_get: Sequence[str] = APT) -> None:
    """Fetch the package lists. Failing sources are ignored: the installation fails if they matter."""
    host.progress("fetching the package lists")
    _run_unlocked(host, [*apt_get, "update"], may_fail=True)


def _run_unlocked(host: System, argv: Sequence[str], may_fail: bool = False) -> None:
    """Run a package command; while another package manager holds a lock, try again for five minutes.

    apt can wait for some of its locks only. Raises CommandFailed; with ``may_fail`` only for a lock.
    """

    def attempt() -> Optional[CommandFailed]:
        try:
            host.run(argv, env=ENVIRONMENT, timeout=INSTALL_SECONDS)
        except CommandFailed as error:
            if _is_locked(error):
                host.progress("waiting for another package manager to finish")
            return error
        return None

    failed = host.wait_for(attempt, LOCK_SECONDS, done=lambda failed: not _is_locked(failed), every=3)
    if failed and (_is_locked(failed) or not may_fail):
        raise failed


def _is_locked(failed: Optional[CommandFailed]) -> bool:
    return failed is not None and bool(LOCKED.search(failed.result.err))


#: Output, likely cause, fix. The first match is reported.
EXPLANATIONS = (
    (
        r"No space left on device|enough free space|more space needed on the|needs \d+\w+ on the",
        "a file system of this host is full",
        "free some space (`df -h /var /usr`, `apt-get clean`), then deploy again",
    ),
    (
        LOCKED.pattern,
        "another package manager has held its lock for five minutes (unattended upgrades?)",
        "find it with `ps -e | grep -E 'apt|dpkg|unattended'`, let it finish, then deploy again",
    ),
    (
        OUTDATED.pattern.replace("|404 +Not Found", "") + "|Unable to find a match|No match for argument",
        "no configured package source has a package with that name",
        "check the name and the sources (`apt-cache policy NAME`, `dnf info NAME`)",
    ),
    (
        r"remove is disabled",
        "it conflicts with installed packages, which apt would have to remove",
        "decide which to keep: `apt-get install --simulate` with the same names shows the conflict",
    ),
    (
        r"unmet dependencies|held broken packages|nothing provides",
        "its dependencies cannot be met: mixed releases, a held package, or a missing source",
        "check the lines below, `apt-mark showhold` and `apt-cache policy`",
    ),
    (
        r"NO_PUBKEY|not signed|authenticat|GPG check FAILED|is expired",
        "the package source's signature is not trusted, or this host's clock is wrong",
        "check the source's key and the clock (`timedatectl`)",
    ),
    (
        r"Temporary failure resolving|[Cc]ould not resolve|Could not connect|Cannot initiate|timed out"
        r"|Network is unreachable|Failed to fetch|Unable to fetch|404 +Not Found|Curl error|Cannot download",
        "this host cannot reach its package mirror",
        "check its network, DNS and proxy (`apt-get update` shows the same); then deploy again",
    ),
)


def explained(error: CommandFailed, names: Sequence[str]) -> Failure:
    """A failed installation as a Failure with cause and fix."""
    output = error.result.out + error.result.err
    reason, detail = f"could not install {', '.join(names)}", "\n".join(output.splitlines()[-DETAIL_LINES:])
    for pattern, cause, fix in EXPLANATIONS:
        if re.search(pattern, output):
            return Failure(reason, cause, fix, detail)
    return Failure(reason, error.reason, "check the lines below", detail)

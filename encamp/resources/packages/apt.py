"""dpkg and apt: what is installed, and how to install without prompts."""

from __future__ import annotations

import re
import time
from typing import Iterable, Mapping, Optional, Sequence, Union

from encamp.resources.base import CommandFailed
from encamp.resources.packages import errors, locks
from encamp.resources.system import Reader, System
from encamp.shared.record import factory, record
from encamp.shared.secret import Secret

Environment = Mapping[str, Union[str, Secret]]

INSTALLED = "installed"
ABSENT = "absent"
DPKG = "/var/lib/dpkg"
LISTS = "/var/lib/apt/lists"
LISTS_MAX_AGE = 24 * 3600  # seconds
HALF_UNPACKED = ("reinstreq", "half-installed")
#: Unattended upgrades on a first boot take this long on a small machine.
LOCK_SECONDS = 900
INSTALL_SECONDS = 1800

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
    "DPkg::Lock::Timeout=3",  # we wait ourselves, and say for whom
    "-o",
    "Acquire::Retries=3",
    *(word for option in KEEP_CONFIG for word in ("-o", f"DPkg::Options::={option}")),
)
#: --no-remove: apt would otherwise silently remove conflicting packages.
INSTALL = ("install", "--no-install-recommends", "--no-remove")

BROKEN = re.compile(r"--fix-broken|-f install")

_STANZA_FIELDS = re.compile(rb"^(Package|Status|Provides): (.*)$", re.MULTILINE)


@record
class Attempt:
    """What a package command printed, and its error if it failed."""

    output: str
    error: Optional[CommandFailed] = None

    @property
    def is_locked(self) -> bool:
        return self.error is not None and locks.is_locked(self.output)


def printed(error: Optional[CommandFailed]) -> str:
    """All that a failed command printed; empty where it did not fail."""
    return error.result.out + error.result.err if error else ""


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


@record
class Installation:
    """An installation of ``names``.

    ``patience``: seconds to wait for cloud-init, and for each lock that another process holds. ``proxy``: variables for
    apt; its own configuration goes before them. ``options``: further ones of apt-get, with which its lists are always
    fetched.
    """

    host: System
    names: Sequence[str]
    patience: float = LOCK_SECONDS
    proxy: Environment = factory(dict)
    options: tuple[str, ...] = ()

    def run(self) -> None:
        """Install with one command, after repairing an interrupted installation. Raises Failure."""
        host, names = self.host, self.names
        locks.await_cloud_init(host, self.patience)
        known = states(host)
        if interrupted(host) or any(known.get(name, ABSENT) != ABSENT for name in names):
            host.progress("finishing an interrupted package installation")
            self._try(["dpkg", *KEEP_CONFIG, "--configure", "-a"])
        complaints = self._update() if self.options or _lists_are_old(host) else None
        host.progress(f"installing {', '.join(names)}")
        from encamp.resources.packages.apt_progress import unpacking

        argv = [*APT, *self.options, *INSTALL]
        if any(known.get(name) in HALF_UNPACKED for name in names):
            argv.append("--reinstall")
        with unpacking(host, names):
            error = self._try([*argv, *names]).error
        output = printed(error)
        if error and errors.OUTDATED.search(output) and complaints is None:
            complaints = self._update()
            error = self._try([*argv, *names]).error
        elif error and BROKEN.search(output):
            error = self._try([*argv, "--fix-broken", *names]).error
        if error:
            self._judge(error, complaints or ())

    def _judge(self, error: CommandFailed, complaints: Sequence[str]) -> None:
        """Raise Failure, unless all that was wanted is installed: apt also fails for packages of others."""
        failure = errors.explained(error, self.names, complaints)
        now = states(self.host)
        if any(now.get(name, ABSENT) != INSTALLED for name in self.names):
            raise failure
        self.host.note(f"{', '.join(self.names)}: installed, but apt-get failed: {failure.cause}")

    def _update(self) -> list[str]:
        """Fetch the package lists. Returns what is wrong with sources: the installation fails if they matter."""
        self.host.progress("fetching the package lists")
        return errors.complaints(self._try([*APT, *self.options, "update"]).output)

    def _try(self, argv: Sequence[str]) -> Attempt:
        """Run a package command; while another process holds a lock, name it and try again.

        apt can wait for some of its locks only, and debconf for none. Raises Failure for a lock that stays.
        """
        held_by = ""

        def attempt() -> Attempt:
            nonlocal held_by
            try:
                result = self.host.run(argv, env={**ENVIRONMENT, **self.proxy}, timeout=INSTALL_SECONDS)
                return Attempt(result.out + result.err)
            except CommandFailed as error:
                found = Attempt(printed(error), error)
            if found.is_locked:
                held_by = locks.holder(self.host, found.output) or held_by
                self.host.progress(f"waiting for another package manager to finish: {held_by or 'unknown process'}")
            return found

        made = self.host.wait_for(attempt, self.patience, done=lambda found: not found.is_locked, every=3)
        if made.error and made.is_locked:
            raise errors.explained(made.error, self.names, held_by=held_by)
        return made


def only_from(host: System, folder: str) -> tuple[str, ...]:
    """apt's options for a folder as the only package source. The controller knows its hashes, so no key signs it."""
    sources, lists = f"{folder}.list", f"{folder}.lists"
    host.write(sources, f"deb [trusted=yes] file:{folder} ./\n")
    host.mkdir(f"{lists}/partial")
    return options(f"Dir::Etc::SourceList={sources}", "Dir::Etc::SourceParts=/dev/null", f"Dir::State::Lists={lists}")


def options(*settings: str) -> tuple[str, ...]:
    """Settings of apt as options of a command."""
    return tuple(word for setting in settings for word in ("-o", setting))


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

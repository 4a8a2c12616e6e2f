"""Installing with apt, without prompts: sent to a host that lacks a package."""

from __future__ import annotations

import re
import time
from typing import Iterable, Mapping, Optional, Sequence, Union

from encamp.resources.base import CommandFailed
from encamp.resources.packages import locks
from encamp.resources.packages.apt import ABSENT, INSTALLED, LOCK_SECONDS, interrupted, states
from encamp.resources.packages.apt_progress import unpacking
from encamp.resources.system import Reader, System
from encamp.shared.record import factory, record
from encamp.shared.secret import Secret

Environment = Mapping[str, Union[str, Secret]]

LISTS = "/var/lib/apt/lists"
LISTS_MAX_AGE = 24 * 3600  # seconds
HALF_UNPACKED = ("reinstreq", "half-installed")
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
#: What apt-get update prints about a source: an error, or a warning (it then exits 0).
COMPLAINT = re.compile(r"(?:E|W|Err): ?|Err:\d+ ")


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
        complained = self._update() if self.options or _lists_are_old(host) else None
        host.progress(f"installing {', '.join(names)}")
        argv = [*APT, *self.options, *INSTALL]
        if any(known.get(name) in HALF_UNPACKED for name in names):
            argv.append("--reinstall")
        with unpacking(host, names):
            error = self._try([*argv, *names]).error
        output = printed(error)
        if error:
            from encamp.resources.packages.errors import OUTDATED

            if OUTDATED.search(output) and complained is None:
                complained = self._update()
                error = self._try([*argv, *names]).error
            elif BROKEN.search(output):
                error = self._try([*argv, "--fix-broken", *names]).error
        if error:
            self._judge(error, complained or ())

    def _judge(self, error: CommandFailed, complaints: Sequence[str]) -> None:
        """Raise Failure, unless all that was wanted is installed: apt also fails for packages of others."""
        from encamp.resources.packages.errors import explained

        failure = explained(error, self.names, complaints)
        now = states(self.host)
        if any(now.get(name, ABSENT) != INSTALLED for name in self.names):
            raise failure
        self.host.note(f"{', '.join(self.names)}: installed, but apt-get failed: {failure.cause}")

    def _update(self) -> list[str]:
        """Fetch the package lists. Returns what is wrong with sources: the installation fails if they matter."""
        self.host.progress("fetching the package lists")
        return complaints(self._try([*APT, *self.options, "update"]).output)

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
            from encamp.resources.packages.errors import explained

            raise explained(made.error, self.names, held_by=held_by)
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


def complaints(output: str) -> list[str]:
    """What ``apt-get update`` says of sources that it could not use, the first first, each once."""
    lines = (line.strip() for line in output.splitlines())
    return list(dict.fromkeys(line for line in lines if COMPLAINT.match(line)))


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

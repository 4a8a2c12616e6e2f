"""Locks: every package of a Prefect release, pinned with hashes as of that release's own date.

Resolved as of today most releases install and then fail at start, because of a newer dependency. ``make`` asks the
index when a release came out and lets uv see nothing newer than a few days after that.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from encamp.errors import EncampError, Origin, SettingsError
from encamp.locking.package_index import IndexConfig, controller_index
from encamp.shared.record import record

if TYPE_CHECKING:
    from encamp.locking import release_index

#: Days after a release within which its dependencies had caught up with it: measured on 15 releases from 2.7 to 3.6.
GRACE_DAYS = 5
#: No lock is resolved as of an earlier day: Python 3.11 had just come out, and what Prefect 2.0 to 2.6 depend on
#: (aiohttp first) had no wheels for it before. Those releases work with what there was on that day.
NOT_BEFORE = "2022-12-15"
#: No host below this can run encamp's agent, so no lock has to care for it.
OLDEST_PYTHON = (3, 9)
HEADER = re.compile(r"# ([a-z-]+): (.+)")
#: A requirement as pip writes it, by name: no URL, no path, no option.
REQUIREMENT = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w.,-]+\])?((==|>=|<=|~=|!=|<|>)[\w.*+,<>=!~-]+)?")


class LockError(EncampError):
    """A lock could not be made. ``message`` holds the resolver's own reason."""


@record
class Lock:
    """A committed lock. ``sha256`` is that of ``text``; ``date`` (ISO) is the day it was resolved as of;
    ``requires_python`` a range such as ``>=3.10,<3.15``. ``packages``: requirements beside Prefect itself. ``build``:
    names of locked packages that others, which have no wheel for every host, are built with."""

    version: str
    text: str
    sha256: str
    date: str
    requires_python: str
    packages: tuple[str, ...] = ()
    build: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the environment made from it: the release and the first digits of the hash."""
        return f"{self.version}-{self.sha256[:12]}"


def path_of(version: str, directory: Path, packages: Sequence[str] = ()) -> Path:
    """Where the lock of a release is kept; with further packages, one for each set of them."""
    if not packages:
        return directory / f"prefect-{version}.txt"
    digest = hashlib.sha256("\n".join(normalized(packages)).encode()).hexdigest()
    return directory / f"prefect-{version}+{digest[:8]}.txt"


def normalized(packages: Sequence[str]) -> tuple[str, ...]:
    """Requirements in the one form and order that a lock is known by. Raises SettingsError for what is none."""
    # Blanks around an operator do not count; between two words they are two packages in one --with.
    found = {re.sub(r"\s*([^\w\s.+*-]+)\s*", r"\1", package.strip()) for package in packages}
    wrong = [package for package in sorted(found) if not REQUIREMENT.fullmatch(package)]
    if wrong:
        raise SettingsError(f"{wrong[0]!r} is not a package of an index", "write it as 'name' or 'name==1.2.3', quoted")
    return tuple(sorted(found))


def command(version: str, packages: Sequence[str] = ()) -> str:
    """The command that makes a lock."""
    return " ".join(["fab lock --prefect", version, *(f"--with '{package}'" for package in normalized(packages))])


def available(directory: Path) -> list[str]:
    """The releases that have a lock, oldest first."""
    names = [path.name[len("prefect-") : -len(".txt")] for path in directory.glob("prefect-*[0-9].txt")]
    names = [name for name in names if "+" not in name]
    return sorted(names, key=lambda version: [int(part) for part in re.findall(r"\d+", version)])


def load(version: str, directory: Path, packages: Sequence[str] = ()) -> Lock:
    """Read a committed lock. Raises SettingsError when there is none, or when it is not a lock of that release."""
    path, again = path_of(version, directory, packages), command(version, packages)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise _damaged(path, "it is not UTF-8 text", again) from None
    except (OSError, ValueError) as error:  # no file, or a version that no file can be named after
        if isinstance(error, PermissionError):
            raise _damaged(path, "it is not readable", f"make it readable for this user, or {again}") from None
        raise _missing(version, directory, packages, again) from None
    header = dict(HEADER.findall(text.partition("\n\n")[0]))
    if header.get("prefect") != version or not {"resolved-as-of", "requires-python"} <= header.keys():
        raise _damaged(path, "its header does not name this release, a date and a range of Pythons", again)
    if header.get("with", "") != " ".join(normalized(packages)):
        raise _damaged(path, "its header names other packages", again)
    if "--hash=sha256:" not in text or f"\nprefect=={version} " not in text:
        raise _damaged(path, f"it does not pin prefect {version} with hashes", again)
    digest = hashlib.sha256(text.encode()).hexdigest()
    build = tuple(header.get("build", "").split())
    return Lock(version, text, digest, header["resolved-as-of"], header["requires-python"], normalized(packages), build)


def _missing(version: str, directory: Path, packages: Sequence[str], again: str) -> SettingsError:
    if packages:
        return SettingsError(f"there is no lock for Prefect {version} with {', '.join(normalized(packages))}", again)
    have = ", ".join(available(directory)) or "none"
    return SettingsError(f"there is no lock for Prefect {version} (locked: {have})", again)


def make(
    prefect_version: str,
    directory: Path,
    exclude_newer: str | None = None,
    index: IndexConfig | None = None,
    packages: Sequence[str] = (),
    build: Sequence[str] = (),
    bounds: Sequence[str] = (),
) -> Path:
    """Resolve a release with hashes for every platform and Python, and write its lock. Returns the file.

    ``exclude_newer`` is a date (ISO) to use instead of the release's own; ``packages`` are resolved together with the
    release, and so is ``build``: the packages that those without a wheel are built with. ``bounds`` are requirements
    that hold for whatever is resolved. Raises LockError, with uv's reason, when it does not resolve: no floor is ever
    lowered to make it.
    """
    from encamp.locking import release_index
    from encamp.support import atomic_file

    index = index or controller_index()
    release = release_index.find("prefect", prefect_version, index)
    date = exclude_newer or max(_own_date(release), NOT_BEFORE)
    packages = normalized(packages)
    wanted = [f"prefect=={prefect_version}", *packages, *build]
    pins = _compile(wanted, date, _oldest(release.requires_python), index, bounds)
    header = f"# prefect: {prefect_version}\n# resolved-as-of: {date}\n# requires-python: {release.requires_python}\n"
    header += f"# with: {' '.join(packages)}\n" if packages else ""
    header += f"# build: {' '.join(build)}\n" if build else ""
    header += f"# bounds: {' '.join(bounds)}\n" if bounds else ""
    header += f"# made-by: {command(prefect_version, packages)}\n\n"
    path = path_of(prefect_version, directory, packages)
    directory.mkdir(parents=True, exist_ok=True)
    atomic_file.write(str(path), (header + pins).encode(), 0o644)
    return path


def _own_date(release: release_index.Release) -> str:
    if release.uploaded is None:
        raise LockError(
            f"the index does not say when prefect {release.version} was uploaded",
            f"name the date: fab lock --prefect {release.version} --exclude-newer YYYY-MM-DD",
        )
    return (release.uploaded + datetime.timedelta(days=GRACE_DAYS)).isoformat()


def _oldest(requires_python: str) -> str:
    """The oldest Python a lock has to work on: the release's lower bound, or the agent's where that is higher."""
    bounds = [tuple(map(int, bound.split("."))) for bound in re.findall(r">=\s*(\d+\.\d+)", requires_python)]
    return ".".join(map(str, max([*bounds, OLDEST_PYTHON])))


def _compile(wanted: Sequence[str], date: str, python: str, index: IndexConfig, bounds: Sequence[str]) -> str:
    import uv

    with tempfile.NamedTemporaryFile("w", prefix="encamp-bounds-", suffix=".txt") as constraints:
        constraints.write("".join(f"{bound}\n" for bound in bounds))
        constraints.flush()
        argv = [
            *(uv.find_uv_bin(), "pip", "compile", "-", "--universal", "--python-version", python),
            *("--python", sys.executable, "--generate-hashes", "--exclude-newer", f"{date}T00:00:00Z"),
            *("--constraint", constraints.name),
            *("--no-annotate", "--no-header", "--no-progress", "--color", "never", "--quiet"),
        ]
        lines = "\n".join(wanted) + "\n"
        known = environment(os.environ, index)
        done = subprocess.run(argv, input=lines, capture_output=True, text=True, env=known)
    if done.returncode:
        within = f" within {', '.join(bounds)}" if bounds else ""
        named = " with ".join(wanted).replace("==", " ", 1)
        raise LockError(
            f"{named} does not resolve as of {date}{within}:\n{done.stderr.strip()}",
            "choose another release, or another date with --exclude-newer; encamp does not relax bounds to resolve it",
        )
    return done.stdout


def environment(environ: Mapping[str, str], index: IndexConfig) -> dict[str, str]:
    """The controller's own environment; index and certificates by variable, since an address may hold a password."""
    chosen = {**environ, "UV_PYTHON_DOWNLOADS": "never", "UV_DEFAULT_INDEX": index.plain_url}
    if index.ca_file:
        chosen["SSL_CERT_FILE"] = index.ca_file
    return chosen


def _damaged(path: Path, reason: str, again: str) -> SettingsError:
    return SettingsError(reason, f"make it again: {again}", Origin(str(path)))

"""Reading dpkg's status, what counts as installed, and the words for what apt says."""

from __future__ import annotations

from typing import Any, Sequence

import pytest

from encamp.resources.base import CommandFailed, Refused
from encamp.resources.packages.apt import explained, parse_status
from encamp.resources.packages.packages import Packages
from encamp.resources.system import OsRelease, Result

STATUS = b"""Package: mawk
Status: install ok installed
Provides: awk, nawk (= 1.3)

Package: libc6
Essential: yes
Status: install ok unpacked
Architecture: i386

Package: libc6
Status: install ok installed
Architecture: amd64

Package: zlib1g
Status: install ok installed
Architecture: amd64

Package: zlib1g
Status: install ok unpacked
Architecture: i386

Package: gone
Status: deinstall ok config-files

Package: kept
Status: hold ok installed

Package: torn
Status: install reinstreq half-installed

Package: postgresql
Status: install ok half-configured
Description: not the fields of a description
 Status: install ok installed

Package: offering
Status: deinstall ok config-files
Provides: mail-reader
"""


class FakeHost:
    """A host that is only its dpkg database (or its rpm)."""

    def __init__(self, family: str = "debian", updates: Sequence[str] = (), rpm: str = "") -> None:
        self._family, self._updates, self._rpm = family, list(updates), rpm
        self.commands: list[Sequence[str]] = []

    def os_release(self) -> OsRelease:
        return OsRelease("any", "1", self._family, "Any Linux 1")

    def read(self, path: str) -> bytes:
        assert path == "/var/lib/dpkg/status"
        return STATUS

    def listdir(self, path: str) -> list[str]:
        return self._updates

    def once(self, key: str, read: Any) -> Any:
        return read()

    def query(self, argv: Sequence[str], **_: Any) -> Result:
        self.commands.append(argv)
        return Result(tuple(argv), 1 if "no package" in self._rpm else 0, self._rpm, "")


def changes(host: FakeHost, **fields: Any) -> list[str]:
    return [str(change) for change in Packages("set", **fields).check(host)]  # type: ignore[arg-type]


def test_status_of_every_kind_of_package() -> None:
    states = parse_status(STATUS)
    assert states["libc6"] == states["zlib1g"] == states["kept"] == "installed"
    assert states["gone"] == "absent"
    assert states["torn"] == "reinstreq"
    assert states["postgresql"] == "half-configured"


def test_a_provided_name_is_installed_only_through_an_installed_package() -> None:
    states = parse_status(STATUS)
    assert states["awk"] == states["nawk"] == "installed"
    assert "mail-reader" not in states


def test_only_what_is_missing_or_broken_differs() -> None:
    found = changes(FakeHost(), debian=("mawk", "awk", "gone", "postgresql", "unheard-of"))
    assert found == [
        "gone: absent -> installed",
        "postgresql: half-configured -> installed",
        "unheard-of: absent -> installed",
    ]


def test_an_interrupted_dpkg_is_told_when_something_is_missing() -> None:
    host = FakeHost(updates=["0000", "tmp.i"])
    assert changes(host, debian=("gone",))[-1] == "dpkg: interrupted -> finished"
    assert changes(host, debian=("mawk",)) == []
    assert changes(FakeHost(updates=["tmp.i"]), debian=("gone",)) == ["gone: absent -> installed"]


def test_each_family_has_its_names() -> None:
    assert changes(FakeHost(), rhel=("unheard-of",)) == []
    assert changes(FakeHost("rhel"), debian=("unheard-of",)) == []
    host = FakeHost("rhel", rpm="ok\nno package provides sqlite\n")
    assert changes(host, rhel=("postgresql-server", "sqlite")) == ["sqlite: absent -> installed"]
    assert len(host.commands) == 1


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(Refused, match="Any Linux 1"):
        changes(FakeHost("other"), debian=("mawk",))


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("E: Unable to locate package nonesuch", "no configured package source"),
        ("E: Package 'x' has no installation candidate", "no configured package source"),
        ("Error: Unable to find a match: nonesuch", "no configured package source"),
        ("E: You don't have enough free space in /var/cache/apt/archives/.", "is full"),
        ("dpkg: error: write error: No space left on device\nE: Failed to fetch x", "is full"),
        ("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt)", "lock"),
        ("dpkg: error: dpkg frontend lock was locked by another process with pid 3", "lock"),
        ("E: Failed to fetch http://x  Temporary failure resolving 'deb.debian.org'", "cannot reach"),
        ("E: Failed to fetch http://x  404  Not Found [IP: 1.2.3.4 80]", "cannot reach"),
        ("E: Packages need to be removed but remove is disabled.", "conflicts"),
        ("The following packages have unmet dependencies:\n x : Depends: y", "dependencies"),
        ("W: GPG error: http://x: NO_PUBKEY 0E98404D386FA1D9", "signature"),
        ("something never seen", "`apt-get install x` exited 100"),
    ],
)
def test_apt_is_told_in_plain_words(output: str, cause: str) -> None:
    error = CommandFailed(Result(("apt-get", "install", "x"), 100, "", output))
    failure = explained(error, ["x"])
    assert failure.reason == "could not install x"
    assert cause in failure.cause
    assert failure.fix
    assert output.splitlines()[-1] in failure.detail

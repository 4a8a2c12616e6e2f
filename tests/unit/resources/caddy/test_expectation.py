"""What becomes of an owner's Caddyfile, and when a host is refused."""

from __future__ import annotations

import pytest

from encamp.resources.base import Refused
from encamp.resources.caddy import paths as caddy
from encamp.resources.caddy.expectation import CaddyExpectation
from encamp.resources.system import OsRelease, Stat

OWNERS = "shop.example {\n\trespond hi\n}\n"


class Host:
    """A host with an operating system, maybe Caddy, and files."""

    def __init__(self, release: OsRelease, files: dict[str, str], has_caddy: bool = False) -> None:
        self._release, self._files, self._has_caddy = release, files, has_caddy

    def os_release(self) -> OsRelease:
        return self._release

    def stat(self, path: str) -> Stat | None:
        return Stat("file", 0o755, "root", "root", 1, 0.0) if self._has_caddy else None

    def read(self, path: str) -> bytes | None:
        return self._files[path].encode() if path in self._files else None

    def query(self, argv: object) -> object:
        return type("Result", (), {"out": f" {caddy.MAIN} 0123456789abcdef0123456789abcdef\n"})()


BOOKWORM = OsRelease("debian", "12", "debian", "Debian GNU/Linux 12 (bookworm)")
BULLSEYE = OsRelease("debian", "11", "debian", "Debian GNU/Linux 11 (bullseye)")
PLAIN = Host(BOOKWORM, {})


def test_an_owners_file_keeps_all_of_it_and_gets_one_line() -> None:
    after = caddy.with_import(PLAIN, OWNERS)  # type: ignore[arg-type]
    assert after.startswith(OWNERS) and after.endswith(f"{caddy.IMPORT}\n")
    assert caddy.with_import(PLAIN, after) == after  # type: ignore[arg-type]
    assert caddy.without_import(after) == OWNERS


def test_an_owners_own_import_is_enough() -> None:
    text = f"import conf.d/*.caddy\n{OWNERS}"
    assert caddy.with_import(PLAIN, text) == text  # type: ignore[arg-type]
    assert caddy.without_import(text) == text


def test_without_a_file_one_is_made() -> None:
    assert caddy.with_import(PLAIN, None) == caddy.MADE  # type: ignore[arg-type]
    assert caddy.without_import(None) is None and caddy.without_import(caddy.MADE) == caddy.MADE


def test_what_is_tried_is_what_will_be() -> None:
    text = caddy.whole(caddy.MADE + OWNERS, "{\n}", "a.test {\n}")
    assert "import" not in text and text.index("{\n}") < text.index("a.test {\n}") < text.index(OWNERS)


def test_a_release_without_the_package_is_refused() -> None:
    expectation = CaddyExpectation("caddy")
    with pytest.raises(Refused, match="has no Caddy package"):
        expectation.check(Host(BULLSEYE, {}))  # type: ignore[arg-type]
    assert expectation.check(Host(BULLSEYE, {}, has_caddy=True)) == []  # type: ignore[arg-type]
    assert expectation.check(Host(BOOKWORM, {})) == []  # type: ignore[arg-type]
    assert expectation.check(Host(OsRelease("debian", "", "debian", "sid"), {})) == []  # type: ignore[arg-type]


def test_a_certificate_of_another_authority_is_refused() -> None:
    path, ours, theirs = "/x.pem", "# certificate authority: encamp 1", "# certificate authority: encamp 2"
    expectation = CaddyExpectation("caddy", {path: (ours,)})
    assert expectation.check(Host(BOOKWORM, {path: f"{ours}\n-----BEGIN"})) == []  # type: ignore[arg-type]
    assert expectation.check(Host(BOOKWORM, {path: "-----BEGIN an owner's"})) == []  # type: ignore[arg-type]
    with pytest.raises(Refused, match="another encamp certificate authority"):
        expectation.check(Host(BOOKWORM, {path: f"{theirs}\n-----BEGIN"}))  # type: ignore[arg-type]
    rotated = CaddyExpectation("caddy", {path: (ours, theirs)})
    assert rotated.check(Host(BOOKWORM, {path: f"{theirs}\n-----BEGIN"})) == []  # type: ignore[arg-type]

"""The site's own authority: the same from run to run, limited to the site's names, and good for OpenSSL."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path

import pytest

from encamp.shared.secret import Secret
from roles.network.certificate_authority import PERIOD_DAYS, VALID_DAYS, Authority, mark, period

SEED = Secret("zZ9" * 11)
NOW = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
BEGIN = period(NOW)


def verdict(folder: Path, authority: Authority, name: str, at: datetime.datetime = NOW) -> str:
    """What openssl says of a certificate for ``name`` to somebody who trusts the authority; empty: all is well."""
    (folder / "ca.pem").write_text(authority.certificate)
    (folder / "leaf.pem").write_text(authority.leaf(name, at).certificate)
    check = "-verify_ip" if name.replace(".", "").isdigit() else "-verify_hostname"
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-attime", str(int(at.timestamp()))]
    done = subprocess.run(
        [*command, check, name, "-CAfile", "ca.pem", "leaf.pem"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_same_secret_gives_the_same_bytes() -> None:
    one, other = (Authority(SEED, names) for names in (["a.test", "b.test"], ["b.test", "a.test"]))
    assert one.certificate == other.certificate
    first, second = one.leaf("a.test", NOW), other.leaf("a.test", NOW)
    assert first.certificate == second.certificate and first.key.reveal() == second.key.reveal()
    assert first.certificate.startswith(mark(one.id) + "\n-----BEGIN")
    assert Authority(Secret("another" * 5), ["a.test"]).id != one.id


def test_a_certificate_stays_for_a_period_and_outlives_the_next_ones() -> None:
    authority = Authority(SEED, ["a.test"])
    last = BEGIN + PERIOD_DAYS * DAY - datetime.timedelta(seconds=1)
    now, later = authority.leaf("a.test", BEGIN), authority.leaf("a.test", last + DAY)
    assert authority.leaf("a.test", last).certificate == now.certificate
    assert later.certificate != now.certificate and later.key.reveal() != now.key.reveal()
    assert VALID_DAYS - PERIOD_DAYS > 300


@pytest.mark.parametrize("name", ["a.test", "192.0.2.7"])
def test_it_signs_for_the_sites_names(tmp_path: Path, name: str) -> None:
    assert verdict(tmp_path, Authority(SEED, ["a.test", "192.0.2.7"]), name) == ""
    assert verdict(tmp_path, Authority(SEED, [name]), name) == ""


@pytest.mark.parametrize("names", [["a.test"], ["192.0.2.7"], ["a.test", "192.0.2.7"]])
@pytest.mark.parametrize("name", ["bank.example", "192.0.2.8"])
def test_it_cannot_sign_for_others(tmp_path: Path, names: list[str], name: str) -> None:
    assert "permitted subtree violation" in verdict(tmp_path, Authority(SEED, names), name) or (
        "excluded subtree violation" in verdict(tmp_path, Authority(SEED, names), name)
    )


def test_clients_of_an_earlier_authority_go_on_when_a_name_is_added(tmp_path: Path) -> None:
    before, after = Authority(SEED, ["a.test"]), Authority(SEED, ["a.test", "b.test"])
    assert before.certificate != after.certificate and before.id == after.id
    (tmp_path / "ca.pem").write_text(before.certificate)
    (tmp_path / "leaf.pem").write_text(after.leaf("a.test", NOW).certificate)
    command = ["openssl", "verify", "-attime", str(int(NOW.timestamp())), "-CAfile", "ca.pem", "leaf.pem"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0

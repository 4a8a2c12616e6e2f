"""CA bundles: what is accepted, and what is found to differ. The trust store itself is tested on real hosts."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from encamp.agent.system import Host
from encamp.resources.base import Failure
from encamp.resources.certificates import ca_bundle
from encamp.resources.certificates.ca_bundle import CaBundle, TrustStore, bundle_path
from encamp.resources.certificates.pem import bodies, fingerprint, to_pem, validate
from encamp.resources.system import OsRelease


def authority(name: str) -> tuple[str, str]:
    """A self-signed certificate and its key, both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2020, 1, 1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=20_000))
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), secret.decode()


ONE, KEY = authority("one")
TWO, _ = authority("two")


class Machine(Host):
    """This machine, seen with or without root and with a home of its own."""

    def __init__(self, home: Path, root: bool) -> None:
        super().__init__(lambda blob: b"", lambda kind, text: None)
        self._home, self._root = str(home), root

    @property
    def is_root(self) -> bool:
        return self._root

    @property
    def home(self) -> str:
        return self._home

    def os_release(self) -> OsRelease:
        return OsRelease("debian", "12", "debian", "Debian 12")


def bundle(text: str) -> CaBundle:
    return CaBundle("site", text, hashlib.sha256(text.encode()).hexdigest())


class TestPem:
    def test_counts_each_certificate_once_whatever_stands_between(self) -> None:
        text = f"# the company's\n{ONE}\nsome words\n{TWO.replace(chr(10), chr(13) + chr(10))}{ONE}"
        assert validate(text, "x") == 2

    def test_one_certificate_comes_out_as_it_went_in(self) -> None:
        (body,) = bodies(ONE)
        assert to_pem(body) == ONE
        expected = x509.load_pem_x509_certificate(ONE.encode()).fingerprint(hashes.SHA256()).hex()
        assert fingerprint(body) == expected

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "contains no certificate"),
            ("hello", "contains no certificate"),
            (ONE + KEY, "contains a private key"),
            (ONE + TWO[:200], "is truncated"),
            (ONE + TWO.replace(TWO.splitlines()[3], "!!!!"), "certificate 2 is damaged"),
            (TWO.replace(TWO.splitlines()[1][:8], "AAAAAAAA") + ONE, "certificate 1 is damaged"),
        ],
    )
    def test_what_cannot_be_used_is_told(self, text: str, reason: str) -> None:
        with pytest.raises(Failure, match=reason):
            validate(text, "ca_bundle")


class TestWithoutRoot:
    def test_keeps_one_file_in_the_home_and_nothing_else(self, tmp_path: Path) -> None:
        host, declared = Machine(tmp_path, root=False), bundle(ONE + TWO)
        changes = declared.check(host)
        assert [change.what for change in changes] == ["bundle"]
        declared.apply(host, changes)
        assert declared.check(host) == []
        kept = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert kept == [tmp_path / bundle_path("site", root=False)[2:]]
        assert (kept[0].read_text(), kept[0].stat().st_mode & 0o777) == (ONE + TWO, 0o644)

    def test_a_changed_file_and_mode_are_found(self, tmp_path: Path) -> None:
        host, declared = Machine(tmp_path, root=False), bundle(ONE)
        declared.apply(host, declared.check(host))
        path = tmp_path / bundle_path("site", root=False)[2:]
        path.write_text(TWO)
        path.chmod(0o600)
        assert [change.what for change in declared.check(host)] == ["bundle", "mode"]
        declared.apply(host, declared.check(host))
        assert declared.check(host) == []


class TestTrustStore:
    """What a check finds on a system whose store is in a directory of the test."""

    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (tmp_path / "local").mkdir()
        made = TrustStore(str(tmp_path / "local"), ".crt", ("true",), ("true",), str(tmp_path / "all.crt"))
        monkeypatch.setattr(ca_bundle, "STORES", {"debian": made})
        monkeypatch.setattr(ca_bundle, "bundle_path", lambda name, root=True: str(tmp_path / f"{name}.pem"))
        (tmp_path / "site.pem").write_text(ONE + TWO)
        (tmp_path / "site.pem").chmod(0o644)
        return tmp_path

    def test_only_what_the_system_lacks_counts(self, store: Path) -> None:
        (store / "all.crt").write_text(ONE)
        found = [str(change) for change in bundle(ONE + TWO).check(Machine(store, root=True))]
        assert found == ["trust store: 1 certificate added"]

    def test_nothing_differs_when_all_are_trusted(self, store: Path) -> None:
        (store / "all.crt").write_text(TWO + ONE)
        assert bundle(ONE + TWO).check(Machine(store, root=True)) == []

    def test_what_an_earlier_bundle_brought_goes_and_foreign_ones_stay(self, store: Path) -> None:
        (store / "all.crt").write_text(ONE + TWO)
        (store / "local" / f"encamp-site-{fingerprint(bodies(ONE)[0])[:16]}.crt").write_text(ONE)
        (store / "local" / "encamp-site-0123456789abcdef.crt").write_text("gone from the bundle")
        (store / "local" / "encamp-site-two-0123456789abcdef.crt").write_text("another bundle's")
        (store / "local" / "company.crt").write_text("not ours")
        found = [str(change) for change in bundle(ONE + TWO).check(Machine(store, root=True))]
        assert found == ["trust store: 1 certificate removed"]

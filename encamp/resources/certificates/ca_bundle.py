"""The operator's certificate authorities: one PEM file for programs, and the system's trust store."""

from __future__ import annotations

import re
from typing import Optional, Sequence

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.certificates.pem import bodies, fingerprint, to_pem, validate
from encamp.resources.files.paths import expand
from encamp.resources.system import Content, Reader, System
from encamp.shared.record import record

MODE = 0o644


@record
class TrustStore:
    """How a family of systems adds certificates: files in ``directory``, combined into ``bundle`` by ``update``, or by
    ``renew`` after some were removed."""

    directory: str
    suffix: str
    update: tuple[str, ...]
    renew: tuple[str, ...]
    bundle: str


STORES = {
    "debian": TrustStore(
        "/usr/local/share/ca-certificates",
        ".crt",
        ("update-ca-certificates",),
        ("update-ca-certificates", "--fresh"),
        "/etc/ssl/certs/ca-certificates.crt",
    ),
    "rhel": TrustStore(
        "/etc/pki/ca-trust/source/anchors",
        ".pem",
        ("update-ca-trust", "extract"),
        ("update-ca-trust", "extract"),
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    ),
}


def bundle_path(name: str, root: bool = True) -> str:
    """The path of a bundle. Without root it starts with ``~/``, which encamp's kinds expand."""
    return f"/etc/encamp/ca/{name}.pem" if root else f"~/.local/share/encamp/ca/{name}.pem"


@kind
class CaBundle(Resource):
    """The operator's certificate authorities: one PEM file and, as root, the host's trust store.

    The file is /etc/encamp/ca/<name>.pem (``bundle_path``); without root, ~/.local/share/encamp/ca/<name>.pem and
    nothing else. The trust store gets only the certificates it lacks; those of earlier versions of the bundle are
    removed. Debian needs the package ca-certificates. On RHEL: update-ca-trust.

    name: letters, digits, ``-`` and ``_``.
    content: the PEM text, one certificate or many.
    sha256: of that text.
    """

    name: str
    content: Content
    sha256: str

    def check(self, host: Reader) -> list[Change]:
        path = expand(host, bundle_path(self.name, host.is_root))
        now = host.read(path)
        same = now is not None and _sha256(now) == self.sha256
        changes = []
        if not same:
            changes.append(Change("bundle", "" if now is None else "other content", f"sha256 {self.sha256[:12]}"))
        stat = host.stat(path)
        if stat is not None and stat.mode != MODE:
            changes.append(Change("mode", f"{stat.mode:04o}", f"{MODE:04o}"))
        store = _store(host)
        if store is not None:
            text = now.decode() if same and now is not None else host.text(self.content)
            changes += self._store_changes(host, store, bodies(text))
        return changes

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        text = host.text(self.content)
        validate(text, f"CA bundle {self.name}")
        path = expand(host, bundle_path(self.name, host.is_root))
        aspects = {change.what for change in changes}
        if aspects & {"bundle", "mode"}:
            directory = path.rpartition("/")[0]
            if host.stat(directory) is None:
                host.mkdir(directory)
            host.write(path, text, mode=MODE)
        store = _store(host)
        if host.is_root and store is None:
            host.note(f"{path} is in place; encamp does not know this system's trust store, so it was not changed")
        if store is not None and "trust store" in aspects:
            self._trust(host, store, bodies(text))

    def _store_changes(self, host: Reader, store: TrustStore, wanted: list[str]) -> list[Change]:
        missing, stale = _missing(host, store, wanted), self._stale(host, store, wanted)
        added = [Change("trust store", "", f"{_count(len(missing))} added")] if missing else []
        return added + ([Change("trust store", "", f"{_count(len(stale))} removed")] if stale else [])

    def _trust(self, host: System, store: TrustStore, wanted: list[str]) -> None:
        if host.which(store.update[0]) is None:
            raise Failure(
                f"this host has no {store.update[0]}",
                "the package ca-certificates is not installed",
                "install ca-certificates before the CA bundle",
            )
        # Both first: writing drops the readings kept by `once`.
        missing, stale = _missing(host, store, wanted), self._stale(host, store, wanted)
        for certificate in missing:
            host.write(f"{store.directory}/{self._piece(store, certificate)}", to_pem(certificate), mode=MODE)
        for name in stale:
            host.remove(f"{store.directory}/{name}")
        host.run(store.renew if stale else store.update)

    def _stale(self, host: Reader, store: TrustStore, wanted: list[str]) -> list[str]:
        """Files of earlier versions of this bundle that the current one lacks."""
        ours = re.compile(rf"encamp-{re.escape(self.name)}-[0-9a-f]{{16}}{re.escape(store.suffix)}\Z")
        pieces = [name for name in host.listdir(store.directory) if ours.match(name)]
        current = {self._piece(store, certificate) for certificate in wanted} if pieces else set()
        return [name for name in pieces if name not in current]

    def _piece(self, store: TrustStore, certificate: str) -> str:
        return f"encamp-{self.name}-{fingerprint(certificate)[:16]}{store.suffix}"


def _store(host: Reader) -> Optional[TrustStore]:
    return STORES.get(host.os_release().family) if host.is_root else None


def _missing(host: Reader, store: TrustStore, wanted: list[str]) -> list[str]:
    """Certificates that the system does not trust yet, according to the bundle that its programs read."""
    trusted = host.once(
        f"trusted {store.bundle}", lambda: set(bodies((host.read(store.bundle) or b"").decode("utf-8", "replace")))
    )
    return [certificate for certificate in wanted if certificate not in trusted]


def _sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _count(number: int) -> str:
    return "1 certificate" if number == 1 else f"{number} certificates"

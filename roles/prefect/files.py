"""Files on the controller that settings name."""

from __future__ import annotations

import hashlib
from pathlib import Path

from encamp.errors import Origin, SettingsError
from encamp.resources.base import Failure
from encamp.resources.certificates.pem import validate
from encamp.site import SiteHost
from encamp.support import cache
from encamp.support.paths import locate


def read_bundle(key: str, name: str, host: SiteHost) -> str:
    """The certificate authorities in a PEM file that the setting ``key`` names. Raises SettingsError."""
    path, data = read_file(key, name, host)
    text = data.decode("utf-8", "replace")
    checked = f"pem-{hashlib.sha256(data).hexdigest()}"
    if cache.read(checked) is None:
        _check_pem(text, f"{key}: {path}", host.origin(key))
        cache.write(checked, b"")
    return text


def read_text(key: str, name: str, host: SiteHost) -> str:
    """The text of a file that the setting ``key`` names. Raises SettingsError."""
    path, data = read_file(key, name, host)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise SettingsError(f"{key}: {path} is not a text file", "use a file in PEM format", host.origin(key)) from None


def read_file(key: str, name: str, host: SiteHost) -> tuple[Path, bytes]:
    """A file that a setting names: below the current directory if it is there, else the inventory's."""
    path = Path(locate(name, host.inventory.directory))
    try:
        return path, path.read_bytes()
    except OSError as error:
        reason = f"{key}: {path}: {error.strerror}"
        raise SettingsError(reason, "use a file on this machine", host.origin(key)) from None


def _check_pem(text: str, name: str, where: Origin | None) -> None:
    try:
        validate(text, name)
    except Failure as error:
        raise SettingsError(error.reason, error.fix or error.cause, where) from None

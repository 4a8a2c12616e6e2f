"""Secrets that encamp makes itself, on the first deploy, and keeps on the controller: one file each.

A deploy never overwrites one; ``rotation`` changes them, and keeps a second value beside each meanwhile. The folder is
0700 and ignored by git, the files are 0600. A file is written beside its place and linked into it: it is there whole or
not at all, and of two runs at once the second takes what the first one made.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import string
import tempfile
from pathlib import Path
from typing import Literal

from encamp.errors import SettingsError
from encamp.shared.secret import Secret

FOLDER = "secrets"
#: What the files of a secret that changes end with: the value to come, and the one that was in use until now. No name
#: of a secret ends so: ``file_name`` encodes it.
NEXT, OLD = "~next", "~old"
#: 32 letters and digits: 190 bits, and nothing that a shell, a URL or a unit file reads as something else.
LENGTH = 32
ALPHABET = string.ascii_letters + string.digits
#: Stands in a plan for a secret that no deploy has made yet.
PLACEHOLDER = Secret("the-next-deploy-generates-this")
#: What to do about a secret that is not stored: make it, plan without it, or say that a deploy must come first.
Missing = Literal["make", "plan", "refuse"]
_NAME_LIMIT = 200


class SecretStore:
    """The generated secrets of one site, in ``folder``. Each is read from disk once."""

    def __init__(self, folder: Path, missing: Missing = "plan") -> None:
        self.folder, self._missing = folder, missing
        self._known: dict[str, Secret] = {}
        self._changing: set[str] | None = None
        #: Whether a placeholder was handed out, so that a deploy would make a secret.
        self.lacks = False

    def get(self, name: str) -> Secret:
        """The secret called ``name``, such as ``vm1/default/api-auth``.

        Raises SettingsError where it can be neither read nor kept.
        """
        if name not in self._known:
            self._known[name] = read(self.path(name)) or self._absent(name)
        return self._known[name]

    def others(self, name: str) -> tuple[Secret, ...]:
        """Further values of a secret that changes: the one to come, and the one before. Raises SettingsError."""
        if self._changing is None:
            self._changing = changing(self.folder)
        if file_name(name) not in self._changing:
            return ()
        path = self.path(name)
        found = [read(path.with_name(path.name + end)) for end in (NEXT, OLD)]
        return tuple(value for value in found if value is not None and value != self.get(name))

    def path(self, name: str) -> Path:
        """The file of a secret: no two names share one, and none leaves the folder."""
        return self.folder / file_name(name)

    def _absent(self, name: str) -> Secret:
        if self._missing == "make":
            return make(self.path(name))
        if self._missing == "plan":
            self.lacks = True
            return PLACEHOLDER
        raise SettingsError(
            f"the secret {name} is not on this machine: there is no {self.path(name)}",
            "run `fab deploy` for that server first, or copy the file from the machine that did",
        )


def changing(folder: Path) -> set[str]:
    """The names of the files whose secrets have a second value."""
    try:
        found = os.listdir(folder)
    except OSError:
        return set()
    return {name.rpartition("~")[0] for name in found if name.endswith((NEXT, OLD))}


def make(path: Path) -> Secret:
    """A new secret in the file ``path``, or the one that another run has just put there. Raises SettingsError."""
    value = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    try:
        _prepare(path.parent)
        made = _put(path, value + "\n")
    except OSError as error:
        raise SettingsError(
            f"{error.filename or path}: {error.strerror}; a generated secret cannot be stored",
            f"make {path.parent} a folder that you can write to, or give the secret a source of your own",
        ) from None
    return Secret(value) if made else read(path) or make(path)


def keep(path: Path, value: Secret) -> None:
    """Store a secret that exists already, such as one that was found on a host.

    Raises SettingsError where the file holds another one, or cannot be made.
    """
    try:
        _prepare(path.parent)
        made = _put(path, value.reveal() + "\n")
    except OSError as error:
        raise SettingsError(f"{error.filename or path}: {error.strerror}", "make it a folder of your own") from None
    if not made and read(path) != value:
        raise SettingsError(f"{path} exists and holds another value", "move it away, then run the command again")


def read(path: Path) -> Secret | None:
    """The secret in a file; None when there is no file. Raises SettingsError for one that must not be used."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), encoding="utf-8") as stream:
            _refuse_exposed(path, os.fstat(stream.fileno()))
            text = stream.read().rstrip("\r\n")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not text", "restore the file that `fab deploy` made") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    if not text or "\n" in text:
        wrong = "is empty" if not text else "has several lines"
        raise SettingsError(f"{path} {wrong}", "restore the secret, or remove the file to have a new one generated")
    return Secret(text)


def status(path: Path) -> os.stat_result | None:
    """What a file is, not opened; None when there is none. Raises SettingsError where that cannot be known."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"{path}: {error.strerror}", "make it a file that you own, mode 0600, in a folder that you own"
    )


def file_name(name: str) -> str:
    """A name as a file's: ``/`` becomes ``+``, everything but letters, digits, dots and dashes is %-encoded."""
    plain = "".join(char if re.fullmatch(r"[A-Za-z0-9._-]", char) else _encoded(char) for char in name)
    plain = f"%2E{plain[1:]}" if plain.startswith(".") else plain
    if not plain:
        raise ValueError("a secret needs a name")
    if len(plain) <= _NAME_LIMIT:
        return plain
    return f"{plain[: _NAME_LIMIT - 65]}%{hashlib.sha256(name.encode()).hexdigest()}"


def _encoded(char: str) -> str:
    return "+" if char == "/" else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))


def _prepare(folder: Path) -> None:
    """Make the folder, and in it a rule that keeps it out of git.

    Raises OSError, and SettingsError where others may write.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise SettingsError(
            f"{folder} is writable by others; no secret is stored there",
            f"chown it to yourself, then chmod 700 {folder}",
        )
    _put(folder / ".gitignore", "*\n")


def _put(path: Path, text: str) -> bool:
    """Write a new file, 0600, whole and safely on disk. False when it was there before. Raises OSError."""
    if path.exists():
        return False
    handle, candidate = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with open(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        return _link(candidate, path)
    finally:
        os.unlink(candidate)


def _link(candidate: str, path: Path) -> bool:
    """Give a finished file its name, unless the name is taken. Raises OSError."""
    try:
        os.link(candidate, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise OSError(error.errno, "this file system has no hard links", str(path)) from None
        raise
    sync(path.parent)
    return True


def sync(folder: Path) -> None:
    """Have the names in a folder safely on disk. Raises OSError."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _refuse_exposed(path: Path, found: os.stat_result) -> None:
    """Raises SettingsError for what is not a file, is not owned by the operator, or that others can read or write."""
    if not stat.S_ISREG(found.st_mode):
        raise SettingsError(f"{path} is not a file", "remove it")
    if found.st_uid != os.geteuid():
        raise SettingsError(f"{path} belongs to another user (uid {found.st_uid})", f"chown {os.geteuid()} {path}")
    if found.st_mode & 0o077:
        raise SettingsError(
            f"{path} is readable or writable by others (mode {stat.S_IMODE(found.st_mode):04o})",
            f"chmod 600 {path}; if others may have read it, remove it instead; the next deploy generates a new one",
        )

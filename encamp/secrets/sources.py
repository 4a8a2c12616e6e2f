"""Where a secret comes from: the environment, a file or a command. Never the inventory itself."""

from __future__ import annotations

import functools
import os
import subprocess
from typing import Any, Literal

from encamp.secrets.vault.values import holds_secret
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.support import environment
from encamp.support.paths import locate

HOW = "write {env: NAME}, {file: path} or {command: [program, argument]}, or encrypt it with ansible-vault"
PLAIN = "must not be in the inventory as plain text"
TIMEOUT_SECONDS = 60


@record
class Source:
    """A place to fetch a secret from. ``value`` is a variable's name, a path, or a program with its arguments."""

    kind: Literal["env", "file", "command"]
    value: str | tuple[str, ...]


def parse(data: Any) -> Source:
    """A source as the inventory writes it. Raises ValueError; the message never repeats what was given."""
    if isinstance(data, str):
        raise ValueError(PLAIN)
    if not isinstance(data, dict) or len(data) != 1:
        raise ValueError("must say where the secret comes from")
    kind, value = next(iter(data.items()))
    if holds_secret(data):
        raise ValueError("has a source that is itself a secret: encrypt the value, not the place where it is")
    if kind in ("env", "file") and isinstance(value, str) and value:
        return Source(kind, str(value))
    if kind == "command" and isinstance(value, list) and value and all(isinstance(word, str) for word in value):
        return Source("command", tuple(str(word) for word in value))
    if kind == "command":
        raise ValueError("has a command that is not a list of strings")
    if kind in ("env", "file"):
        raise ValueError(f"has {kind}: without a value")
    raise ValueError(f"has a source of unknown kind {kind!r}")


@functools.cache
def fetch(source: Source, directory: str = "") -> Secret:
    """The secret, fetched once a run. Files may lie below the current directory or ``directory``.

    One line end is cut off. Raises ValueError, without the secret, when there is none.
    """
    if isinstance(source.value, tuple):
        text = _from_command(source.value)
    elif source.kind == "env":
        text = os.environ.get(source.value, "")
        if not text:
            raise ValueError(f"comes from the environment variable {source.value}, which is not set")
    else:
        text = _from_file(source.value, directory)
    text = text[:-1] if text.endswith("\n") else text
    text = text[:-1] if text.endswith("\r") else text
    if not text:
        raise ValueError("is empty at its source")
    return Secret(text)


def _from_file(path: str, directory: str) -> str:
    found = locate(path, directory)
    try:
        with open(found, encoding="utf-8", newline="") as stream:
            return stream.read()
    except UnicodeDecodeError:
        raise ValueError(f"comes from the file {found}, which is not UTF-8 text") from None
    except OSError as error:
        raise ValueError(f"comes from the file {found}: {error.strerror}") from None


def _from_command(argv: tuple[str, ...]) -> str:
    """What a program prints. It keeps the terminal's input, so that it may ask for a passphrase."""
    try:
        done = subprocess.run(argv, capture_output=True, timeout=TIMEOUT_SECONDS, env=environment.without_passwords())
        if done.returncode == 0:
            return done.stdout.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"comes from the command {argv[0]}, whose output is not UTF-8 text") from None
    except subprocess.TimeoutExpired:
        raise ValueError(f"comes from the command {argv[0]}, which printed none within {TIMEOUT_SECONDS} s") from None
    except OSError as error:
        raise ValueError(f"comes from the command {argv[0]}: {error.strerror}") from None
    last_line = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
    raise ValueError(f"comes from the command {argv[0]}, which exited {done.returncode}: {last_line[0]}")

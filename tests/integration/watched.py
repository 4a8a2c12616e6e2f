"""What tests/lab/watch.py saw, and whether a secret is in it."""

from __future__ import annotations

import base64
import dataclasses
import json
import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import quote

from live import LiveLab

from encamp.support import quoting

#: What a machine may not let the watch see, and what is done without.
LACKS = {
    "starts": "processes are sampled in /proc only, where one that lives for a moment is missed",
    "files": "files are searched after the run only, not while they are written",
    "environments": "environments of other users' processes are not looked at",
}


@dataclasses.dataclass(frozen=True)
class Sample:
    """Something that was seen: arguments or environment of a process, or a file as it was closed."""

    argv: bytes = b""
    environ: bytes = b""
    path: bytes = b""
    data: bytes = b""
    mode: int = 0
    uid: int = 0


class Watch:
    """tests/lab/watch.py over this machine and some hosts, for as long as the context lasts.

    ``lacks``: what it cannot see on this machine, and why; each is a warning, too.
    """

    def __init__(self, lab: LiveLab, hosts: Sequence[str]) -> None:
        inspect = ["docker", "inspect", "-f", "{{.State.Pid}}", *map(lab.lab.container, hosts)]
        pids = subprocess.run(inspect, capture_output=True, text=True, check=True).stdout.split()
        program = str(Path(__file__).resolve().parent.parent / "lab" / "watch.py")
        roots = ["/", *(f"/proc/{pid}/root" for pid in pids)]
        self._command = [sys.executable, program, *roots]
        self.samples: list[Sample] = []
        self.lacks: dict[str, str] = {}

    def __enter__(self) -> Watch:
        self._run = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._run.stdout
        self.lacks = json.loads(self._run.stdout.readline())
        for what, why in self.lacks.items():
            warnings.warn(f"{LACKS[what]} ({why})", stacklevel=2)
        self._reader = threading.Thread(target=self._read, args=(self._run.stdout,), daemon=True)
        self._reader.start()
        return self

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            data = json.loads(line)
            texts = {key: base64.b64decode(value) for key, value in data.items() if isinstance(value, str)}
            self.samples.append(Sample(**{**data, **texts}))

    def __exit__(self, *_: object) -> None:
        assert self._run.stdin
        self._run.stdin.close()
        ended = self._run.wait(60)
        self._reader.join(60)
        assert ended == 0, "the watch failed; is its rule left in `auditctl -l`?"


def forms(secret: str) -> list[bytes]:
    """A secret as it is, and as each format that it travels in writes it."""
    data = secret.encode()
    texts = [secret, quote(secret, safe=""), quote(secret), repr(secret)[1:-1], json.dumps(secret)[1:-1]]
    texts += [json.dumps(secret, ensure_ascii=False)[1:-1], quoting.env_value(secret), quoting.unit_word(secret)]
    texts += [data.hex(), secret.strip(), quoting.compose_string(secret)[1:-1]]
    found = [text.encode() for text in texts]
    for before in range(3):  # base64 of a longer text with the secret in it, such as user:password
        encoded = base64.b64encode(b"\0" * before + data).rstrip(b"=")
        found.append(encoded[(0, 2, 3)[before] : len(encoded) - bool((before + len(data)) % 3)])
    return sorted(set(found))


def holding(data: bytes, secrets: Mapping[str, Sequence[bytes]]) -> list[str]:
    """The names of the secrets that are in it."""
    return [name for name, found in secrets.items() if any(form in data for form in found)]


def processes(samples: Sequence[Sample], secrets: Mapping[str, Sequence[bytes]], services: set[int]) -> list[str]:
    """Secrets in arguments, and in the environment of a process that is no service's."""
    found = []
    for one in samples:
        shown = one.argv[:60].decode("utf-8", "replace").replace("\0", " ")
        found += [f"{name} in an argument: {shown}" for name in holding(one.argv, secrets)]
        if one.uid not in services:
            names = holding(one.environ, secrets)
            found += [f"{name} in the environment of uid {one.uid}: {shown}" for name in names]
    return found


def written(samples: Sequence[Sample], secrets: Mapping[str, Sequence[bytes]], places: Sequence[str]) -> list[str]:
    """Secrets in files, closed during the run, that others may read or that lie where none belongs."""
    found = []
    for one in samples:
        path = one.path.decode("utf-8", "replace").removesuffix(" (deleted)")
        if one.mode & 0o007 or not any(place in path for place in places):
            found += [f"{name} in {path} (mode {one.mode:04o})" for name in holding(one.data, secrets)]
    return found

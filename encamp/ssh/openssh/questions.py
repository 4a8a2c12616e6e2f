"""What ``ssh`` asks, answered from this process: a helper that ssh starts (SSH_ASKPASS) passes each question through a
socket that only this user can reach. No answer is in an argument, in the environment or in a file."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import socket
import sys
import threading
from pathlib import Path

from encamp.errors import EncampError
from encamp.ssh.prompts import asks_password, wants_password
from encamp.ssh.target import Address

#: The helper's variables: where to ask, and for which hop.
SOCKET, HOP = "ENCAMP_ASKPASS", "ENCAMP_ASKPASS_HOP"
#: Variables that ssh gets not: passwords for encamp, and what distributions have it send to hosts (SendEnv LANG LC_*).
_KEPT_BACK = ("ENCAMP_", "SSH_ASKPASS", "LANG", "LC_")
_HELPER = """
import os, signal, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect(os.environ["ENCAMP_ASKPASS"])
hop, kind = os.environ.get("ENCAMP_ASKPASS_HOP", ""), os.environ.get("SSH_ASKPASS_PROMPT", "")
line.sendall("\\n".join([hop, kind, " ".join(sys.argv[1:])]).encode())
line.shutdown(socket.SHUT_WR)
answer = b""
while data := line.recv(4096):
    answer += data
if kind == "none":
    signal.pause()
if not answer.startswith(b"+"):
    sys.exit(1)
sys.stdout.buffer.write(answer[1:] + b"\\n")
"""
_PASSPHRASE = re.compile(r"passphrase for (?:key )?'?(.+?)'?: *$")


class Questions:
    """Answers for one host. ``answers`` False: there is nothing to answer with, and ssh must not ask."""

    def __init__(self, address: Address, folder: Path) -> None:
        policy = address.policy
        self._address, self._folder = address, folder
        self._offered = False  # the password
        self._server: socket.socket | None = None
        self.answers = bool(policy.password or policy.passphrases or policy.ask)
        #: What was asked and had no answer.
        self.unanswered: list[str] = []

    def begin(self) -> None:
        """Be ready for a log-in: what was offered in the one before may be offered again."""
        self._offered, self.unanswered = False, []
        if not self.answers or self._server:
            return
        helper, script = self._folder / "helper.py", self._folder / "askpass"
        helper.write_text(_HELPER, "utf-8")
        script.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-I", "-S", str(helper)])} "$@"\n', "utf-8")
        script.chmod(0o700)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self._folder / "questions"))  # in a folder that only this user may enter
        self._server.listen()
        threading.Thread(target=self._serve, args=(self._server,), daemon=True).start()

    def environment(self) -> dict[str, str]:
        """For ssh. A version before 8.4 asks by the helper only where DISPLAY is set and it has no terminal."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(_KEPT_BACK)}
        if not self.answers:
            return env
        helper = {"SSH_ASKPASS": str(self._folder / "askpass"), "SSH_ASKPASS_REQUIRE": "force"}
        return {"DISPLAY": ":0", **env, **helper, SOCKET: str(self._folder / "questions")}

    def close(self) -> None:
        if self._server:
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            self._server.close()

    def _serve(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = server.accept()
                with line, contextlib.suppress(OSError):
                    line.sendall(self._reply(line))

    def _reply(self, line: socket.socket) -> bytes:
        question = b""
        while data := line.recv(4096):
            question += data
        hop, kind, prompt = question.decode("utf-8", "replace").split("\n", 2)
        if kind == "none":  # a request, such as to touch a key
            if self._address.policy.ask:
                sys.stderr.write(f"{self._address.route[-1].name}: {prompt.strip()}\n")
            return b""
        answer = self._answer(hop, prompt)
        return b"-" if answer is None else b"+" + answer.encode()

    def _answer(self, hop: str, prompt: str) -> str | None:
        policy, route = self._address.policy, self._address.route
        key = _PASSPHRASE.search(prompt)
        if key and key[1] in policy.passphrases:
            return policy.passphrases[key[1]].reveal()
        asking = route[int(hop)] if hop.isdecimal() else route[-1]
        if not key and asking is route[-1] and policy.password and not self._offered and wants_password(prompt):
            self._offered = True
            return policy.password.reveal()
        again = self._offered and asks_password(prompt)
        if policy.ask and not again:
            with contextlib.suppress(EOFError, EncampError, OSError):
                return policy.ask(f"{asking.user}@{asking.place}: {prompt.strip()} ", False)
        if not again:
            self.unanswered.append(prompt.strip())
        return None

"""One exec on an open SSH connection: boots the agent and talks to it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterator
from typing import Protocol

from encamp.shared.record import replace
from encamp.shared.wire import BlobStore
from encamp.transport import bundle, knock
from encamp.transport.events import AgentEvent, HostEvent
from encamp.transport.launch import LaunchSpec, agent_command, install_command
from encamp.transport.launch_errors import NeedsTerminal, NoPython
from encamp.transport.session import Channel, Session
from encamp.transport.traffic import Traffic

#: How long a package manager may be silent.
INSTALL_TIMEOUT = 600.0
#: The events that end a run.
LAST = ("done", "crash")


class Link(Protocol):
    """An open way to a host, SSH or local. ``note``: what a reader should know of this way; empty for nothing."""

    note: str

    def execute(self, command: str) -> Channel:
        """Start a command in a session of its own."""
        ...

    def close(self) -> None: ...


def run_agent(
    link: Link,
    remote: LaunchSpec,
    payload: bundle.Payload,
    store: BlobStore,
    traffic: Traffic,
    doors: Collection[tuple[str, int]] = (),
) -> Iterator[HostEvent]:
    """Boot the agent on an open link, send ``payload``, answer its requests, yield its events.

    ``doors``: addresses and ports where the agent may let this machine connect.

    Raises Unreachable when the link dies or falls silent, AgentEnded when the agent does, BecomeRefused when root is
    refused, HostFailed when there is no usable Python.
    """
    notes: list[str] = [link.note] if link.note else []
    ended = False
    sent: set[str] = set()
    session = _booted(link, remote, traffic, notes)
    try:
        for text in notes:
            yield {"event": "note", "text": text}
        session.send(payload.beyond(session.kept))
        for line in session.lines():
            event: AgentEvent = json.loads(line)
            ended = ended or event["event"] in LAST
            if event["event"] == "need":
                yield from session.send_blob(store.get(event["sha256"]))
            elif event["event"] == "import":
                sent = sent or payload.modules
                found = bundle.on_demand(event["module"], sent)
                sent.update(found)
                yield from session.send_blob(json.dumps(found).encode())
            elif event["event"] == "knock":
                yield from session.send_blob(knock.answer(event["address"], event["port"], doors))
            elif event["event"] == "alive":
                session.send(b"\n")  # so that the agent, too, knows that it is not alone
            else:
                yield event
        if not ended:
            raise session.cut_short()
    finally:
        session.close()


def _booted(link: Link, remote: LaunchSpec, traffic: Traffic, notes: list[str]) -> Session:
    """A session with an agent that is ready. Hosts that want it otherwise cost an exec more: sudo that insists on a
    terminal or does not look where Python is, and no Python at all."""
    try:
        return _started(link, remote, traffic)
    except NeedsTerminal:
        if remote.terminal:
            raise
        return _booted(link, replace(remote, terminal=True), traffic, notes)
    except NoPython:
        if remote.become and "/" not in remote.python:
            return _booted(link, replace(remote, python=f"/usr/bin/{remote.python}"), traffic, notes)
        if not remote.bootstrap:
            raise
        _install_python(link, remote, traffic)
        notes.append("python3 was missing and has been installed (bootstrap_python)")
        return _booted(link, replace(remote, bootstrap=False), traffic, notes)


def _started(link: Link, remote: LaunchSpec, traffic: Traffic) -> Session:
    prompt = _prompt()
    session = Session(link.execute(agent_command(remote, prompt)), remote, prompt, traffic)
    try:
        session.await_ready()
    except BaseException:
        session.close()
        raise
    return session


def _install_python(link: Link, remote: LaunchSpec, traffic: Traffic) -> None:
    """Raises HostFailed, with the output of the package manager."""
    prompt = _prompt()
    session = Session(link.execute(install_command(remote, prompt)), remote, prompt, traffic)
    try:
        session.await_end(INSTALL_TIMEOUT)
    finally:
        session.close()


def _prompt() -> str:
    """What sudo is to ask with: nothing else on the host can say the same by chance."""
    return f"[encamp {secrets.token_hex(8)}] "

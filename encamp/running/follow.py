"""Hosts that are listened to until Ctrl-C: a link that drops is opened again, and the host goes on where it was."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from encamp.errors import EncampError, Unreachable
from encamp.output.listener import Listener
from encamp.output.outcome import Failure, Outcome
from encamp.planning import plan
from encamp.planning.job import Job, RunIdentity
from encamp.planning.plan import HostPlan
from encamp.running import host_failures
from encamp.running.connectors import Connector
from encamp.shared.wire import BlobStore
from encamp.transport import bundle
from encamp.transport.agent_exec import Link, run_agent
from encamp.transport.events import HostEvent

#: Seconds between two attempts to open a link again: the first, and at most.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0
PATIENCE_SECONDS = 3.0
Position = Mapping[str, str]


class Follower:
    """Listens to hosts. ``plan_of`` makes a host's plan for a position, which its events have named (at first: none).

    ``lost`` is told of a link that dropped, with the reason; ``listener`` gets every event.
    """

    def __init__(
        self,
        connector: Connector,
        identity: RunIdentity,
        plan_of: Callable[[str, Position], HostPlan],
        listener: Listener,
        lost: Callable[[str, str], None],
    ) -> None:
        self._connector, self._identity, self._plan_of = connector, identity, plan_of
        self._listener, self._lost = listener, lost
        self._stopped = threading.Event()
        self._links: dict[str, Link] = {}

    def run(self, hosts: Sequence[str]) -> list[Outcome]:
        """Listen until every host has failed. Raises KeyboardInterrupt, with all links closed: agents end then."""
        outcomes = [Outcome(host) for host in hosts]
        self._listener.expect(outcomes)
        threads = [threading.Thread(target=self._host, args=(outcome,), daemon=True) for outcome in outcomes]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                time.sleep(0.2)  # not join: an interrupt that another thread got is seen after this
        except KeyboardInterrupt:
            self._stopped.set()
            for link in list(self._links.values()):
                link.close()
            deadline = time.monotonic() + PATIENCE_SECONDS
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            raise
        return outcomes

    def _host(self, outcome: Outcome) -> None:
        """Listen to one host. Never raises: no host may end another's part."""
        position: dict[str, str] = {}
        pause, started = FIRST_PAUSE, time.monotonic()
        while not self._stopped.is_set():
            before = dict(position)
            try:
                self._listen(outcome, position)
                if outcome.failure:
                    outcome.status = "failed"
                    break
            except Unreachable as error:
                if not position:  # it was never heard: not a link that dropped
                    outcome.status, outcome.failure = host_failures.of_error(error, outcome, False)
                    break
                pause = FIRST_PAUSE if position != before else min(pause * 2, LONGEST_PAUSE)
                if not self._stopped.is_set():
                    self._lost(outcome.host, error.message)
                    self._stopped.wait(pause)
            except Exception as error:
                outcome.status, outcome.failure = host_failures.of_error(error, outcome, self._stopped.is_set())
                break
        outcome.seconds = time.monotonic() - started
        if not self._stopped.is_set():
            self._listener.ended(outcome)

    def _listen(self, outcome: Outcome, position: dict[str, str]) -> None:
        """One session. Raises Unreachable when the link drops, EncampError when the host cannot be listened to."""
        store, host_plan = BlobStore(), self._plan_of(outcome.host, position)
        job = Job(host_plan, self._identity, check=True)
        payload = bundle.pack(job.wire(store), plan.third_party(host_plan))
        link = self._links[outcome.host] = self._connector.open(outcome.host)
        try:
            if self._stopped.is_set():
                raise Unreachable("stopped")
            events = run_agent(link, self._connector.launch_spec(outcome.host), payload, store, outcome.traffic)
            for event in whole(events):
                self._take(outcome, event, position)
        finally:
            link.close()
            self._links.pop(outcome.host, None)

    def _take(self, outcome: Outcome, event: HostEvent, position: dict[str, str]) -> None:
        if event["event"] == "log":
            position.update(event["position"])
        elif event["event"] == "step" and event["status"] == "failed":
            outcome.failure = Failure.of_step(event)
        elif event["event"] == "crash":
            raise EncampError(event["reason"])
        self._listener.event(outcome.host, event)


def whole(events: Iterable[HostEvent]) -> Iterator[HostEvent]:
    """Events, with lines kept back until the batch that has their position: if the link drops before it, the host sends
    them all again.
    """
    kept: list[HostEvent] = []
    for event in events:
        if event["event"] != "log":
            yield event
            continue
        kept.append(event)
        if event["position"]:
            yield from kept
            kept.clear()

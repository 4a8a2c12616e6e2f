"""Verification of an HTTP address's answer."""

from __future__ import annotations

from typing import Any, ClassVar, Sequence

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.system import HttpAnswer, Reader, System


@kind
class HttpProbe(Resource):
    """An HTTP address that answers with ``status`` and, if given, with ``contains`` in its body.

    ``method`` and ``body`` (sent as JSON): the request. ``timeout``: seconds to wait for the right answer. ``unit``:
    the service behind it, whose last journal lines a failure shows. ``ca_file``: CA certificates for an https address;
    empty: the system's trust store.
    """

    changes_host: ClassVar[bool] = False
    waits: ClassVar[bool] = True

    url: str
    status: int = 200
    contains: str = ""
    method: str = "GET"
    body: Any = None
    timeout: float = 60
    unit: str = ""
    ca_file: str = ""

    def check(self, host: Reader) -> list[Change]:
        problem = self._problem(host)
        return [Change("answers", problem, f"HTTP {self.status}")] if problem else []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        host.progress(f"waiting for {self.url}")
        problem = host.wait_for(lambda: self._problem(host), self.timeout, done=lambda problem: not problem)
        if problem:
            raise self._failure(host, problem)

    def _problem(self, host: Reader) -> str:
        """What is wrong with the answer; empty when nothing is."""
        answer = host.http(self.method, self.url, self.body, ca_file=self.ca_file)
        if answer.status != self.status:
            return _describe(answer)
        if self.contains and self.contains not in answer.body.decode("utf-8", "replace"):
            return f"HTTP {answer.status} without {self.contains!r}"
        return ""

    def _failure(self, host: Reader, problem: str) -> Failure:
        from encamp.resources.systemd.journal import journal_tail

        detail = journal_tail(host, self.unit) if self.unit else ""
        reason = f"{self.method} {self.url}: {problem}; expected HTTP {self.status} within {self.timeout:g} s"
        return Failure(reason, "the service is not running, or listens on another address", detail=detail)


def _describe(answer: HttpAnswer) -> str:
    return f"HTTP {answer.status}" if answer.status else answer.error or "no answer"

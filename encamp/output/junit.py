"""``--junit FILE``: the run as JUnit XML, which CI systems show: a host is a test suite, a step a test case.

The elements are those that the readers of Jenkins and GitLab know: testsuites, testsuite, testcase, failure, error,
skipped, system-out.
"""

from __future__ import annotations

import datetime
import re
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from encamp.errors import UsageError
from encamp.output.listener import Head, Listener, Recap, RunError
from encamp.output.outcome import NOT_REACHED, Failure, Outcome
from encamp.output.terminal import report
from encamp.output.text import change_text, failure_lines
from encamp.support import atomic_file
from encamp.transport.events import HostEvent, StepEvent

#: What XML 1.0 has no way to write (section 2.2, "Characters").
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class JUnit(Listener):
    """Writes the file when the run ends, however it ends; whole or not at all.

    Until then it says that the run has not ended: a CI job that is killed must not show the file of an earlier run.
    ``append`` where an earlier run of the same command has written the file: its suites stay. Raises UsageError.
    """

    def __init__(self, path: str, append: bool = False) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._steps: dict[str, list[StepEvent]] = {}
        unfinished = _suite("encamp", [_case("encamp", "run", "error", "the run is not finished, or was killed")])
        try:
            self._before: list[ET.Element] = list(ET.parse(path).getroot()) if append else []
            atomic_file.write(path, _document([*self._before, unfinished]), 0o644)
        except OSError as error:
            raise UsageError(f"--junit {path}: {error.strerror}", "name a file in a directory that exists") from None
        except ET.ParseError:
            raise UsageError(f"--junit {path}: this file was written by another program", "name another file") from None

    def event(self, host: str, event: HostEvent) -> None:
        if event["event"] == "step":
            with self._lock:
                self._steps.setdefault(host, []).append(event)

    def close(self, recap: Recap) -> None:
        hosts: dict[str, Outcome] = {}
        for outcome in recap.outcomes:
            if outcome.host not in hosts or hosts[outcome.host].status == "ok":  # several parts: as its worst
                hosts[outcome.host] = outcome
        suites = [self._host(recap.head, outcome) for outcome in hosts.values()]
        if recap.error or not suites:
            error = recap.error or RunError("no host was reached")
            case = _case(recap.head.command, recap.head.command, "error", error.reason, error.fix)
            suites.append(_suite("encamp", [case]))
        try:
            atomic_file.write(self._path, _document([*self._before, *suites]), 0o644)
        except OSError as error:
            report(f"warning: --junit {self._path}: {error.strerror}", sys.stderr)

    def _host(self, head: Head, outcome: Outcome) -> ET.Element:
        name = f"{head.command}.{outcome.host}"
        cases = [_step(name, event, outcome, head.check) for event in self._steps.get(outcome.host, [])]
        if outcome.status == NOT_REACHED:
            cases += [_case(name, stage, "skipped", NOT_REACHED) for stage in outcome.left or (head.command,)]
        elif outcome.status not in ("ok", "failed") or not any(case.find("failure") is not None for case in cases):
            cases += _whole_host(name, outcome)
        suite = _suite(outcome.host, cases, outcome.seconds)
        if outcome.notes:
            ET.SubElement(suite, "system-out").text = _legal("\n".join(outcome.notes))
        return suite


def _whole_host(name: str, outcome: Outcome) -> list[ET.Element]:
    """A case for what befell the host between its steps: no connection, no root, a lock, an interrupt."""
    if outcome.status == "ok":
        return []
    text = "\n".join(failure_lines(outcome))
    failure = outcome.failure or Failure("", outcome.status)
    kind = "failure" if outcome.status == "failed" else "error"
    return [_case(name, failure.step or "connect", kind, failure.reason, text, outcome.status)]


def _step(name: str, event: StepEvent, outcome: Outcome, check: bool) -> ET.Element:
    if event["status"] == "failed":
        failure = Failure.of_step(event)
        lines = failure_lines(Outcome(outcome.host, "failed", failure=failure))
        case = _case(name, failure.step, "failure", failure.reason, "\n".join(lines), "failed")
    else:
        case = _case(name, event["step"])
        if event["changes"]:
            word = "would change" if check else "changed"
            texts = [f"{word}: {change_text(change)}\n{change['diff']}".strip() for change in event["changes"]]
            ET.SubElement(case, "system-out").text = _legal("\n".join(texts))
    case.set("time", f"{event['seconds']:.3f}")
    return case


def _case(suite: str, name: str, kind: str = "", message: str = "", text: str = "", sort: str = "") -> ET.Element:
    case = ET.Element("testcase", classname=_legal(suite), name=_legal(name), time="0.000")
    if kind:
        found = ET.SubElement(case, kind, message=_legal(message))
        found.text = _legal(text) or None
        if kind != "skipped":
            found.set("type", sort or kind)
    return case


def _suite(name: str, cases: Sequence[ET.Element], seconds: float = 0.0) -> ET.Element:
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    suite = ET.Element("testsuite", name=_legal(name), time=f"{seconds:.3f}", timestamp=now)
    _count(suite, cases)
    suite.extend(cases)
    return suite


def _document(suites: Sequence[ET.Element]) -> bytes:
    root = ET.Element("testsuites", name="encamp")
    _count(root, [case for suite in suites for case in suite.findall("testcase")])
    root.extend(suites)
    ET.indent(root)
    data: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def _count(element: ET.Element, cases: Sequence[ET.Element]) -> None:
    element.set("tests", str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(case.find(tag) is not None for case in cases)))


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)

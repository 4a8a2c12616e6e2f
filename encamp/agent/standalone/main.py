"""The entry of a script that ``fab configure-client --script`` writes: it does on a laptop what a run over SSH does.

The archive holds the sources, and ``job.json``: the steps, those of ``--undo``, and which secrets to ask for. No secret
is in it, and none is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import zipfile
from typing import Any

from encamp.agent.standalone.questions import answers, filled_in
from encamp.agent.system import Host
from encamp.resources.base import Failure, Resource
from encamp.shared.secret import Redactor
from encamp.shared.wire import Blob, from_wire

JOB = "job.json"


def main(archive: str) -> int:
    """Carry out the job of an archive, or undo it. Returns the exit code: 0, 2 for a failed step, 130 for Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):  # a console of Windows lacks most characters
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    with zipfile.ZipFile(archive) as opened:
        job: dict[str, Any] = json.loads(opened.read(JOB))
    options = _options(job)
    try:
        return _run(job, options)
    except KeyboardInterrupt:
        print("\nstopped: run it again to finish", file=sys.stderr)
        return 130


def _options(job: dict[str, Any]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=f"{job['about']} Written by encamp {job['version']}.")
    parser.add_argument("--undo", action="store_true", help="restore exactly what was there before")
    parser.add_argument("--check", action="store_true", help="change nothing; report what would change")
    return parser.parse_args()


def _run(job: dict[str, Any], options: argparse.Namespace) -> int:
    """Ask for the secrets that the steps need, then run them."""
    if _is_root_for_another():
        name = os.environ.get("SUDO_USER", "the user")
        print(f"failed   sudo runs this as root, and it is for the user who runs it: run it as {name}", file=sys.stderr)
        return 2
    steps = job["undo"] if options.undo else job["steps"]
    given = answers([] if options.undo else job["questions"])
    if given is None:
        return 2
    run = Run(Redactor(given), options.check)
    for step in filled_in(steps, given):
        if not run.step(from_wire(step)):
            return 2
    run.end()
    return 0


def _is_root_for_another() -> bool:
    """Whether sudo made root of another user: root's profile would be written, which nobody uses."""
    return os.environ.get("SUDO_UID", "0") != "0" and os.geteuid() == 0


class Run:
    """Steps in order on this machine: check, apply what differs, check again. What is printed holds no secret."""

    def __init__(self, redact: Redactor, check_only: bool) -> None:
        self._redact, self._check_only = redact, check_only
        self._changed = 0
        self._host = this_machine(self)

    def step(self, resource: Resource) -> bool:
        """Converge one resource; whether that succeeded."""
        try:
            self._converge(resource)
        except Failure as failure:
            self._report_failure(resource, failure)
        except Exception as error:
            import traceback

            bug = f"{type(error).__name__}: {error}"
            self._report_failure(resource, Failure(bug, "a bug in encamp", detail=traceback.format_exc()))
        else:
            return True
        return False

    def _converge(self, resource: Resource) -> None:
        changes = resource.check(self._host)
        if not changes or (self._check_only and not resource.changes_host):
            return
        if not self._check_only:
            resource.apply(self._host, changes)
            self._host.forget()
            left = resource.check(self._host)
            if left:
                raise Failure("applied, but still not as declared: " + "; ".join(map(str, left)))
        if resource.changes_host:
            self._changed += 1
            for change in changes:
                self.line("would" if self._check_only else "changed", str(change))

    def end(self) -> None:
        """Say how it ended."""
        self.line("ok", f"{self._changed or 'no'} step(s) {'would change' if self._check_only else 'changed'}")

    def _report_failure(self, resource: Resource, failure: Failure) -> None:
        self.line("failed", f"{resource.id}: {failure.reason}")
        refused = "HTTP 401" in failure.reason
        fix = "run this again, and type the login as you were given it" if refused else failure.fix
        for title, text in (("cause", failure.cause), ("fix", fix), ("", failure.detail)):
            if text:
                self.line("", f"{title}: {text}" if title else text)
        self.line("", "the steps after it did not run")

    def line(self, word: str, text: str) -> None:
        """Print one line."""
        print(self._redact(f"{word:<8} {text}".rstrip()), flush=True)

    def hear(self, kind: str, text: str, *_: Any) -> None:
        """What a step reports; how far it is goes unsaid."""
        if kind in ("note", "progress"):
            self.line("note" if kind == "note" else "...", text)


def this_machine(run: Run) -> Host:
    """The host as resources see it."""
    if os.name == "nt":
        from encamp.agent.standalone.windows import WindowsHost

        return WindowsHost(_no_blob, run.hear)
    return Host(_no_blob, run.hear)


def _no_blob(blob: Blob) -> bytes:
    """A script has no controller to fetch from: what it needs is in its job. Raises Failure."""
    raise Failure(f"content {blob.sha256} is not in this script")

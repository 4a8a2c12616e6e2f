"""The wrapper of workers, with a Prefect whose good-bye is as bad as one that was seen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

WRAPPER = Path(__file__).resolve().parents[4] / "templates" / "prefect_worker" / "draining.py"
#: A worker that polls until Ctrl-C, and then keeps the interpreter's lock for ever.
BASE = "class BaseWorker:\n    async def get_and_submit_flow_runs(self): return []\n"
COMMAND = """
import collections, itertools, time

def main():
    print("polling", flush=True)
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        collections.deque(itertools.repeat(0), maxlen=0)
"""
#: As systemd starts it, whatever this test run inherited: a shell lets what it starts with & ignore SIGINT.
STARTS = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
found = runpy.run_path(sys.argv.pop(1))
globals_of_finish = found["Drain"].finish.__globals__
globals_of_finish.update(LAST_REPORT=0.1, GOODBYE=1, HANGING=1)
found["main"]()
"""


def fake_prefect(folder: Path) -> None:
    """A package ``prefect`` of that kind, with the entry point that the wrapper looks for."""
    files = {
        "prefect/__init__.py": "",
        "prefect/workers/__init__.py": "",
        "prefect/workers/base.py": BASE,
        "prefect/utilities/__init__.py": "",
        "prefect/utilities/processutils.py": "",
        "prefect/cli.py": COMMAND,
        "prefect-0.dist-info/METADATA": "Metadata-Version: 2.1\nName: prefect\nVersion: 0\n",
        "prefect-0.dist-info/entry_points.txt": "[console_scripts]\nprefect = prefect.cli:main\n",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def test_a_worker_that_hangs_at_its_good_bye_ends_all_the_same(tmp_path: Path) -> None:
    fake_prefect(tmp_path)
    worker = subprocess.Popen(
        [sys.executable, "-c", STARTS, str(WRAPPER), "worker", "start"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert worker.stdout and worker.stdout.readline() == b"polling\n"
        worker.send_signal(signal.SIGTERM)
        # By the signal that its unit takes for success (SuccessExitStatus=).
        assert worker.wait(60) == -signal.SIGALRM
    finally:
        worker.kill()

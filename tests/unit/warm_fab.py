"""``fab`` as an operator runs it, from a process that has imported its modules: most of a short run is that.

The process forks for each run; from there on all is as in ``fab`` itself, from the arguments to the exit code. Tests of
what belongs to the start (the interpreter's options, closed streams) start ``fab`` itself.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from tests.checkout import CHECKOUT

FAB = Path(sys.executable).with_name("fab")


def fab(*arguments: str, env: Mapping[str, str], text: str = "") -> subprocess.CompletedProcess[str]:
    """Run fab in the checkout; ``env`` is its whole environment, ``text`` its standard input."""
    with tempfile.TemporaryDirectory() as name:
        streams = [Path(name, stream) for stream in ("stdin", "stdout", "stderr")]
        streams[0].write_text(text, "utf-8")
        order = {"argv": [str(FAB), *arguments], "env": dict(env), "streams": list(map(str, streams))}
        process = _process()
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        out, err = (stream.read_text("utf-8") for stream in streams[1:])
    return subprocess.CompletedProcess(order["argv"], code, out, err)


@functools.cache
def _process() -> subprocess.Popen[str]:
    """The process that forks: one for this process of tests. It ends with its standard input."""
    command = [sys.executable, "-m", __name__]
    return subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _serve() -> None:
    """Fork for each order of standard input, and tell its exit code."""
    from encamp import commands, program  # noqa: F401

    for module in pkgutil.iter_modules(commands.__path__, f"{commands.__name__}."):
        importlib.import_module(module.name)
    gc.freeze()  # a collection in a fork would copy all that is shared
    with open(os.dup(0), encoding="utf-8") as orders:  # sys.stdin is for the forks
        for line in orders:
            child = os.fork()
            if child == 0:
                _become_fab(**json.loads(line))
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become_fab(argv: list[str], env: dict[str, str], streams: list[str]) -> NoReturn:
    """In the fork: run fab with arguments, environment and standard streams of its own."""
    from encamp.program import fab as program

    for number, stream in enumerate(streams):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT if number else os.O_RDONLY), number)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = argv
    sys.exit(program())


if __name__ == "__main__":
    _serve()

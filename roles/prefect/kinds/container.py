"""Programs inside a server's container: where Prefect is in an image, the host has no interpreter to import it."""

from __future__ import annotations

from typing import Mapping, Sequence, Union

from encamp.resources.system import Reader, Result
from encamp.shared.secret import Secret

#: Where the stack mounts the program that runs a command with the server's settings.
START = "/run/encamp/start.py"
#: Writes the script, which comes by standard input, to a directory of its own, runs it as a program, and removes it.
LOADER = """\
import os, runpy, shutil, sys
directory, name = sys.argv[1:3]
sys.argv[:3] = [os.path.join(directory, name)]
os.makedirs(directory, 0o700)
try:
    with open(sys.argv[0], "w") as file:
        file.write(sys.stdin.read())
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    shutil.rmtree(directory, ignore_errors=True)
"""


def with_settings(container: str, argv: Sequence[str]) -> list[str]:
    """The command that runs ``argv`` in a container with the server's own settings, which it reads from their file."""
    return ["docker", "exec", "--interactive", container, "python", START, *argv]


def run_script(
    host: Reader,
    container: str,
    text: str,
    argv: list[str],
    environment: Mapping[str, Union[str, Secret]],
    timeout: float,
) -> Result:
    """Run the Python program ``text`` in a container; ``argv`` is interpreter, directory, file name and arguments.

    Variables go by their names: `docker exec` takes the values from its own environment, so that none is in its argv.
    """
    names = [word for name in environment for word in ("--env", name)]
    python, *words = argv
    command = ["docker", "exec", "--interactive", *names, container, python, "-B", "-c", LOADER, *words]
    return host.query(command, text, environment, timeout=timeout)

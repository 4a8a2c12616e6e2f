"""Running uv on the host: without users' configuration, and with retries for network errors."""

from __future__ import annotations

import time
from typing import Mapping, Optional, Sequence, Union

from encamp.resources.base import CommandFailed, Failure
from encamp.resources.files.paths import expand
from encamp.resources.proxy import Proxy
from encamp.resources.system import Reader, System
from encamp.shared.secret import Secret

TRIES = 3
Environment = Mapping[str, Union[str, Secret]]


def environment(
    host: Reader, cache: str, ca_file: str = "", proxy: Optional[Proxy] = None
) -> dict[str, Union[str, Secret]]:
    """uv's environment variables. ``cache``: its cache directory. ``ca_file``: as in PythonEnv."""
    chosen: dict[str, Union[str, Secret]] = {
        "HOME": cache,
        "UV_CACHE_DIR": cache,
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_HTTP_TIMEOUT": "60",
        "UV_HTTP_RETRIES": "3",
        "UV_COMPILE_BYTECODE_TIMEOUT": "600",
        "UV_SYSTEM_CERTS": "true",
    }
    if ca_file:
        from encamp.resources.python.simple_index import ca_path

        chosen["SSL_CERT_FILE"] = ca_path(host, ca_file)
    return {**chosen, **(proxy.variables if proxy else {})}


def from_folder(path: str) -> dict[str, str]:
    """uv's environment variables for packages from a folder of wheels, without a network."""
    return {"UV_NO_INDEX": "1", "UV_OFFLINE": "1", "UV_FIND_LINKS": path}


def run(host: System, uv: str, arguments: Sequence[str], known: Environment, stdin: str = "") -> None:
    """Run uv, again after network errors. Raises CommandFailed with uv's output."""
    from encamp.resources.python.uv.errors import is_network

    argv = [*_dies_with_us(host), expand(host, uv), *arguments, "--no-config", "--no-progress", "--color", "never"]
    for attempt in range(1, TRIES + 1):
        try:
            host.run(argv, stdin, known, timeout=1800)
            return
        except CommandFailed as failed:
            if attempt == TRIES or not is_network(failed.result):
                raise
        host.progress(f"network error; attempt {attempt + 1} of {TRIES}")
        time.sleep(3 * attempt)
    raise Failure("uv was not run")


def _dies_with_us(host: Reader) -> tuple[str, ...]:
    """A command prefix that kills uv when the agent dies: it would otherwise write into the next run's environment."""
    setpriv = host.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL") if setpriv else ()

"""The test flow of a verification: one task, one log line, and a check of the API that it would use."""

from __future__ import annotations

#: File that holds the flow, and its entry point for a worker.
FILE = "encamp_proof.py"
ENTRYPOINT = f"{FILE}:proof"
#: The package that a flow with a requirement imports.
PACKAGE = "encamp_proof_package"
#: What the script prints, before a URL, when Prefect would use another API than the one to verify.
OTHER_API = "ENCAMP-OTHER-API"
NO_URL = "none"
OTHER_API_CODE = 3

SCRIPT = '''\
"""Written by encamp to verify that flow runs arrive; removed after it ran."""
import inspect
import sys

from prefect import flow, get_run_logger, task
%(import)s
# No result is to be left behind; the first releases of Prefect 2 do not know the option.
OPTIONS = {"persist_result": False} if "persist_result" in inspect.signature(task).parameters else {}


@task(name="encamp proof task", **OPTIONS)
def prove():
    return "proven"


@flow(name=%(name)r, **OPTIONS)
def proof():
    get_run_logger().info(%(token)r)
    return prove()


def main():
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value() or ""
    if url.rstrip("/") != sys.argv[1].rstrip("/"):
        print(%(marker)r, url or %(no_url)r)
        sys.exit(%(code)d)
    proof()


if __name__ == "__main__":
    main()
'''


def script(name: str, token: str, requires: bool = False) -> str:
    """The flow as Python source. ``name`` is the flow's name on the server, ``token`` its log line.

    ``requires``: it needs ``PACKAGE``.

    Run as ``python FILE API_URL`` it first compares the URL that Prefect resolved, so that no run strays to a
    temporary server; imported by a worker it only defines the flow.
    """
    words = {"name": name, "token": token, "marker": OTHER_API, "no_url": NO_URL, "code": OTHER_API_CODE}
    return SCRIPT % {**words, "import": f"import {PACKAGE}\n" if requires else ""}

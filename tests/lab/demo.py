#!/usr/bin/env python3
"""The demo: a Debian host becomes a Prefect server over SSH, a second one its client, and a flow run goes from one to
the other. Every command is shown as an operator would type it; the hosts stay up to look at.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import lab as machinery
from layout import CHECKOUT, Lab
from shell import LabError

SERVER, CLIENT = "vm1", "laptop1"
FAB = str(CHECKOUT / ".venv" / "bin" / "fab")
SITE = "tests/lab/inventory"
PYTHON = ".local/share/encamp/prefect/bin/python"
FLOW = """
from prefect import flow, get_run_logger, task

@task
def add(a, b):
    return a + b

@flow
def hello_from_the_laptop():
    get_run_logger().info("2 + 2 = %s", add(2, 2))

state = hello_from_the_laptop(return_state=True)
print("flow run id:", state.state_details.flow_run_id)
"""


def main() -> int:
    """Run the demo. Returns 0, or what the first command that failed returned."""
    lab = Lab.from_environment()
    started = time.monotonic()
    try:
        machinery.up(lab, [SERVER, CLIENT])
        for command in (
            ["-H", SERVER, "deploy", "--inventory", SITE],
            ["-H", CLIENT, "configure-client", "--install", "--inventory", SITE],
        ):
            code = fab(*command)
            if code:
                return code
        flow_run_id = run_flow(lab)
        verify(lab, flow_run_id)
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    farewell(lab, time.monotonic() - started)
    return 0


def fab(*arguments: str) -> int:
    """Run fab with its output on this terminal."""
    say(f"fab {' '.join(arguments)}")
    return subprocess.run([FAB, *arguments], cwd=CHECKOUT, stdin=subprocess.DEVNULL, check=False).returncode


def run_flow(lab: Lab) -> str:
    """Run a flow on the laptop, by its profile alone. Returns the flow run's id, as the flow printed it."""
    say(f"on {CLIENT}: python hello.py   (PREFECT_API_URL is not set; the profile decides)")
    output = machinery.output_of(lab, CLIENT, f"cat > hello.py && {PYTHON} hello.py 2>&1", FLOW)
    print(output.rstrip())
    for line in output.splitlines():
        if "flow run id:" in line:
            return line.split("flow run id:")[1].strip()
    raise LabError("the flow printed no flow run id")


def verify(lab: Lab, flow_run_id: str) -> None:
    """Read the flow run back from the hosted API, and count it in Postgres. Raises LabError when it is not there."""
    url = f"{public_url(lab)}/api/flow_runs/{flow_run_id}"
    say(f"on {CLIENT}: curl {url}")
    answer = json.loads(machinery.output_of(lab, CLIENT, f"curl -sS --fail {url}"))
    query = f"SELECT count(*) FROM flow_run WHERE id = '{flow_run_id}'"
    say(f'on {SERVER}: sudo -u postgres psql prefect -c "{query}"')
    count = machinery.output_of(lab, SERVER, "sudo -u postgres psql -XAt prefect", query).strip()
    if answer["id"] != flow_run_id or count != "1":
        raise LabError(f"the flow run is not on the server: API {answer.get('id')}, Postgres count {count}")
    print(
        f"\nVERIFIED: flow run {flow_run_id} ({answer['name']}), started on {CLIENT}, is {answer['state']['name']} "
        f"in the hosted API, and {count} row in Postgres on {SERVER}"
    )


def farewell(lab: Lab, seconds: float) -> None:
    """Where to look, and how to end it."""
    print(f"\nThe UI:   {public_url(lab)}   (from this machine; the demo took {seconds:.0f} s)")
    print(f"Log in:   ssh -F {lab.ssh_config.relative_to(CHECKOUT)} {SERVER}")
    print("Again:    .venv/bin/fab deploy --inventory tests/lab/inventory   (changes nothing)")
    print("Remove:   make demo-down")


def public_url(lab: Lab) -> str:
    return f"http://{lab.address(SERVER)}:4200"


def say(text: str) -> None:
    print(f"\n$ {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

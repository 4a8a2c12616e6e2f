"""Load from a laptop of the lab: programs that count at their end what they asked, and what came of it."""

from __future__ import annotations

import json
import time
from typing import Any

from live import LiveLab

LAPTOP = "laptop1"
PYTHON = "/home/dev/.local/share/encamp/prefect/bin/python"
#: Four clients that keep their connections, and reuse them without a look: the least forgiving ones. They never retry.
RAW = r"""
import http.client, json, os, sys, threading, time
host, port = sys.argv[1].split(":")
found = {"answered": 0, "shut": [], "failed": [], "longest": 0.0}
lock = threading.Lock()

def client():
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    while not os.path.exists("/tmp/load.stop"):
        began = time.time()
        try:
            connection.request("POST", "/api/flow_runs/filter", '{"limit": 1}', {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body, text = answer.read(), None
            if answer.status == 503 and answer.getheader("Prefect-Maintenance") == "true":
                with lock:
                    found["shut"].append(time.time())
                time.sleep(0.2)
            elif answer.status != 200 or not isinstance(json.loads(body), list):
                text = f"HTTP {answer.status}: {body[:200]}"
            else:
                with lock:
                    found["answered"] += 1
        except Exception as error:
            text = repr(error)
            connection.close()
        with lock:
            found["longest"] = max(found["longest"], time.time() - began)
            if text:
                found["failed"].append([began, text])
        time.sleep(0.05)

threads = [threading.Thread(target=client) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps(found))
"""
#: Flows one after the other, each with two tasks and a log line, through Prefect's own client.
FLOWS = r"""
import json, os, time
from prefect import flow, get_run_logger, task
from prefect.runtime import flow_run

@task
def half(number):
    return number / 2

@flow(name="under load")
def under_load():
    get_run_logger().info("under load")
    half(half(4))
    return str(flow_run.id)

found = {"runs": [], "failed": [], "longest": 0.0}
while not os.path.exists("/tmp/load.stop"):
    began = time.time()
    try:
        found["runs"].append(under_load())
    except Exception as error:
        found["failed"].append(repr(error))
    found["longest"] = max(found["longest"], time.time() - began)
print(json.dumps(found))
"""
#: Events over one WebSocket, as workers and automations send them.
EVENTS = r"""
import asyncio, json, os
from prefect.events import Event
from prefect.events.clients import get_events_client

async def main():
    sent, failed = 0, []
    async with get_events_client() as client:
        while not os.path.exists("/tmp/load.stop"):
            try:
                await client.emit(Event(event="under.load", resource={"prefect.resource.id": "under.load"}))
                sent += 1
            except Exception as error:
                failed.append(repr(error))
            await asyncio.sleep(0.2)
    print(json.dumps({"sent": sent, "failed": failed}))

asyncio.run(main())
"""
PROGRAMS = {"raw": RAW, "flows": FLOWS, "events": EVENTS}


class Load:
    """Clients at work on a laptop until :meth:`stop`. The laptop is configured for the server at ``address``."""

    def __init__(self, lab: LiveLab, address: str) -> None:
        self._lab = lab
        lab.ssh(LAPTOP, "rm -f /tmp/load.stop /tmp/load-*")
        for name, text in PROGRAMS.items():
            lab.ssh(LAPTOP, f"cat > /tmp/load-{name}.py", text=text)
            lab.ssh(
                LAPTOP,
                f"nohup {PYTHON} /tmp/load-{name}.py {address} >/tmp/load-{name}.json 2>/tmp/load-{name}.log & "
                f"echo $! >/tmp/load-{name}.pid",
            )

    def run_for(self, seconds: float) -> None:
        """Let it work."""
        time.sleep(seconds)

    def stop(self, seconds: float = 240) -> dict[str, Any]:
        """End it; what each program counted."""
        self._lab.ssh(LAPTOP, "touch /tmp/load.stop")
        return {name: self._result(name, time.monotonic() + seconds) for name in PROGRAMS}

    def _result(self, name: str, deadline: float) -> Any:
        while self._lab.ssh(LAPTOP, f"kill -0 $(cat /tmp/load-{name}.pid)", check=False).returncode == 0:
            assert time.monotonic() < deadline, f"{name} does not end: {self._log(name)}"
            time.sleep(0.5)
        text = self._lab.ssh(LAPTOP, f"cat /tmp/load-{name}.json").stdout
        assert text.strip(), f"{name} ended without a count: {self._log(name)}"
        return json.loads(text)

    def _log(self, name: str) -> str:
        return self._lab.ssh(LAPTOP, f"tail -n 40 /tmp/load-{name}.log").stdout

"""The door of a server: restarts, a change of settings and a maintenance under load, with counts at both ends."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from live import LiveLab

from tests.integration.loads import LAPTOP, Load
from tests.integration.looks import Fab, changed, counts, curl, look, psql, succeeded

SERVER = "vm1"
UNIT, SOCKET, DOOR = "prefect-server.service", "prefect-server.socket", "prefect-door.service"
NOTICE = "/var/lib/prefect/default.shut"
ENV_FILE = "/etc/prefect/default/server.env"


@pytest.fixture(scope="module")
def ready(server: LiveLab) -> LiveLab:
    """A healthy server, and a laptop that uses it."""
    succeeded(server.fab("-H", LAPTOP, "configure-client", "--server", SERVER))
    return server


def maintenance(lab: LiveLab, *words: str) -> Fab:
    return lab.fab("-H", SERVER, "maintenance", *words)


def status(lab: LiveLab, *options: str) -> str:
    """The HTTP status that a laptop gets."""
    return curl(
        lab, LAPTOP, f"http://{lab.address(SERVER)}:4200/api/health", "-o /dev/null -w '%{http_code}'", *options
    )


def healthy(lab: LiveLab, seconds: float = 300) -> None:
    """Wait until the server itself answers."""
    deadline = time.monotonic() + seconds
    while status(lab) != "200":
        assert time.monotonic() < deadline, lab.host(SERVER).run(f"journalctl -u {UNIT} -n 30 --no-pager").stdout
        time.sleep(0.5)


def state(lab: LiveLab, unit: str) -> str:
    return str(lab.host(SERVER).run(f"systemctl is-active {unit}").stdout.strip())


def settled(lab: LiveLab, query: str, wanted: int, seconds: float = 60) -> int:
    """A count in the database once it is as wanted, or after a while: events are written in batches."""
    deadline = time.monotonic() + seconds
    while (found := int(psql(lab, SERVER, query))) != wanted and time.monotonic() < deadline:
        time.sleep(1)
    return found


def test_no_request_run_or_event_is_lost(ready: LiveLab, tmp_path: Path) -> None:
    load = Load(ready, f"{ready.address(SERVER)}:4200")
    load.run_for(10)
    host = ready.host(SERVER)
    for _ in range(2):
        host.check_output(f"systemctl restart {UNIT}")
        healthy(ready)
        load.run_for(5)
    site = ready.site(
        tmp_path, host_vars={SERVER: {"server_environment": {"PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P30D"}}}
    )
    done = ready.fab("-H", SERVER, "deploy", "--no-verify", inventory=site)
    succeeded(done)
    assert changed(done) == {f"File:{ENV_FILE}", f"Restart:{UNIT}"}
    load.run_for(5)
    began = time.time()
    succeeded(maintenance(ready, "on", "--message", "new disks"))
    load.run_for(20)
    succeeded(maintenance(ready, "off"))
    ended = time.time()
    load.run_for(10)
    found = load.stop()
    print(json.dumps({**found, "raw": {**found["raw"], "shut": len(found["raw"]["shut"])}}))

    assert found["raw"]["failed"] == [] and found["raw"]["answered"] > 100
    assert found["raw"]["shut"] and began < min(found["raw"]["shut"]) and max(found["raw"]["shut"]) < ended
    assert found["flows"]["failed"] == [] and found["events"]["failed"] == []
    runs = ", ".join(f"'{run}'" for run in found["flows"]["runs"])
    number = len(found["flows"]["runs"])
    assert number > 5
    of_runs = "SELECT count(*) FROM {} WHERE {}".format
    assert settled(ready, of_runs("flow_run", f"id IN ({runs}) AND state_type = 'COMPLETED'"), number) == number
    others = (
        of_runs("flow_run", f"name <> '' AND id NOT IN ({runs})")
        + " AND flow_id IN (SELECT id FROM flow WHERE name = 'under load')"
    )
    assert psql(ready, SERVER, others) == "0"
    tasks = of_runs("task_run", f"flow_run_id IN ({runs}) AND state_type = 'COMPLETED'")
    assert settled(ready, tasks, 2 * number) == 2 * number
    logs = of_runs("log", f"flow_run_id IN ({runs}) AND message = 'under load'")
    assert settled(ready, logs, number) == number
    ids = ", ".join(f"'prefect.flow-run.{run}'" for run in found["flows"]["runs"])
    completed = of_runs("events", f"event = 'prefect.flow-run.Completed' AND resource_id IN ({ids})")
    assert settled(ready, completed, number) == number
    sent = found["events"]["sent"]
    assert settled(ready, of_runs("events", "event = 'under.load'"), sent) == sent


def test_a_shut_door_stays_shut_and_is_named_to_whoever_meets_it(ready: LiveLab) -> None:
    succeeded(ready.fab("-H", SERVER, "deploy", "--no-verify"))
    assert counts(maintenance(ready, "off"), SERVER)["changed"] == 0
    on = ("on", "--message", "moving to a larger disk")
    done = maintenance(ready, *on, "--check")
    assert changed(done, "would") == {f"Maintenance:{UNIT}"} and status(ready) == "200"
    sessions = ready.ssh_sessions(SERVER)
    assert changed(maintenance(ready, *on)) == {f"Maintenance:{UNIT}"}
    assert ready.ssh_sessions(SERVER) == sessions + 1
    assert counts(maintenance(ready, *on), SERVER)["changed"] == 0
    assert (status(ready), state(ready, UNIT), state(ready, SOCKET), state(ready, DOOR)) == (
        "503",
        "inactive",
        "active",
        "active",
    )
    page = curl(ready, LAPTOP, f"http://{ready.address(SERVER)}:4200/", "-H 'Accept: text/html'")
    assert "moving to a larger disk" in page and "has been shut since 20" in page
    refused = ready.fab("-H", SERVER, "deploy")
    assert refused.returncode == 2 and f"{UNIT} is shut since" in refused.stdout and "maintenance off" in refused.stdout
    doctor = ready.fab("-H", SERVER, "doctor")
    assert doctor.returncode == 2 and "moving to a larger disk" in look(doctor, "unit")
    laptop = ready.fab("-H", LAPTOP, "doctor")
    assert "shut for maintenance" in laptop.stdout
    host = ready.host(SERVER)
    host.check_output(f"systemctl kill -s KILL {DOOR}")
    assert status(ready) == "503", "who asks while the door starts again waits for it"
    host.run(f"systemctl start {UNIT}")
    assert (status(ready), state(ready, UNIT)) == ("503", "inactive"), "nothing opens it by accident"
    succeeded(maintenance(ready, "off"))
    assert (status(ready), state(ready, DOOR)) == ("200", "inactive")
    assert counts(ready.fab("-H", SERVER, "deploy"), SERVER)["changed"] == 0


def test_it_outlasts_a_reboot_and_ends_by_itself(ready: LiveLab) -> None:
    healthy(ready)
    succeeded(maintenance(ready, "on", "--for", "2m"))
    ready.reboot(SERVER)
    deadline = time.monotonic() + 60
    while (found := status(ready)) == "000" and time.monotonic() < deadline:
        time.sleep(0.5)  # the network comes up
    assert (found, state(ready, UNIT)) == ("503", "inactive")
    healthy(ready, 300)
    assert (state(ready, DOOR), state(ready, SOCKET)) == ("inactive", "active")
    host = ready.host(SERVER)
    assert not host.file(NOTICE).exists and not host.file("/etc/systemd/system/prefect-reopen.timer").exists
    assert counts(ready.fab("-H", SERVER, "deploy"), SERVER)["changed"] == 0


def test_a_server_that_has_its_port_itself_gets_the_socket(ready: LiveLab) -> None:
    """As encamp deployed servers before they had a door."""
    host = ready.host(SERVER)
    own = "/opt/prefect/default/bin/prefect server start --host 0.0.0.0 --port 4200"
    host.check_output(
        f"systemctl disable --now {SOCKET} {DOOR} && rm /etc/systemd/system/{SOCKET} /etc/systemd/system/{DOOR} && "
        f"sed -i -e 's|^ExecStart=.*|ExecStart={own}|' -e '/^Requires=\\|^Sockets=\\|^ConditionPath/d' "
        f"-e 's/ {SOCKET}//' /etc/systemd/system/{UNIT} && systemctl daemon-reload && systemctl start {UNIT}"
    )
    healthy(ready)
    done = maintenance(ready, "on")
    assert done.returncode == 2 and "has no door on this host" in done.stdout and "`fab -H HOST deploy`" in done.stdout
    done = ready.fab("-H", SERVER, "deploy")
    succeeded(done)
    units = {f"SystemdUnit:{name}" for name in (SOCKET, UNIT, DOOR)}
    assert changed(done) == {*units, f"Service:{DOOR}", f"ListeningSocket:{SOCKET}"}, "the server is started once"
    assert counts(ready.fab("-H", SERVER, "deploy"), SERVER)["changed"] == 0


def test_a_service_that_fails_when_it_starts_is_started_again(ready: LiveLab) -> None:
    """The database makes it wait for longer than Prefect does: nothing would fire an automation from then on."""
    host = ready.host(SERVER)
    lock = "BEGIN; LOCK TABLE automation IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(900)"
    host.check_output(f"systemd-run --quiet --unit=locking runuser -u postgres -- psql -d prefect -c '{lock}'")
    host.check_output(f"systemctl restart {UNIT}")
    deadline = time.monotonic() + 300
    while "ReactiveTriggers failed; it starts again" not in host.run(f"journalctl -u {UNIT} --no-pager").stdout:
        assert time.monotonic() < deadline, host.run(f"journalctl -u {UNIT} -n 60 --no-pager").stdout
        time.sleep(1)
    psql(ready, SERVER, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%'")
    healthy(ready)
    succeeded(ready.fab("-H", SERVER, "verify"))


def test_another_address_moves_the_socket_and_https_has_a_door_too(ready: LiveLab, tmp_path: Path) -> None:
    url = f"https://{ready.address(SERVER)}"
    site = ready.site(tmp_path, host_vars={SERVER: {"tls": "internal", "public_url": url}})
    done = ready.fab("-H", SERVER, "deploy", inventory=site)
    succeeded(done)
    assert f"ListeningSocket:{SOCKET}" in changed(done)
    host = ready.host(SERVER)
    assert host.socket("tcp://127.0.0.1:4200").is_listening and not host.socket("tcp://0.0.0.0:4200").is_listening
    assert counts(ready.fab("-H", SERVER, "deploy", inventory=site), SERVER)["changed"] == 0
    succeeded(ready.fab("-H", SERVER, "maintenance", "on", inventory=site))
    answer = curl(ready, LAPTOP, f"{url}/api/health", "-k -i").lower()
    assert " 503" in answer.splitlines()[0] and "prefect-maintenance: true" in answer and "retry-after: 2" in answer
    upgrade = "-k -i --http1.1 -m 5 -H 'Upgrade: websocket' -H 'Connection: Upgrade' -H 'Sec-WebSocket-Version: 13'"
    upgrade += " -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='"
    assert " 101 " in curl(ready, LAPTOP, f"{url}/api/events/in", upgrade).splitlines()[0], "through the proxy, too"
    succeeded(ready.fab("-H", SERVER, "maintenance", "off", inventory=site))
    assert curl(ready, LAPTOP, f"{url}/api/health", "-k") == "true"


def test_undeploy_leaves_no_socket_and_no_door(ready: LiveLab) -> None:
    succeeded(maintenance(ready, "on", "--for", "1h"))
    succeeded(ready.fab("-H", SERVER, "undeploy"))
    host = ready.host(SERVER)
    assert host.run("ls /etc/systemd/system | grep prefect").stdout == "" and not host.file(NOTICE).exists
    assert host.run("systemctl list-units --all --plain --no-legend 'prefect*'").stdout == ""
    assert not host.socket("tcp://127.0.0.1:4200").is_listening

"""``fab adopt``: servers set up by hand, as people have them, continued with their data, and started again.

Each host is a copy that encamp deployed, stripped of everything but its packages and environments; recipes in
tests/lab/handmade set up a server on it. What it holds is read with its own Prefect before and after.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import containers
import pytest
import yaml
from copies import start_copies
from deployed import POSTGRES, SQLITE, Deployed
from layout import CHECKOUT
from live import LiveLab
from shell import run

from tests.integration.faults import Victim
from tests.integration.looks import counts, succeeded
from tests.spread import Spread

RECIPES = CHECKOUT / "tests" / "lab" / "handmade"
ADOPTED = "/var/lib/encamp/adopted/default"
VENV = "/home/flows/venv"
UV_TOOL = "/home/flows/.local/share/uv/tools/prefect"


class HandMade:
    """A hand-made server on a host, and a site that knows the host but says nothing of the server.

    ``place`` is the folder of the server's own Prefect.
    """

    def __init__(self, lab: LiveLab, name: str, place: str, folder: Path) -> None:
        self.lab, self.name, self.place = lab, name, place
        self.site = lab.site(folder / "site")

    @classmethod
    def on_copy(cls, lab: LiveLab, name: str, kind: Deployed, recipe: str, place: str, folder: Path) -> HandMade:
        """Set up by a recipe on a copy of a deployed host."""
        hand = cls(lab, name, place, folder)
        start_copies(lab, {name: kind})
        hand.bring(RECIPES, "/root/hand")
        hand.sh("sh /root/hand/bare.sh")
        hand.sh(f"sh /root/hand/environment.sh flows {place}")
        hand.sh("install -m 644 /root/hand/seed.py /home/flows/seed.py")
        hand.sh(f"sh /root/hand/{recipe}.sh")
        hand.wait()
        hand.seed("fill")
        return hand

    def bring(self, source: Path, target: str) -> None:
        """Copy files to the host."""
        self.lab.up(self.name)
        run(["docker", "cp", str(source), f"{self.lab.lab.container(self.name)}:{target}"])

    def sh(self, command: str) -> str:
        return str(self.lab.host(self.name).check_output(command.replace("%", "%%")))

    def wait(self) -> None:
        """Until its API answers."""
        self.sh("for i in $(seq 900); do curl -sf http://127.0.0.1:4200/api/health && exit 0; sleep 1; done; exit 1")

    def seed(self, verb: str) -> str:
        """Run a step of handmade/seed.py as the owner, with the owner's own Prefect."""
        url = "PREFECT_API_URL=http://127.0.0.1:4200/api"
        return self.sh(f"runuser -u flows -- sh -c 'cd; {url} {self.place}/bin/python seed.py {verb} 2>/dev/null'")

    def data(self) -> dict[str, Any]:
        """What it holds."""
        found: dict[str, Any] = json.loads(self.seed("read").strip().splitlines()[-1])
        return found

    def fab(self, *arguments: str) -> Any:
        return self.lab.fab("-H", self.name, *arguments, inventory=self.site)

    def written(self) -> dict[str, Any]:
        """The lines that `fab adopt` wrote."""
        found: dict[str, Any] = yaml.safe_load((self.site / "host_vars" / f"{self.name}.yml").read_text("utf-8"))
        return found

    def state(self) -> str:
        return str(json.loads(self.sh(f"cat {ADOPTED}/record.json"))["state"])

    def wait_for_state(self, state: str) -> None:
        """Until the program that leads back has come so far."""
        self.sh(f"timeout 300 sh -c 'until grep -qw {state} {ADOPTED}/record.json; do sleep 0.5; done'")

    def program(self) -> str:
        """The interpreter of the server that has the port, with systemd or without."""
        pids = re.findall(r"pid=(\d+)", self.sh("ss -Hltnp sport = :4200"))
        pid = next(pid for pid in pids if pid != "1")
        return self.sh(f"tr '\\0' '\\n' < /proc/{pid}/cmdline").splitlines()[0]

    def continued(self, held: dict[str, Any]) -> None:
        """Deploy with its proofs, and compare what is there with what it held; the schedule goes on by encamp's server.

        A second deploy changes nothing.
        """
        succeeded(self.fab("deploy"))
        assert self.data() == held
        self.seed("scheduled")
        assert self.state() == "done"
        assert self.program().startswith("/opt/prefect/")
        assert self.sh("ls /etc/systemd/system/encamp-adopted* 2>/dev/null || true") == ""
        again = self.fab("deploy", "--no-verify")
        succeeded(again)
        assert counts(again, self.name).get("changed", 0) == 0

    def refused(self) -> None:
        """A deploy that says nothing of the server names it, with what it holds and what continues it."""
        done = self.fab("deploy")
        assert done.returncode == 2, done.stdout
        assert re.search(r"that encamp did not set up: .*Prefect 3\.9\.1, .*, 1 flows, \d+ flow runs", done.stdout)
        assert f"`fab -H {self.name} adopt` continues it with its data" in done.stdout

    def returned(self, held: dict[str, Any]) -> None:
        """Undo, and compare what the old server holds with what it held."""
        succeeded(self.fab("adopt", "--undo"))
        self.wait()
        assert self.state() == "returned"
        assert self.data() == held
        assert self.program().startswith(self.place)


def test_a_unit_with_sqlite_is_continued_and_started_again(lab: LiveLab, tmp_path: Path) -> None:
    hand = HandMade.on_copy(lab, "vm1", SQLITE, "systemd_sqlite", VENV, tmp_path)
    held = hand.data()
    assert held["secret"] == "kept-and-readable"
    hand.refused()
    unit = hand.sh("cat /etc/systemd/system/prefect-server.service")

    printed = succeeded(hand.fab("adopt"))
    assert "/home/flows/.prefect/prefect.db (file)" in printed
    assert re.search(r"1 flows, \d+ flow runs, 1 deployments", printed)
    assert "memory.conf is not carried over" in printed
    assert hand.written() == {"adopt": "prefect-server.service", "prefect_version": "3.9.1", "database": "sqlite"}
    text = (hand.site / "host_vars" / "vm1.yml").read_text("utf-8")
    assert "exists and is not changed" in succeeded(hand.fab("adopt"))
    assert (hand.site / "host_vars" / "vm1.yml").read_text("utf-8") == text

    # Cut off while the data is copied: neither server runs, and the timer starts the old one.
    victim = Victim(lab, "vm1", tmp_path)
    victim.prepare()
    fault = victim.arm(do="kill", child="PRAGMA quick_check", program="", seconds=0)
    assert hand.fab("deploy", "--no-verify", *fault).returncode != 0
    assert hand.state() == "taking"
    assert hand.sh("systemctl is-active encamp-adopted-default.timer") == "active"
    hand.sh("systemctl start encamp-adopted-default.service")
    hand.wait()
    hand.wait_for_state("returned")
    assert hand.data() == held
    assert hand.sh("ls /etc/systemd/system/encamp-adopted* 2>/dev/null || true") == ""

    hand.continued(held)
    assert hand.sh(f"cat {ADOPTED}/etc+systemd+system+prefect-server.service") == unit.strip()
    assert "memory.conf" not in hand.sh("systemctl show -p DropInPaths prefect-server.service")
    assert "no Prefect server that encamp did not set up" in hand.fab("adopt").stdout

    hand.returned(held)
    assert hand.sh("cat /etc/systemd/system/prefect-server.service") == unit
    assert "memory.conf" in hand.sh("systemctl show -p DropInPaths prefect-server.service")
    assert hand.sh("systemctl show -P User prefect-server.service") == "flows"


def test_a_unit_with_postgres_keeps_database_role_and_password(lab: LiveLab, tmp_path: Path) -> None:
    hand = HandMade.on_copy(lab, "vm2", POSTGRES, "systemd_postgres", VENV, tmp_path)
    held = hand.data()
    printed = succeeded(hand.fab("adopt"))
    assert "p%40ss" not in printed
    assert "p@ss" not in printed
    wanted = {"adopt": "orchestrator.service", "prefect_version": "3.9.1"}
    assert hand.written() == {**wanted, "database_url": {"file": "secrets/adopted-vm2-database-url"}}
    secret = hand.site / "secrets" / "adopted-vm2-database-url"
    assert secret.read_text() == "postgresql+asyncpg://flows:p%40ss%2Fw%3Ard@localhost:5432/etl\n"
    assert secret.stat().st_mode & 0o777 == 0o600

    # Cut off when the server has been taken over: nothing but the same deploy, or the way back, goes on.
    victim = Victim(lab, "vm2", tmp_path)
    victim.prepare()
    fault = victim.arm(do="kill", event="step", step="Takeover:orchestrator.service")
    assert hand.fab("deploy", "--no-verify", *fault).returncode != 0
    assert hand.state() == "taken"
    lines = hand.site / "host_vars" / "vm2.yml"
    text = lines.read_text("utf-8")
    lines.write_text(text.replace("adopt: orchestrator.service\n", ""), "utf-8")
    forgotten = hand.fab("deploy")
    assert forgotten.returncode == 2
    assert "orchestrator.service is not taken over yet (state taken)" in forgotten.stdout
    lines.write_text(text, "utf-8")

    hand.continued(held)
    assert "no Prefect server that encamp did not set up" in hand.fab("adopt").stdout
    # Something that needs the old unit does not start it: its condition does not hold.
    hand.sh("systemctl start orchestrator.service")
    assert hand.sh("systemctl show -P ActiveState orchestrator.service") == "inactive"

    # The way back outlives encamp's server, and a cut-off of its own.
    printed = succeeded(hand.fab("undeploy"))
    assert "orchestrator.service, which this instance continued, is kept: it stays stopped" in printed
    fault = victim.arm(do="kill", child="way_back", program="", seconds=0)
    assert hand.fab("adopt", "--undo", *fault).returncode != 0
    assert hand.state() in ("returning", "returned")
    hand.returned(held)
    assert hand.sh("systemctl is-enabled orchestrator.service") == "enabled"
    assert hand.sh("ls /etc/systemd/system/encamp-adopted* 2>/dev/null || true") == ""


@pytest.mark.sweep
def test_cron_tmux_and_uv_tool(lab: LiveLab, spread: Spread, tmp_path: Path) -> None:
    if not spread.every:
        pytest.skip("with --every-step only")
    lab.remove("vm1")
    hand = HandMade.on_copy(lab, "vm1", SQLITE, "tmux_uv_tool", UV_TOOL, tmp_path)
    held = hand.data()
    printed = succeeded(hand.fab("adopt"))
    assert "process in tmux" in printed
    assert "/var/spool/cron/crontabs/flows:" in printed
    assert hand.written()["adopt"] == "process flows:4200"
    hand.continued(held)
    assert "# continued by encamp" in hand.sh("crontab -l -u flows")
    hand.returned(held)
    assert "\n@reboot /home/flows/bin/start-prefect.sh" in hand.sh("crontab -l -u flows")


@pytest.mark.sweep
def test_what_keeps_a_server_running_is_named_with_the_command_that_stops_it(
    lab: LiveLab, spread: Spread, tmp_path: Path
) -> None:
    if not spread.every:
        pytest.skip("with --every-step only")
    lab.remove("vm1")
    hand = HandMade(lab, "vm1", "", tmp_path)
    hand.bring(RECIPES, "/root/hand")
    hand.sh("sh /root/hand/supervisors.sh")
    printed = hand.fab("adopt").stdout
    for port, keeper, stop in (
        (4301, "supervisord, which starts it again", "supervisorctl stop flows"),
        (4302, "runit, which starts it again", "sv down flows"),
        (4303, "s6, which starts it again", "s6-svc -d /srv/s6/flows"),
        (4304, "daemontools, which starts it again", "svc -d /srv/daemontools/flows"),
        (4305, "screen, nothing starts it at boot", r"as root: screen -S \d+\.flows -X quit"),
        (4306, "nohup, nothing starts it at boot", r"kill \d+"),
    ):
        told = rf"vm1: process root:{port}\n  kept by +process in {keeper}\n  stops by +{stop}\n"
        assert re.search(told, printed), printed
    refused = hand.fab("adopt", "--server", "process root:4302")
    assert refused.returncode != 0
    assert "kept running by runit, which would start it again" in refused.stdout


class InCompose(HandMade):
    """A Compose stack: its Prefect is in a container, and what it holds is read there."""

    def seed(self, verb: str) -> str:
        if self.state_or_none() in ("done", "taken"):
            start = "PREFECT_API_URL=http://127.0.0.1:4200/api /opt/prefect/default/bin/python"
            return self.sh(f"cd /srv/stack && env HOME=/root {start} seed.py {verb} 2>/dev/null")
        api = "--env PREFECT_API_URL=http://127.0.0.1:4200/api"
        return self.sh(f"docker exec {api} stack_server_1 python /srv/seed.py {verb} 2>/dev/null")

    def state_or_none(self) -> str:
        known = self.lab.host(self.name).file(f"{ADOPTED}/record.json")
        return str(json.loads(known.content_string)["state"]) if known.exists else ""


@pytest.mark.sweep
def test_a_compose_stack(lab: LiveLab, spread: Spread, tmp_path: Path) -> None:
    if not spread.every:
        pytest.skip("with --every-step only")
    hand = InCompose(lab, "docker1", "/usr/sbin/docker-proxy", tmp_path)  # which listens for the container
    images = containers.ensure()
    hand.bring(RECIPES, "/root/hand")
    hand.bring(images.archive, "/root/images.tar.gz")
    hand.sh(f"sh /root/hand/compose.sh {images.prefect} {images.postgres}")
    hand.wait()
    hand.seed("fill")
    held = hand.data()

    printed = succeeded(hand.fab("adopt"))
    assert "container, /srv/stack/docker-compose.yml" in printed
    assert "hand-made" not in printed
    written = hand.written()
    kept = written.pop("server_environment")
    assert written == {"adopt": "container stack_server_1", "prefect_version": "3.9.1", "database": "postgres"}
    assert float(kept["PREFECT_SERVER_DATABASE_TIMEOUT"]) == 120
    hand.continued(held)
    assert hand.sh("docker inspect -f '{{.State.Running}}' stack_server_1") == "false"
    hand.returned(held)

    # Once more: what the first takeover brought is kept beside the new copy, with what was stored since.
    succeeded(hand.fab("deploy", "--no-verify"))
    assert hand.data() == held
    databases = hand.sh("runuser -u postgres -- psql -XAtqc 'SELECT datname FROM pg_database'").split()
    assert {"prefect", "prefect_before_1"} <= set(databases)

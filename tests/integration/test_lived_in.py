"""Hosts that people have lived in: what encamp did not make is refused before any change, or kept and named.

vm2 has a Prefect by hand, a login user ``prefect`` and a Postgres of its own kind; vm1 is a server that encamp
deployed, and that its owner then changed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from live import LiveLab

from tests.integration.looks import Fab, changed, counts, snapshot, succeeded

DEPLOYED, BY_HAND = "vm1", "vm2"
UNIT = "prefect-server.service"
DROP_IN = f"/etc/systemd/system/{UNIT}.d/memory.conf"
CLUSTER = "postgresql@15-main.service"
HAND_MADE = f"""
set -e
useradd -m -s /bin/bash flows
useradd -m -s /bin/bash -c Flows prefect
echo prefect:secret | chpasswd
install -d /home/flows/venv/bin {DROP_IN.rpartition("/")[0]}
printf '#!/bin/sh\\nexec sleep infinity\\n' > /home/flows/venv/bin/prefect
chmod 755 /home/flows/venv/bin/prefect
printf '[Service]\\nMemoryMax=1G\\n' > {DROP_IN}
cat > /etc/systemd/system/{UNIT} <<END
[Service]
User=flows
ExecStart=/home/flows/venv/bin/prefect server start --host 0.0.0.0
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl enable -q --now {UNIT}
"""
#: A Postgres as people have it: a cluster of another name and port, beside a program that has 5432.
PROD = """
set -e
mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install postgresql-15 >/dev/null
pg_createcluster -p 5434 15 prod --start -- -E UTF8 --locale C.UTF-8 >/dev/null
runuser -u postgres -- psql -qp 5434 -c "CREATE ROLE billing LOGIN" -c "CREATE DATABASE prefect OWNER billing"
"""
LISTEN = "systemd-run --collect --unit=taken python3 -m http.server 5432 --bind 127.0.0.1"
OWN = ("--set", "service_user=prefect", "--set", "database_name=flows")
PORT = ("--set", "postgres_port=5434")


def deploy(lab: LiveLab, *options: str, host: str = BY_HAND) -> Fab:
    return lab.fab("-H", host, "deploy", *options)


def refused(done: Fab) -> str:
    """What a refused run printed; it says that nothing was changed."""
    assert done.returncode == 2, f"fab exited {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert not changed(done)
    return re.sub(r"\s+", " ", done.stdout)


@pytest.fixture(scope="module")
def by_hand(lab: LiveLab) -> LiveLab:
    lab.up(BY_HAND)
    lab.host(BY_HAND).check_output("sh -c %s", HAND_MADE)
    return lab


@pytest.mark.parametrize("options", [("--check",), ()])
def test_units_and_users_of_the_owner_are_refused_before_any_change(by_hand: LiveLab, options: tuple[str, ...]) -> None:
    before = snapshot(by_hand, BY_HAND)
    said = refused(deploy(by_hand, *options))
    assert "this host has a user prefect that encamp did not make: uid 1" in said
    assert "home /home/prefect, shell /bin/bash" in said
    assert "service_user: prefect uses this one as it is" in said
    assert f"a unit {UNIT} that encamp did not write: /etc/systemd/system/{UNIT} (User=flows, ExecStart=/home/" in said
    assert snapshot(by_hand, BY_HAND) == before


@pytest.fixture(scope="module")
def prod(by_hand: LiveLab) -> Iterator[LiveLab]:
    """Without the unit by hand; with a Postgres of the owner's."""
    host = by_hand.host(BY_HAND)
    host.check_output(f"systemctl disable -q --now {UNIT} && mv /etc/systemd/system/{UNIT} /root && {LISTEN}")
    yield by_hand
    host.run("systemctl stop taken")


def test_a_taken_port_of_postgres_is_named_before_there_is_a_cluster(prod: LiveLab) -> None:
    said = refused(deploy(prod, *OWN))
    assert re.search(r"port 5432, .* is in use by python3 \(pid \d+, taken\.service\)", said)
    assert "set postgres_port: to a free port" in said


def test_clusters_ports_and_databases_of_the_owner_are_refused_by_name(prod: LiveLab) -> None:
    prod.host(BY_HAND).check_output("sh -c %s", PROD)
    said = refused(deploy(prod, *OWN))
    assert "the Postgres cluster 15/prod, but not main" in said
    assert "set postgres_cluster: prod (and postgres_port: 5434)" in said
    assert "set postgres_port: 5434" in refused(deploy(prod, *OWN, "--set", "postgres_cluster=prod"))
    theirs = ("--set", "service_user=prefect", "--set", "postgres_cluster=prod", *PORT)
    assert "the database prefect belongs to the role billing, not to prefect" in refused(deploy(prod, *theirs))


def test_beside_all_that_a_server_is_deployed_and_nothing_of_the_owners_is_touched(prod: LiveLab) -> None:
    host, options = prod.host(BY_HAND), (*OWN, "--set", "postgres_cluster=prod", *PORT)
    before = {path: host.check_output(path) for path in ("getent passwd prefect", f"cat {DROP_IN}", "pg_lsclusters -h")}
    done = deploy(prod, *options)
    succeeded(done)
    assert f"{DROP_IN} also applies to {UNIT}: it sets MemoryMax" in re.sub(r"\s+", " ", done.stdout)
    assert {command: host.check_output(command) for command in before} == before
    assert host.process.filter(user="prefect"), "the server runs as the owner's account"
    assert not host.package("postgresql").is_installed, "the owner's server was enough"
    owners = "SELECT string_agg(datname || '=' || pg_get_userbyid(datdba), ' ' ORDER BY 1) FROM pg_database"
    found = host.check_output("runuser -u postgres -- psql -p 5434 -XAtc %s", owners)
    assert "flows=prefect" in found and "prefect=billing" in found
    assert counts(deploy(prod, *options, "--no-verify"), BY_HAND)["changed"] == 0


# -- a server that encamp deployed -------------------------------------------------------------------------------------


def await_answer(lab: LiveLab) -> None:
    """Wait until the server answers; a machine under load takes minutes."""
    deadline = time.monotonic() + 300
    while lab.host(DEPLOYED).run("curl -fsS --max-time 5 http://127.0.0.1:4200/api/ready").rc != 0:
        assert time.monotonic() < deadline, lab.host(DEPLOYED).run(f"journalctl -u {UNIT} -n 30 --no-pager").stdout
        time.sleep(1)


def test_the_doctor_starts_a_postgres_that_was_killed(server: LiveLab) -> None:
    """As Debian has it: encamp's drop-in, with which it comes back by itself, is not there."""
    host = server.host(DEPLOYED)
    host.check_output(f"rm -r /etc/systemd/system/{CLUSTER}.d && systemctl daemon-reload")
    host.check_output("kill -9 $(head -1 /var/lib/postgresql/15/main/postmaster.pid)")
    deadline = time.monotonic() + 30
    while host.run(f"systemctl is-failed {CLUSTER}").rc != 0 and time.monotonic() < deadline:
        time.sleep(0.3)
    told = server.fab("-H", DEPLOYED, "doctor").stdout
    assert "Postgres 15/main is down" in told and "its unit does not restart it" in told
    assert f"starts Postgres 15/main ({CLUSTER})" in server.fab("-H", DEPLOYED, "doctor", "--fix").stdout
    assert host.check_output(f"systemctl is-active {CLUSTER}") == "active"
    await_answer(server)


def test_the_doctor_enables_what_it_starts(server: LiveLab) -> None:
    host = server.host(DEPLOYED)
    host.check_output(f"systemctl disable -q --now {UNIT}")
    assert f"starts {UNIT}, and enables it" in server.fab("-H", DEPLOYED, "doctor", "--fix").stdout
    assert host.check_output(f"systemctl is-enabled {UNIT}") == "enabled"
    await_answer(server)
    host.check_output(f"systemctl disable -q {UNIT}")
    assert "does not start at boot" in server.fab("-H", DEPLOYED, "doctor").stdout
    assert f"enables {UNIT} at boot" in server.fab("-H", DEPLOYED, "doctor", "--fix").stdout
    assert host.check_output(f"systemctl is-enabled {UNIT}") == "enabled"


def test_a_file_of_the_owners_is_copied_and_the_copy_named(server: LiveLab) -> None:
    env, host = "/etc/prefect/default/server.env", server.host(DEPLOYED)
    ours = host.check_output(f"cat {env}")
    host.check_output(f"printf 'PREFECT_HOME=/srv\\n' > {env}")
    done = deploy(server, "--no-verify", "--set", "server_start_timeout=600", host=DEPLOYED)
    succeeded(done)
    assert f"the old file is kept as {env}.before-encamp" in re.sub(r"\s+", " ", done.stdout)
    assert host.check_output(f"cat {env}.before-encamp") == "PREFECT_HOME=/srv"
    assert host.check_output(f"cat {env}") == ours
    assert host.check_output(f"stat -c '%a %U:%G' {env}.before-encamp") == "640 root:prefect"


@pytest.mark.parametrize("options", [("--check",), ()])
def test_undeploy_keeps_the_owners_drop_ins_and_names_them(server: LiveLab, options: tuple[str, ...]) -> None:
    host = server.host(DEPLOYED)
    host.check_output(f"install -d {DROP_IN.rpartition('/')[0]} && printf '[Service]\\nNice=5\\n' > {DROP_IN}")
    done = server.fab("-H", DEPLOYED, "undeploy", *options)
    succeeded(done)
    assert f"kept, encamp did not write them: {DROP_IN}" in re.sub(r"\s+", " ", done.stdout)
    assert host.check_output(f"cat {DROP_IN}") == "[Service]\nNice=5"
    assert host.file(f"/etc/systemd/system/{UNIT}").exists == bool(options)

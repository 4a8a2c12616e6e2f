"""Commands with inventories of every form: whose faults stop them, and where what they make is kept."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from encamp.cli.options import Options
from encamp.commands import bundle, configure_client, deploy, doctor, secrets, undeploy, verify
from encamp.commands.inventory import inventory
from encamp.commands.load_site import load_site, load_this_machine
from encamp.commands.settings import settings
from encamp.errors import EncampError, NoHosts, UsageError
from encamp.secrets.store import FOLDER
from tests.trees import write

INI = """\
[servers]
vm1 ansible_host=192.0.2.1 auth=auto port=4300 allowed_sources="['192.0.2.0/24']"
vm2 ansible_host=192.0.2.2 auth=auto

[workers]
w1 ansible_host=192.0.2.3 work_pool=heavy

[all:vars]
unknown_settings=ignore
nginx_ports=[80]
prefect_version=3.9.1
tls=off
"""


def options(*sources: object, hosts: str = "", **more: object) -> Options:
    """No connection is made: no configuration of Fabric's is needed."""
    return Options(None, hosts, [str(source) for source in sources], **more)  # type: ignore[arg-type]


def fault(*sources: object, hosts: str = "") -> str:
    with pytest.raises(EncampError) as caught:
        load_site(options(*sources, hosts=hosts), ("servers", "workers"))
    return f"{caught.value} {caught.value.fix}"


def test_settings_in_ini_have_the_types_that_they_need(tmp_path: Path) -> None:
    from roles.network import address, firewall
    from roles.prefect.release import prefect_version

    write(tmp_path, {"hosts": INI})
    site, selected = load_site(options(tmp_path), ("servers", "workers"))
    assert [host.name for host in selected] == ["vm1", "vm2", "w1"]
    first = site.host("vm1")
    assert first.settings(address.Settings).port == 4300
    assert first.settings(firewall.Settings).allowed_sources == ("192.0.2.0/24",)
    assert first.settings(address.Settings).tls == "off"
    assert prefect_version(first) == "3.9.1"


def test_a_fault_elsewhere_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        tmp_path,
        {
            "hosts": "[servers]\nvm1 ansible_host=192.0.2.1\n[old]\nvm9 port=many ansible_connection=winrm wrng=1\n",
            "host_vars/vm9.yml": "a: b: c\n",
            "group_vars/old.yml": "$ANSIBLE_VAULT;1.1;AES256\n3061\n",
        },
    )
    load_site(options(tmp_path), ("servers",))
    told = capsys.readouterr().err
    assert "warning: " in told and "vm9.yml:1" in told and "old.yml:1" in told and "must be a whole number" in told
    assert told.count("concerns no host of this run") == 4
    whole = fault(tmp_path, hosts="all")
    assert "hosts:4" in whole or "winrm" in whole
    load_this_machine(options(tmp_path), "clients")


def test_what_a_faulty_host_says_is_not_guessed(tmp_path: Path) -> None:
    """A worker needs its server's port: that is not the default only because a file cannot be read."""
    from roles.network import address

    write(tmp_path, {"hosts": "[servers]\nvm1\n[workers]\nw1\n", "host_vars/vm1.yml": "port: 4300\n  a: b\n"})
    site, _ = load_site(options(tmp_path, hosts="w1"), ("workers",))
    with pytest.raises(EncampError, match=r"vm1\.yml:2"):
        site.host("vm1").settings(address.Settings)


def test_a_fault_of_a_group_concerns_this_machine_and_hosts_that_are_not_listed(tmp_path: Path) -> None:
    write(tmp_path, {"hosts.yml": "all: {vars: {adhoc: true}}\n", "group_vars/all.yml": "a: b: c\n"})
    assert "all.yml:1" in fault(tmp_path, hosts="somewhere.example.org")
    with pytest.raises(EncampError, match=r"all\.yml:1"):
        load_this_machine(options(tmp_path), "clients")


def test_two_servers_outside_the_run_may_collide(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"hosts": "[servers]\nvm1\nvm2 public_url=http://a:1\nvm3 public_url=http://a:1\n"})
    load_site(options(tmp_path, hosts="vm1"), ("servers",))
    assert "have the same public_url" in capsys.readouterr().err
    assert "have the same public_url" in fault(tmp_path, hosts="vm2")


def test_the_graph_and_the_list_work_in_spite_of_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        tmp_path,
        {
            "hosts.yml": "web: {hosts: {vm1: {a: '{{ nothing }}', c: '{{ b }}', port: many}}, vars: {b: 2}}\n",
            "host_vars/vm1.yml": "$ANSIBLE_VAULT;1.1;AES256\n3061\n",
        },
    )
    assert inventory(options(tmp_path)) == 0
    told = capsys.readouterr()
    assert "|--@web:\n  |  |--vm1" in told.out and "vm1.yml:1" in told.err and "nothing" not in told.err
    assert inventory(options(tmp_path), as_list=True) == 0
    told = capsys.readouterr()
    assert '"a": "{{ nothing }}"' in told.out and '"c": 2' in told.out
    assert "uses nothing, which is not set" in told.err and "shown as written" in told.err


def test_several_inventories_and_hosts_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write(tmp_path / "one", {"hosts": "[servers]\nvm1 port=4300\n"})
    two = write(tmp_path / "two", {"hosts.yml": "servers: {hosts: {vm1: {port: 4301}, vm2: }}\n"})
    site, selected = load_site(options(one, two / "hosts.yml", "vm3,"), ("servers",))
    assert selected[0].name == "vm1" and str(selected[0].origin("port")).endswith("/two/hosts.yml:1")
    assert set(site.inventory.hosts) == {"vm1", "vm2", "vm3"}
    assert site.secrets.folder == one / FOLDER and site.inventory.directory == one
    assert inventory(options(one, two, "vm3,")) == 0
    assert "vm3" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["ini", "script", "folder", "list"])
def test_settings_and_secrets_work_with_each_form(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sources: list[object] = [tmp_path / "hosts"]
    write(tmp_path, {"hosts": "[servers]\nvm1 auth='{env: PW}'\n"})
    if form == "script":
        (tmp_path / "hosts").write_text(
            '#!/bin/sh\necho \'{"servers": {"hosts": ["vm1"], "vars": {"auth": {"env": "PW"}}},'
            ' "_meta": {"hostvars": {}}}\'\n'
        )
        (tmp_path / "hosts").chmod(0o755)
    if form == "folder":
        sources = [tmp_path]
    if form == "list":
        write(tmp_path, {"hosts.yml": "servers: {vars: {auth: {env: PW}}, hosts: {vm1: }}\n"})
        sources = ["vm1,", tmp_path / "hosts.yml"]
    assert settings(options(*sources, hosts="vm1")) == 0
    assert "vm1  (groups: all, servers)" in capsys.readouterr().out
    assert secrets.show(options(*sources)) == 0
    told = capsys.readouterr().out
    assert "environment variable PW" in told and "auth" in told


#: Commands over hosts, each as it is called without ``-H``, or with one.
COMMANDS = {
    "deploy": lambda chosen: deploy.load(chosen, "plan"),
    "verify": verify.verify,
    "settings": settings,
    "secrets": secrets.show,
    "undeploy": lambda chosen: undeploy.undeploy(chosen) if chosen.hosts else load_site(chosen, ("servers",)),
    "configure-client": lambda chosen: (
        configure_client.clients(chosen) if chosen.hosts else load_site(chosen, ("clients",))
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("text", "hosts", "limit", "why"),
    [
        ("all:\n", "", "", "hosts.yml lists none"),
        ("all:\n", "all", "", "hosts.yml lists none"),
        ("servers:\nworkers:\nclients:\n", "", "", "hosts.yml lists none"),
        ("servers:\nclients: {hosts: {vm1: }}\n", "clients:!vm1", "", "'clients:!vm1' leaves none"),
        ("web: {hosts: {vm1: }}\n", "db*", "", "no host or group matches db*"),
        ("web: {hosts: {vm1: , vm2: }}\n", "vm1", "vm2", "--limit vm2 matches none of"),
    ],
)
def test_no_hosts_is_the_same_mistake_in_every_command(
    tmp_path: Path, command: str, text: str, hosts: str, limit: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, {"hosts.yml": text})
    with pytest.raises(NoHosts) as caught:
        COMMANDS[command](options(path, hosts=hosts, limit=limit))
    assert str(caught.value).startswith("no hosts selected: ") and why in str(caught.value)
    assert caught.value.exit_code == 1 and caught.value.fix


def test_hosts_in_other_groups_are_not_what_a_deploy_is_for(tmp_path: Path) -> None:
    path = write(tmp_path, {"hosts.yml": "web: {hosts: {vm1: }}\nservers:\n"})
    with pytest.raises(NoHosts, match=r"no hosts selected: none is in the group .*servers"):
        deploy.load(options(path), "plan")


def test_the_doctor_looks_at_this_machine_where_a_site_has_no_hosts(tmp_path: Path) -> None:
    for text in ("all:\n", "servers:\n"):
        path = write(tmp_path, {"hosts.yml": text})
        assert len(doctor.target_groups(options(path), (), "", False)) == 1
    with pytest.raises(UsageError, match="--forks"):
        doctor.target_groups(options(path, forks=0), (), "", False)
    with pytest.raises(NoHosts):
        doctor.target_groups(options(path, limit="vm*"), (), "", False)


def test_a_limit_without_hosts_does_not_mean_this_machine(tmp_path: Path) -> None:
    path = write(tmp_path, {"hosts.yml": "servers: {hosts: {vm1: }}\nclients: {hosts: {laptop1: }}\n"})
    with pytest.raises(UsageError, match="this machine alone"):
        configure_client.clients(options(path, limit="laptop1"))


def test_commas_in_names_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a,b"
    write(folder, {"one,two.yml": "servers: {hosts: {vm1: }}\n"})
    monkeypatch.setenv("HOME", str(tmp_path))
    for source in (folder, folder / "one,two.yml", "~/a,b", "~/a,b/one,two.yml"):
        site, _ = load_site(options(source), ("servers",))
        assert list(site.inventory.hosts) == ["vm1"] and site.inventory.directory == folder
        assert str(site.inventory.path) == str(folder / "one,two.yml")
    monkeypatch.setenv("ENCAMP_INVENTORY", str(folder))
    assert list(load_site(options(), ("servers",))[0].inventory.hosts) == ["vm1"]


@pytest.mark.parametrize(
    "form", ["{0}/x.yml,{0}/nosuch.yml", "{0}/x.yml,{0}/x.yml", "x.yml,vm1", "nosuch,inventory/nosuch"]
)
def test_files_in_a_list_are_no_hosts(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"x.yml": "servers: {hosts: {vm1: }}\n"})
    monkeypatch.chdir(tmp_path)
    told = fault(form.format(tmp_path))
    assert "there is no inventory at " in told and "--inventory of its own" in told


def test_a_path_that_is_missing_among_several_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"x.yml": "servers: {hosts: {vm1: }}\n"})
    monkeypatch.setenv("ENCAMP_INVENTORY", f"{tmp_path}/x.yml,{tmp_path}/y.yml")
    assert f"there is no inventory at {tmp_path}/y.yml" in fault()


def test_a_bundle_reads_the_inventory_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hosts = "servers: {hosts: {vm1: {ansible_host: 192.0.2.1}}}\nbuild: {hosts: {b1: , b2: {port: many}}}\n"
    path = write(tmp_path, {"hosts.yml": hosts, "group_vars/nosuch.yml": "a: 1\n"})
    with pytest.raises(UsageError, match="-H names 2 hosts"):
        bundle.bundle(options(path, hosts="b1,vm1"), str(tmp_path / "out.bundle"))
    told = capsys.readouterr().err
    assert told.count("nosuch.yml is not used") == 1 and told.count("concerns no host of this run") == 1
    with pytest.raises(EncampError, match="must be a whole number"):
        bundle.bundle(options(path, hosts="b2"), str(tmp_path / "out.bundle"))


def test_a_host_with_the_name_of_a_group(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As where `:children` was forgotten. A deploy still means the group."""
    path = write(tmp_path, {"hosts": "[all_servers]\nservers\n[servers]\nvm1\nvm2\n"})
    assert [host.name for host in load_site(options(path), ("servers",))[1]] == ["vm1", "vm2"]
    told = capsys.readouterr().err
    assert "hosts: servers is the name of a host and of a group" in told and ":children]" in told
    assert [host.name for host in load_site(options(path, hosts="servers"), ())[1]] == ["servers"]


def test_programs_of_an_inventory_get_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENCAMP_SSH_PASSWORD", "ENCAMP_BECOME_PASSWORD", "ENCAMP_SSH_PASSPHRASE"):
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("CLOUD_TOKEN", "theirs")
    script = tmp_path / "inv"
    listing = '{"servers": {"hosts": ["vm1"], "vars": {"auth": {"command": ["%s/tell"]}}}, "_meta": {"hostvars": {}}}'
    script.write_text(f"#!/bin/sh\nenv > {tmp_path}/seen\necho '{listing % tmp_path}'\n")
    (tmp_path / "tell").write_text(f"#!/bin/sh\nenv > {tmp_path}/seen2\necho admin:x\n")
    for path in (script, tmp_path / "tell"):
        path.chmod(0o755)
    site, _ = load_site(options(script), ("servers",))
    from roles.network import access

    assert access.auth(site.host("vm1"), site) is not None
    for seen in ("seen", "seen2"):
        text = (tmp_path / seen).read_text()
        assert "hunter2" not in text and "CLOUD_TOKEN=theirs" in text


def test_a_name_that_does_something_to_a_terminal_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"hosts.json": '{"servers": {"hosts": ["vm1\\u001b[2J"]}, "_meta": {"hostvars": {}}}'})
    told = fault(tmp_path / "hosts.json")
    assert "hosts.json: the name of a host or group holds a control character" in told and "\x1b" not in told


def test_special_files_of_a_folder_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, {"hosts.yml": "servers: {hosts: {vm1: }}\n", "password": "hunter2\x7f\n"})
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "master"))
        site, _ = load_site(options(tmp_path), ("servers",))
    assert list(site.inventory.hosts) == ["vm1"]


def test_plain_secrets_of_other_roles_are_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "unknown_settings: ignore\nmysql_root_password: hunter2\ngrafana: {admin: {password: 31415926, name: ann}}\n"
        "users: [{name: bob, token: hunter2}]\ndsn: postgresql://a:hunter2@db/x\nnginx_user: www\n"
        "auth: {env: API_TOKEN}\n"
    )
    path = write(tmp_path, {"hosts.yml": "servers: {hosts: {vm1: }}\n", "group_vars/all.yml": text})
    settings(options(path))
    told = capsys.readouterr().out
    assert "hunter2" not in told and "31415926" not in told
    for part in ("ann", "bob", "www", "{env: API_TOKEN}", "postgresql://"):
        assert part in told

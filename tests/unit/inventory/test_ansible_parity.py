"""The same inventories and patterns, read by encamp and by the real Ansible: what they find must be the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from encamp.errors import InventoryError
from encamp.inventory import listing
from encamp.inventory.load import load_inventory, select_hosts
from encamp.secrets.vault import cipher, passwords
from encamp.shared.secret import Secret
from tests import trees
from tests.checkout import CHECKOUT

VARIED = {
    "hosts.yml": """
all:
  vars: {color: red, depth: all}
  hosts:
    lone:
  children:
    web:
      vars: {depth: web, port: 80}
      hosts:
        web[1:3]:
        "web[01:10:3].example.com": {port: 81}
      children:
        web_eu:
          vars: {depth: web_eu, prio: eu}
          hosts: {web1: }
        web_us:
          vars: {depth: web_us, prio: us, ansible_group_priority: 1}
          hosts: {web1: , "web[a:c]": }
    aaa:
      vars: {prio: aaa, color: blue, ansible_group_priority: 10}
      hosts: {web2: {}, web3: }
    zzz:
      vars: {prio: zzz}
      hosts: {web2: {}}
    db:
      hosts:
        db1: {list: [1, 2, {a: b}], nested: {x: {y: 1}}, yes_: yes, octal: 0o17, num: 010, float: 1.5, empty: }
    parent:
      children: {db: , web_eu: }
      vars: {depth: parent}
""",
    "group_vars/all/a.yml": "fromfile: a\ncolor: green\n",
    "group_vars/all/b.yaml": "fromfile: b\n",
    "group_vars/web/main.yml": "port: 8080\n",
    "group_vars/web/deeper/more.json": '{"json": [true, null, "x"]}',
    "group_vars/db": "prio: group file without an ending\n",
    "host_vars/web1/x.yml": "{prio: hostvars}\n",
    "host_vars/db1": "prio: dbfile\n",
}
DIAMOND = {
    "hosts.yaml": """
all:
  children:
    top: {vars: {v: top, w: top}, children: {left: , right: }}
    left: {vars: {v: left}, children: {bottom: }}
    right: {vars: {v: right, w: right}, children: {bottom: }}
    bottom: {hosts: {h: }}
    deep: {children: {deeper: {children: {deepest: {vars: {v: deepest}, hosts: {h: {}}}}}}}
ungrouped:
  hosts: {loose: {v: mine}}
  vars: {v: ungrouped, u: 1}
""",
}
PORTS = {
    "hosts.yml": """
all:
  hosts:
    web[01:02].example.com:2222:
    "[2001:db8::1]:22": {port: 1}
    plain:24:
""",
    "group_vars/all.yml": "---\n# nothing yet\n",
    "group_vars/ungrouped/main.yml": "v: 1\n",
    "group_vars/ungrouped/old.d/main.yml": "v: 2\n",
    "host_vars/plain.yml": "---\n",
}
PATTERNS = (
    *("all", "*", "web", "web:&web_us", "web:!web1", "web:&web_us:!web1", "~web[0-9]+$", "web*", "web[0]", "web[0:2]"),
    *("web[-1]", "web[1:]", "db1,web2", "db1:web2", "!web1", "web:!~.*example.*", "*.example.com", "all:!web"),
    *("ungrouped", "web1,web1", "~(web|db)1", "web_*", "parent", "parent:&web", "&web", "web[0]:db", "web[5:100]"),
    *("w?b1", "[wd]*1"),
)


#: What ``ansible PATTERN --list-hosts`` does, for many patterns at the price of one start.
LIST_HOSTS = """
import json, sys
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
manager = InventoryManager(DataLoader(), sys.argv[1])
print(json.dumps({pattern: [host.name for host in manager.list_hosts(pattern)] for pattern in sys.argv[2:]}))
"""


def ansible(*command: str) -> str:
    """What Ansible prints, with no configuration of this machine's."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "ANSIBLE_HOME": "/tmp/.a"}
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def written(folder: Path, files: dict[str, str]) -> Path:
    """A site's inventory file."""
    return trees.write(folder, files) / next(iter(files))


def theirs(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        ansible(str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(path), "--list")
    )
    return found


def members(groups: dict[str, Any], name: str) -> set[str]:
    """Hosts in and below a group, as ``ansible-inventory --list`` tells them."""
    group = groups.get(name, {})
    below: Iterable[set[str]] = (members(groups, child) for child in group.get("children", []))
    return set(group.get("hosts", [])).union(*below)


@pytest.mark.parametrize(
    "site",
    [VARIED, DIAMOND, PORTS, CHECKOUT / "inventory/hosts.yml", CHECKOUT / "tests/lab/inventory/hosts.yml"],
    ids=str,
)
def test_hosts_groups_and_variables_are_those_that_ansible_finds(tmp_path: Path, site: Any) -> None:
    path = written(tmp_path, site) if isinstance(site, dict) else site
    ours, groups = load_inventory(path), theirs(path)
    variables = groups.pop("_meta")["hostvars"]
    assert set(ours.hosts) == members(groups, "all")
    for name, host in ours.hosts.items():
        found = {key: host.variables.raw(key).data for key in host.variables}  # type: ignore[attr-defined]  # Variables
        assert found == variables.get(name, {}), name
    for name in groups:
        assert set(ours.groups.get(name, ())) == members(groups, name), name


SITES = [VARIED, DIAMOND, CHECKOUT / "inventory/hosts.yml", CHECKOUT / "tests/lab/inventory/hosts.yml"]


@pytest.mark.parametrize(
    ("site", "variables"),
    [(VARIED, False), *((site, True) for site in SITES)],
    ids=("varied-groups", "varied", "diamond", "default", "lab"),
)
def test_the_graph_is_the_one_that_ansible_draws(tmp_path: Path, site: Any, variables: bool) -> None:
    path = written(tmp_path, site) if isinstance(site, dict) else site
    options = ["--graph", *(["--vars"] if variables else [])]
    drawn = ansible(str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(path), *options)
    assert listing.graph(load_inventory(path), variables=variables) == drawn.rstrip().splitlines()


@pytest.mark.parametrize("site", SITES, ids=("varied", "diamond", "default", "lab"))
def test_the_listing_is_the_one_that_ansible_gives(tmp_path: Path, site: Any) -> None:
    path = written(tmp_path, site) if isinstance(site, dict) else site
    listed = theirs(path)
    listed["_meta"].pop("profile", None)
    assert json.loads(listing.as_json(load_inventory(path))) == listed


def test_patterns_name_the_same_hosts_in_the_same_order(tmp_path: Path) -> None:
    path = written(tmp_path, VARIED)
    loaded = load_inventory(path)
    ours = {pattern: [host.name for host in select_hosts(loaded, pattern)] for pattern in PATTERNS}
    assert ours == json.loads(ansible(sys.executable, "-c", LIST_HOSTS, str(path), *PATTERNS))


def test_an_index_past_the_end_is_an_error_where_ansible_finds_nothing(tmp_path: Path) -> None:
    loaded = load_inventory(written(tmp_path, VARIED))
    with pytest.raises(InventoryError, match="past the end"):
        select_hosts(loaded, "web[99]")


TEMPLATES = """
all:
  vars:
    base: 4200
    names: [a, b]
    nested: {deep: {port: "{{ base }}"}}
    t_text: "http://{{ inventory_hostname }}:{{ base }}/"
    t_number: "{{ base + 2 }}"
    t_list: "{{ names + ['c'] }}"
    t_dict: "{{ nested.deep }}"
    t_mixed: ["{{ base }}", {k: "x{{ base }}"}]
    t_filters: "{{ names | join('-') | upper }}"
    t_default: "{{ missing | default('none') }}"
    t_if: "{% if base > 1 %}much{% else %}little{% endif %}"
    t_groups: "{{ group_names | join(',') }}"
    t_chain: "{{ t_number }}!"
    t_secret: !vault |
      SEALED
    t_around: "pre-{{ t_secret }}-post"
  children:
    servers: {hosts: {"h[1:2].example.com": }, vars: {t_short: "{{ inventory_hostname_short }}"}}
    eu: {hosts: {h1.example.com: {base: 1}}}
"""


def test_templates_and_encrypted_values_are_what_ansible_makes_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = tmp_path / "password"
    password.write_text("p w")
    monkeypatch.setenv("ENCAMP_VAULT_PASSWORD_FILE", str(password))
    passwords.identities.cache_clear()
    sealed = cipher.encrypt("s3cret: %\u00e9", cipher.Identity("", Secret("p w"))).rstrip().replace("\n", "\n      ")
    path = written(tmp_path / "site", {"hosts.yml": TEMPLATES.replace("SEALED", sealed)})
    try:
        loaded = load_inventory(path)
        told = "\n".join([*listing.graph(loaded, variables=True), listing.as_json(loaded)])
        hosts = loaded.hosts
        ours = {
            name: {key: host.variables[key].data for key in host.variables if key.startswith("t_")}
            for name, host in hosts.items()
        }
    finally:
        passwords.identities.cache_clear()
    assert "s3cret" not in told and told.count("***") >= 4, "what came out of a vault is not shown"
    assert ours == rendered(path, password, ours["h1.example.com"])


def rendered(path: Path, password: Path, names: Iterable[str]) -> dict[str, Any]:
    """What Ansible makes of variables, for each host."""
    message = json.dumps({"msg": {name: f"{{{{ {name} }}}}" for name in names}})
    options = (
        "-i",
        str(path),
        "--vault-password-file",
        str(password),
        "-o",
        "-c",
        "local",
        "-m",
        "debug",
        "-a",
        message,
    )
    lines = ansible(str(Path(sys.executable).with_name("ansible")), "all", *options).splitlines()
    told = [line.split(" | SUCCESS => ") for line in lines if " | SUCCESS => " in line]
    return {host: json.loads(result)["msg"] for host, result in told}

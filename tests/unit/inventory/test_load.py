"""The inventory: what it reads as Ansible does, and how it tells mistakes. The expected values are Ansible's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from encamp.errors import InventoryError, NoHosts
from encamp.inventory.host import Host
from encamp.inventory.load import Inventory, load_inventory, select_hosts
from tests.checkout import CHECKOUT
from tests.trees import write as site


def loaded(folder: Path, hosts: str, **more: str) -> Inventory:
    """A site with hosts.yml and files such as group_vars__all."""
    return load_inventory(
        site(folder, {"hosts.yml": hosts, **{f"{n.replace('__', '/')}.yml": t for n, t in more.items()}})
    )


def data(host: Host) -> dict[str, Any]:
    return {name: host.variables[name].data for name in host.variables}


def refusal(folder: Path, hosts: str, **more: str) -> InventoryError:
    with pytest.raises(InventoryError) as caught:
        loaded(folder, hosts, **more)
    assert caught.value.fix, "an error must say what to do"
    assert caught.value.exit_code == 4
    return caught.value


TREE = """\
all:
  vars: {who: all vars, all_only: 1}
  children:
    outer:
      vars: {who: outer vars, outer_only: 2}
      children:
        inner:
          vars: {who: inner vars}
          hosts:
            web[01:03]:
            web02: {who: beside the host}
    other:
      hosts: {web01: , lone: }
  hosts: {free: }
"""


def test_groups_hold_the_hosts_below_them(tmp_path: Path) -> None:
    inventory = loaded(tmp_path, TREE)
    assert inventory.groups == {
        "all": ("free", "web01", "lone", "web02", "web03"),
        "ungrouped": ("free",),
        "outer": ("web01", "web02", "web03"),
        "inner": ("web01", "web02", "web03"),
        "other": ("web01", "lone"),
    }
    assert inventory.hosts["web01"].groups == ("all", "other", "outer", "inner")
    assert inventory.hosts["free"].groups == ("all", "ungrouped")


def test_variables_count_in_ansibles_order(tmp_path: Path) -> None:
    inventory = loaded(tmp_path, TREE)
    assert data(inventory.hosts["web01"]) == {"who": "inner vars", "all_only": 1, "outer_only": 2}
    assert data(inventory.hosts["web02"])["who"] == "beside the host"
    # group_vars/all beats vars of every group in the inventory file: so it is in Ansible.
    inventory = loaded(tmp_path, TREE, group_vars__all="who: all file\n")
    assert data(inventory.hosts["web01"])["who"] == "all file"
    inventory = loaded(tmp_path, TREE, group_vars__outer="who: outer file\n")
    assert data(inventory.hosts["web01"])["who"] == "outer file"
    assert data(inventory.hosts["web02"])["who"] == "beside the host"
    inventory = loaded(tmp_path, TREE, host_vars__web02="who: host file\n")
    assert data(inventory.hosts["web02"])["who"] == "host file"
    assert load_inventory(tmp_path, {"who": "set"}).hosts["web02"].variables["who"].data == "set"


@pytest.mark.parametrize(("priority", "winner"), [("", "zebra"), ("ansible_group_priority: 5", "ant")])
def test_among_peers_the_name_decides_unless_a_priority_is_given(tmp_path: Path, priority: str, winner: str) -> None:
    inventory = loaded(
        tmp_path,
        f"zebra: {{hosts: {{h: }}, vars: {{who: zebra}}}}\nant: {{hosts: {{h: }}, vars: {{who: ant, {priority}}}}}\n",
    )
    assert data(inventory.hosts["h"]) == {"who": winner}


def test_depth_is_the_longest_way_from_all(tmp_path: Path) -> None:
    text = """\
all:
  children:
    low: {vars: {who: low}, hosts: {h: }}
    a: {children: {b: {vars: {who: b}, children: {low: }}}}
"""
    assert data(loaded(tmp_path, text).hosts["h"]) == {"who": "low"}


def test_depth_counts_more_than_priority(tmp_path: Path) -> None:
    text = """\
outer:
  vars: {who: outer, ansible_group_priority: 9}
  children:
    inner: {vars: {who: inner}, hosts: {h: }}
"""
    assert data(loaded(tmp_path, text).hosts["h"]) == {"who": "inner"}


def test_anchors_may_be_used_again_and_merged(tmp_path: Path) -> None:
    text = """\
all:
  vars:
    one: &one {a: 1, b: 1}
    two: *one
    three: {<<: *one, b: 2}
    four: {<<: *one}
  hosts: {h: }
"""
    found = data(loaded(tmp_path, text).hosts["h"])
    assert found["two"] == {"a": 1, "b": 1} and found["three"] == {"a": 1, "b": 2}
    assert found["four"] == found["one"]


def test_folders_of_variables_are_read_in_order_of_names(tmp_path: Path) -> None:
    files = {
        "hosts.yml": "web: {hosts: {h: }}\n",
        "group_vars/web/20.yml": "who: twenty\nlate: 1\n",
        "group_vars/web/10.yaml": "who: ten\nearly: 1\n",
        "group_vars/web/.hidden.yml": "who: hidden\n",
        "group_vars/web/README.md": "not: read\n",
        "group_vars/web/more/x.json": '{"deep": [1, 2]}',
    }
    assert data(load_inventory(site(tmp_path, files)).hosts["h"]) == {
        "who": "twenty",
        "late": 1,
        "early": 1,
        "deep": [1, 2],
    }


def test_two_sources_for_one_group_are_refused(tmp_path: Path) -> None:
    files = {"hosts.yml": "web: {hosts: {h: }}\n", "group_vars/web/a.yml": "x_a: 1\n", "group_vars/web.yml": "x_b: 2\n"}
    with pytest.raises(InventoryError, match=r"both web and web\.yml exist"):
        load_inventory(site(tmp_path, files))


def test_folders_of_variables_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    """A link into a checkout that is not there would otherwise take every variable away, in silence."""
    (tmp_path / "group_vars").symlink_to("not/checked/out")
    error = refusal(tmp_path, "web: {hosts: {h: }}\n")
    assert error.where is not None and error.where.file == str(tmp_path / "group_vars")
    assert "No such file" in error.message


def test_all_inventory_files_of_a_folder_are_read(tmp_path: Path) -> None:
    site(tmp_path, {"hosts.yml": "web: {hosts: {h: {x_a: 1}}}\n", "hosts.yaml": "web: {hosts: {k: , h: {x_a: 2}}}\n"})
    found = load_inventory(tmp_path)
    assert found.groups["web"] == ("k", "h"), "by name: hosts.yaml is the first"
    assert data(found.hosts["h"]) == {"x_a": 1}
    assert list(load_inventory(tmp_path / "hosts.yaml").hosts) == ["k", "h"]


@pytest.mark.parametrize("path", ["x" * 300, "~nobody-of-that-name/site"])
def test_paths_that_no_file_can_have(path: str) -> None:
    with pytest.raises(InventoryError, match="there is no inventory"):
        load_inventory(Path(path))


def test_files_of_variables_that_nothing_reads_are_told(tmp_path: Path) -> None:
    inventory = loaded(tmp_path, "web: {hosts: {h: }}\n", group_vars__wbe="x_a: 1\n", host_vars__hh="x_b: 1\n")
    assert [note.split(" is ")[0].rpartition("/")[2] for note in inventory.notes] == ["wbe.yml", "hh.yml"]


def test_every_value_knows_its_file_and_line(tmp_path: Path) -> None:
    inventory = loaded(tmp_path, TREE + "        # x\n", group_vars__all="\n\nfrom_file:\n  - a\n")
    variables = inventory.hosts["web02"].variables
    assert variables["who"].origin.line == 11
    assert (Path(variables["from_file"].origin.file).name, variables["from_file"].origin.line) == ("all.yml", 3)
    assert variables["from_file"].data.lines == [4]


def test_origins_are_relative_to_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory = loaded(tmp_path / "inventory", TREE)
    monkeypatch.chdir(tmp_path)
    assert str(inventory.hosts["web02"].variables["who"].origin) == "inventory/hosts.yml:11"


def test_set_gives_yaml_types_and_keeps_the_text(tmp_path: Path) -> None:
    site(tmp_path, {"hosts.yml": "all: {hosts: {h: }}\n"})
    variables = load_inventory(tmp_path, {"port": "4201", "nets": "[a, b]", "version": "3.10"}).hosts["h"].variables
    assert (variables["port"].data, variables["nets"].data) == (4201, ["a", "b"])
    assert (variables["version"].data, variables["version"].text) == (3.1, "3.10")
    assert str(variables["port"].origin) == "--set port"


def test_templates_use_variables_of_the_same_host_and_keep_types(tmp_path: Path) -> None:
    inventory = loaded(
        tmp_path,
        """\
web:
  vars: {base: 4200, nets: [10.0.0.0/8]}
  hosts:
    web1:
      port: "{{ base }}"
      copy: "{{ nets }}"
      url: "http://{{ inventory_hostname }}:{{ port + 1 }}/{{ group_names | join(',') }}"
      nested: {list: ["{{ url }}", 5]}
      given: "{{ nothing | default('else') }}"
      version: "3.{{ base - 4190 }}"
      flag: "{{ base > 80 }}"
""",
    )
    found = data(inventory.hosts["web1"])
    assert found["port"] == 4200 and found["copy"] == ["10.0.0.0/8"]
    assert found["url"] == "http://web1:4201/web"
    assert found["nested"] == {"list": ["http://web1:4201/web", 5]}
    assert found["given"] == "else"
    assert found["version"] == "3.10" and found["flag"] is True


@pytest.mark.parametrize(
    ("value", "message", "fix"),
    [
        ("{{ bse }}", "uses bse, which is not set", "did you mean base?"),
        ("{{ lookup('pipe', 'date') }}", "the lookup pipe, which only Ansible has", "lookup('env', 'NAME')"),
        ("{{ lookup('file', '/no/such') }}", "the file /no/such: No such file", "lookup('env', 'NAME')"),
        ("{{ hostvars['x'].y }}", "no attribute 'x'", "correct the template"),
        ("{{ hostvars['h'].y }}", "uses y of another host", "define it"),
        ("{{ playbook_dir }}/k", "uses playbook_dir", "{{ inventory_dir }}"),
        ("{{ a }}", "a refers to itself: a -> a", "break the circle"),
        ("{{ b }}", "a refers to itself: a -> b -> a", "break the circle"),
        ("{{ base", "unexpected end of template", "correct the template"),
        ("{{ base | nosuch }}", "No filter named 'nosuch'", "correct the template"),
        ("{{ 1 / 0 }}", "division by zero", "correct the template"),
        ("{{ [bse] }}", "uses bse, which is not set", "did you mean base?"),
        ("{{ {'x': [bse]} }}", "uses bse, which is not set", "did you mean base?"),
    ],
)
def test_what_a_template_gets_wrong_is_told_at_its_line(tmp_path: Path, value: str, message: str, fix: str) -> None:
    inventory = loaded(tmp_path, f'all:\n  hosts:\n    h:\n      base: 1\n      b: "{{{{ a }}}}"\n      a: "{value}"\n')
    with pytest.raises(InventoryError) as caught:
        inventory.hosts["h"].variables["a"]
    assert message in str(caught.value) and fix in caught.value.fix
    assert caught.value.where is not None and caught.value.where.line in (5, 6)


def test_what_an_inventory_does_not_need_is_not_imported(tmp_path: Path) -> None:
    loaded(tmp_path, TREE)
    forms = ", ".join(f"'encamp.inventory.forms.{name}'" for name in ("ini", "program", "listed"))
    program = (
        "import sys, pathlib; from encamp.inventory.load import load_inventory, select_hosts; "
        f"select_hosts(load_inventory(pathlib.Path({str(tmp_path)!r})), 'all'); "
        f"print({{'jinja2', 'encamp.secrets.vault.cipher', {forms}}} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_template_inside_a_list_is_pointed_at_itself(tmp_path: Path) -> None:
    inventory = loaded(tmp_path, "all:\n  vars:\n    a:\n      - one\n      - '{{ two }}'\n  hosts: {h: }\n")
    with pytest.raises(InventoryError, match=r"hosts\.yml:5: a: the template uses two"):
        inventory.hosts["h"].variables["a"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "empty"),
        ("all:\n\thosts:\n", 2, "tab"),
        ("all:\n  hosts:\n    a: b: c\n", 3, "`:`"),
        ("all:\n  vars:\n    a: {{ x }}\n", 3, "must be quoted"),
        ("all:\n  vars:\n    a: {{ x }}/y\n", 3, "must be quoted"),
        ("all:\n  vars:\n    a: 'open\n", 3, "never closed"),
        ("all:\n  vars:\n    a: 1\n    a: 2\n", 4, "a is given twice (first in line 3)"),
        ("all:\n  hosts: [a, b]\n", 2, "not a list"),
        ("- a\n- b\n", 1, "must be a mapping, not a list"),
        ("adhoc: true\n", 1, "not a mapping"),
        ("all:\n  host:\n    a:\n", 2, "host is not part of a group"),
        ("all:\n  hosts:\n    a: text\n", 3, "must be a mapping"),
        ("---\n# nothing yet\n", 1, "empty"),
        ("all:\n  hosts:\n    web[3:1]:\n", 3, "runs backwards"),
        ("all:\n  hosts:\n    web[1-3]:\n", 3, "web[1-3] is neither a host name nor a range"),
        ("all:\n  hosts:\n    '[::1]':\n", 3, "[::1] is neither a host name nor a range"),
        ("all:\n  hosts:\n    web[01:100]:\n", 3, "as many digits"),
        ("all:\n  vars: &x\n    <<: *x\n", 2, "contains itself"),
        ("all:\n---\nall:\n", 2, "second YAML document"),
        ("a:\n  children:\n    b:\n      children:\n        a:\n", 0, "children of each other: a, b"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    error = refusal(tmp_path, text)
    assert error.where is not None and (Path(error.where.file).name, error.where.line) == ("hosts.yml", line)
    assert message in error.message


def test_mistakes_in_files_of_variables_name_that_file(tmp_path: Path) -> None:
    error = refusal(tmp_path, "all: {hosts: {h: }}\n", group_vars__all="a: 1\n- b\n")
    assert error.where is not None and (Path(error.where.file).name, error.where.line) == ("all.yml", 2)
    error = refusal(tmp_path, "all: {hosts: {h: }}\n", group_vars__all="- a\n")
    assert "must be a mapping" in error.message


@pytest.mark.parametrize("raw", [b"all:\n  vars: {a: \xff}\n", b"all:\n  vars: {a: \x01}\n"])
def test_bytes_that_are_no_text_are_told_with_their_line(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "hosts.yml").write_bytes(raw)
    with pytest.raises(InventoryError) as caught:
        load_inventory(tmp_path)
    assert caught.value.where is not None and caught.value.where.line == 2


def test_an_encrypted_file_is_told(tmp_path: Path) -> None:
    text = "$ANSIBLE_VAULT;1.1;AES256\n3061\n"
    assert "Ansible Vault" in refusal(tmp_path, "all: {hosts: {h: }}\n", group_vars__all=text).message


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.sampled_from(list("all:hostsvarschildren \n\t-{}[]'\"&*!#%@|>?,~<0129xé\x00")), max_size=60))
def test_no_text_makes_anything_but_an_inventory_error(tmp_path: Path, text: str) -> None:
    for whole in (text, f"all:\n  hosts:\n    h:\n      {text}\n", f"all:\n  {text}"):
        try:
            for host in loaded(tmp_path, whole).hosts.values():
                data(host)
        except InventoryError as error:
            assert error.fix


def test_deep_nesting_is_no_traceback(tmp_path: Path) -> None:
    assert "nested too deeply" in refusal(tmp_path, "all: {vars: {a: " + "[" * 900 + "]" * 900 + "}}\n").message


def test_a_site_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="there is no inventory"):
        load_inventory(tmp_path / "nowhere")
    with pytest.raises(InventoryError, match="contains no inventory file"):
        load_inventory(tmp_path)
    (tmp_path / "hosts").write_text("[web]\nvm1\n")
    assert list(load_inventory(tmp_path).hosts) == ["vm1"]


def test_group_variables_are_those_of_a_host_in_that_group_only(tmp_path: Path) -> None:
    inventory = loaded(tmp_path, TREE)
    assert inventory.group_variables("outer")["who"].data == "outer vars"
    assert inventory.group_variables("inner")["outer_only"].data == 2
    assert inventory.group_variables("all")["who"].data == "all vars"


def test_the_shipped_site_and_its_example() -> None:
    inventory = load_inventory(CHECKOUT / "inventory")
    assert inventory.adhoc and not inventory.hosts and not inventory.notes
    assert [host.name for host in select_hosts(inventory, "vm1")] == ["vm1"]
    with pytest.raises(NoHosts, match=r"no hosts selected: .* lists none") as caught:
        select_hosts(inventory, "all")
    assert caught.value.exit_code == 1


def test_the_example_in_the_shipped_site_loads(tmp_path: Path) -> None:
    lines = (CHECKOUT / "inventory/hosts.yml").read_text(encoding="utf-8").splitlines()
    example = "\n".join(line[5:] for line in lines if line.startswith("#     ") and "fab" not in line)
    inventory = loaded(tmp_path, example)
    assert inventory.groups["workers"] == tuple(f"worker0{n}.example.com" for n in (1, 2, 3))
    assert inventory.groups["servers"] == ("prefect.example.com",)

"""What each form of inventory gets wrong is told at its line; what is no inventory in a folder is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from encamp.errors import InventoryError
from encamp.inventory.forms import program
from encamp.inventory.load import Inventory, load_inventory
from encamp.inventory.location import folder_of, locate
from tests.trees import write


def refusal(*sources: Path | str) -> InventoryError:
    with pytest.raises(InventoryError) as caught:
        load_inventory([str(source) for source in sources])
    assert caught.value.fix, "an error must say what to do"
    return caught.value


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def data(loaded: Inventory, host: str) -> dict[str, Any]:
    variables = loaded.hosts[host].variables
    return {name: variables[name].data for name in variables}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[web]\nvm1 some thing\n", 2, "a word in a host's line that is not name=value"),
        ("vm1 a='open\n", 1, "a quote that is never closed"),
        ("[web]\nvm1\n[web:vars]\nport 80\n", 4, "a word in [web:vars] that is not name=value"),
        ("[web]\nvm1\n[web:variables]\n", 3, "there is no section variables"),
        ("[web server]\n", 1, "[web server] is not a section"),
        ("[all:children]\nweb db\n", 2, "web db is not the name of a group"),
        ("[a]\nvm1\n[site:children]\na\nweb\n", 5, "[site:children] names the group web, which is declared nowhere"),
        ("vm1\n[web:vars]\na=1\n", 2, "the group web, which is declared nowhere"),
        ("[web]\nvm[3:1]\n", 2, "runs backwards"),
        ("[web]\nvm1:\n", 2, "vm1: ends in a colon"),
        ("[web]\n---\n", 2, "--- begins a YAML file"),
        ("[web]\nvm1\n[web:vars]\nansible_group_priority=high\n", 4, "ansible_group_priority must be a whole number"),
        ("[a:children]\nb\n[b:children]\na\n", 0, "children of each other: a, b"),
    ],
)
def test_mistakes_in_ini_are_told_with_their_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    error = refusal(write(tmp_path, {"hosts.ini": text}) / "hosts.ini")
    assert message in error.message
    assert error.where is not None and (Path(error.where.file).name, error.where.line) == ("hosts.ini", line)


def test_every_value_of_ini_knows_its_line(tmp_path: Path) -> None:
    loaded = load_inventory(write(tmp_path, {"hosts": "# one\n[web]\nvm1 a=1\n\n[web:vars]\n\nb = 3.10\n"}) / "hosts")
    variables = loaded.hosts["vm1"].variables
    assert (variables["a"].origin.line, variables["b"].origin.line) == (3, 7)
    assert (variables["b"].data, variables["b"].text) == (3.1, "3.10")


def test_a_script_that_fails_shows_its_own_words(tmp_path: Path) -> None:
    path = script(tmp_path / "ec2.py", "#!/bin/sh\necho 'Request has expired' >&2\nexit 3\n")
    error = refusal(path)
    assert "`ec2.py --list` exited 3:\n    Request has expired" in error.message
    assert "chmod -x" in error.fix


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "its output is not a mapping"),
        ('{"web": {"hosts": "vm1"}}', "web.hosts is not a list of names"),
        ('{"web": {"vars": []}}', "web.vars is not a mapping"),
        ('{"web": ["vm1"], "_meta": {"hostvars": []}}', "_meta.hostvars is not a mapping"),
    ],
)
def test_what_a_script_prints_wrong_is_told(tmp_path: Path, printed: str, message: str) -> None:
    assert message in refusal(script(tmp_path / "inv", f"#!/bin/sh\necho '{printed}'\n")).message


def test_a_script_without_meta_is_asked_for_each_host_with_a_warning(tmp_path: Path) -> None:
    text = '#!/bin/sh\n[ "$1" = --list ] && echo \'{"web": ["a", "b"]}\' || echo "{\\"name\\": \\"$2\\"}"\n'
    loaded = load_inventory(script(tmp_path / "inv", text))
    assert data(loaded, "a") == {"name": "a"} and data(loaded, "b") == {"name": "b"}
    assert "run once more for each host (2 times, --host)" in loaded.notes[0]


def test_a_script_whose_interpreter_is_missing(tmp_path: Path) -> None:
    error = refusal(script(tmp_path / "inv", "#!/no/such/python\n"))
    assert "it cannot be run: No such file" in error.message and "#!" in error.fix


def test_a_script_that_is_not_executable(tmp_path: Path) -> None:
    error = refusal(write(tmp_path, {"ec2.py": "#!/usr/bin/env python3\nprint('{}')\n"}) / "ec2.py")
    assert "a script, but not executable" in error.message and "chmod +x" in error.fix


def test_plugin_files_name_ansible_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "ansible_inventory", lambda: None)
    error = refusal(write(tmp_path, {"aws_ec2.yml": "plugin: amazon.aws.aws_ec2\nregions: [x]\n"}) / "aws_ec2.yml")
    assert "the inventory plugin amazon.aws.aws_ec2 needs Ansible" in error.message
    assert "pip install ansible" in error.fix and "ansible-inventory -i aws_ec2.yml --list" in error.fix


@pytest.mark.skipif(program.ansible_inventory() is None, reason="Ansible is not installed")
def test_a_plugin_that_fails_shows_ansibles_words(tmp_path: Path) -> None:
    error = refusal(write(tmp_path, {"x.yml": "plugin: no.such.plugin\n"}) / "x.yml")
    assert "no.such.plugin" in error.message and "exited" in error.message


def test_saved_output_of_ansible_inventory_is_read(tmp_path: Path) -> None:
    listed = '{"_meta": {"hostvars": {"a": {"x": 1}}}, "all": {"children": ["web"]}, "web": {"hosts": ["a"]}}'
    loaded = load_inventory(write(tmp_path, {"saved.json": listed}) / "saved.json")
    assert loaded.groups["web"] == ("a",) and data(loaded, "a") == {"x": 1}


def test_what_is_no_inventory_in_a_folder_is_left_alone_and_told(tmp_path: Path) -> None:
    files = {
        "hosts": "[web]\nvm1\n",
        "ec2.ini": "[ec2]\nregions = all\n",
        "vars.yml": "a: 1\nb: {c: d}\n",
        "LICENSE": "You may copy this text.\n",
        "tool.py": "import sys\n",
        "password": "hunter2\n",
        "image.tar": "\0",
        "secrets/vm1+default": "s3cret\n",
        "locks/prefect-3.txt": "x\n",
    }
    write(tmp_path, files)
    (tmp_path / "password").chmod(0o600)
    loaded = load_inventory(tmp_path)
    assert list(loaded.hosts) == ["vm1"] and set(loaded.groups) == {"all", "ungrouped", "web"}
    assert [note for note in loaded.notes if note.endswith("not read: LICENSE, ec2.ini, password, vars.yml")]
    assert [note for note in loaded.notes if "ec2.ini:2" in note]


def test_a_malformed_inventory_in_a_folder_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, {"hosts.yml": "web: {hosts: {vm1: }}\n", "more.yml": "web:\n\thosts:\n"})
    assert "tab" in refusal(tmp_path).message
    write(tmp_path, {"more.yml": "web: {hosts: {vm2: }}\n", "third": "[web]\nvm3 x y\n"})
    assert "third:2" in str(refusal(tmp_path))


def test_variables_below_a_subfolder_are_told(tmp_path: Path) -> None:
    loaded = load_inventory(
        write(tmp_path, {"hosts": "[web]\nvm1\n", "eu/hosts": "[web]\nvm2\n", "eu/group_vars/web.yml": "a: 1\n"})
    )
    assert set(loaded.hosts) == {"vm1", "vm2"} and "a" not in loaded.hosts["vm2"].variables
    assert [note for note in loaded.notes if "eu/group_vars is not read" in note]


def test_a_link_back_to_the_folder_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path, {"hosts": "vm1\n"})
    (tmp_path / "again").symlink_to(".")
    assert list(load_inventory(tmp_path).hosts) == ["vm1"]


def test_the_sources_and_the_folder_of_a_site(tmp_path: Path) -> None:
    one, two = (write(tmp_path / name, {"hosts": "vm1\n"}) for name in ("one", "two"))
    home = str(tmp_path)
    assert locate([], home, {}) == (f"{home}/inventory",)
    assert locate(["a", "b"], home, {"ENCAMP_INVENTORY": "c"}) == ("a", "b")
    assert locate((), home, {"ENCAMP_INVENTORY": f"{one},{two}"}) == (str(one), str(two))
    assert locate((), home, {"ENCAMP_INVENTORY": "vm1,vm2"}) == ("vm1,vm2",)
    assert folder_of(["vm1,", f"{two}/hosts"], home) == two
    assert folder_of(["vm1,"], home) == tmp_path
    (tmp_path / "inventory").mkdir()
    assert folder_of(["vm1,"], home) == tmp_path / "inventory"


def test_an_encrypted_ini_file_keeps_its_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from encamp.secrets.vault import cipher, passwords
    from encamp.secrets.vault.values import holds_secret, with_types
    from encamp.shared.secret import Secret

    (tmp_path / "password").write_text("p")
    monkeypatch.setenv("ENCAMP_VAULT_PASSWORD_FILE", str(tmp_path / "password"))
    passwords.identities.cache_clear()
    try:
        sealed = cipher.encrypt("[web]\nvm1 ansible_password=hunter2 n=5\n", cipher.Identity("", Secret("p")))
        variables = load_inventory(write(tmp_path, {"hosts": sealed}) / "hosts").hosts["vm1"].variables
        assert variables["ansible_password"].data == "hunter2" and holds_secret(variables["ansible_password"].data)
        assert with_types(variables["n"].data) == 5 and holds_secret(variables["n"].data)
    finally:
        passwords.identities.cache_clear()

"""Which of systemd's complaints are about the unit at hand."""

import pytest

from encamp.resources.base import Failure, Refused
from encamp.resources.system import Stat
from encamp.resources.systemd.unit import SystemdUnit, check_accounts, complaints_about
from tests.unit.resources.systemd.double import Answers, show

CANDIDATE = "/run/encamp-verify-x.service/x.service"
# What systemd 247 and 252 said.
SAID = f"""\
/etc/systemd/system/other.service:3: Unknown key 'Foo' in section [Service], ignoring.
{CANDIDATE}:5: Unknown key 'Restat' in section [Service], ignoring.
x.service: Command /opt/nope is not executable: No such file or directory
other.service: Command /opt/zzz is not executable: No such file or directory
x.service: Failed to create x.service/start: Unit zzz.service not found.
Unit x.service has a bad unit file setting.
prefix-x.service: Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing.
"""


def test_only_complaints_about_the_unit_itself_count():
    assert complaints_about("x.service", CANDIDATE, SAID) == [
        "x.service:5: Unknown key 'Restat' in section [Service], ignoring.",
        "x.service: Command /opt/nope is not executable: No such file or directory",
        "Unit x.service has a bad unit file setting.",
    ]


def test_a_template_is_verified_as_an_instance():
    said = "t@i.service: Command /opt/nope is not executable: No such file or directory\ntt@i.service: no"
    assert complaints_about("t@.service", "/run/t@.service", said) == [said.splitlines()[0]]


@pytest.mark.parametrize("text", ["User=prefect", "Group = prefect", "SupplementaryGroups=adm prefect"])
def test_an_account_that_does_not_exist_fails(text):
    class Accounts(Answers):
        def query(self, argv, **_):
            result = super().query(argv)
            return result if "prefect" not in argv else type(result)(tuple(argv), 2, "", "")

    with pytest.raises(Failure, match="prefect, which does not exist"):
        check_accounts(Accounts(), "x.service", f"[Service]\n{text}\n")
    check_accounts(Accounts(), "x.service", f"[Service]\nDynamicUser=yes\n{text}\n")


def test_specifiers_are_systemds_to_fill_in():
    host = Answers()
    check_accounts(host, "x@.service", "[Service]\nUser=%i\n")
    assert host.asked == []


def test_a_right_file_that_systemd_has_not_read():
    files = {"/etc/systemd/system/x.service": "[Service]\n"}
    unit = SystemdUnit("x.service", "[Service]\n")
    assert unit.check(Answers(files, show())) == []
    for unread in ({"NeedDaemonReload": "yes"}, {"LoadState": "not-found"}):
        assert [change.what for change in unit.check(Answers(files, show(**unread)))] == ["loaded by systemd"]


def test_a_masked_unit_is_the_owners_decision():
    class Masked(Answers):
        def stat(self, path):
            return Stat("symlink", 0o777, "root", "root", 9, 0.0, "/dev/null")

    with pytest.raises(Refused, match="masked"):
        SystemdUnit("x.service", "[Service]\n").check(Masked())

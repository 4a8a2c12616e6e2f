"""Which of systemd's complaints are about the unit at hand."""

from encamp.resources.systemd.verification import check_accounts, complaints_about
from tests.unit.resources.systemd.double import Answers

CANDIDATE = "/run/encamp-verify-x.service/x.service"
# What systemd 247 and 252 said.
SAID = f"""\
/etc/systemd/system/other.service:3: Unknown key 'Foo' in section [Service], ignoring.
{CANDIDATE}:5: Unknown key 'Restat' in section [Service], ignoring.
x.service: Command /opt/nope is not executable: No such file or directory
other.service: Command /opt/zzz is not executable: No such file or directory
x.service: Failed to create x.service/start: Unit zzz.service not found.
x.service: Service x.service not loaded, socket cannot be started.
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


def test_specifiers_are_systemds_to_fill_in():
    host = Answers()
    check_accounts(host, "x@.service", "[Service]\nUser=%i\n")
    assert host.asked == []

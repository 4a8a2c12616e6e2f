"""What the owner's firewall rules deny before encamp's, as the doctor tells it at any time."""

from __future__ import annotations

from encamp.resources.firewall.port import FirewallPort
from roles.doctor.kinds.findings import WARN
from roles.doctor.kinds.server.denials import check_denials
from roles.doctor.kinds.server.doctor import ServerDoctor
from roles.doctor.kinds.server.subject import ServerSubject
from tests.unit.resources.systemd.double import Answers

OPENING = FirewallPort("prefect-default", 4200)
OPEN = "### tuple ### allow tcp 4200 0.0.0.0/0 any 0.0.0.0/0 in comment=656e63616d703a707265666563742d64656661756c74\n"
DENIED = "### tuple ### deny any any 0.0.0.0/0 any 198.51.100.0/24 in\n"


def subject(rules: str) -> ServerSubject:
    host = Answers({"/etc/ufw/ufw.conf": "ENABLED=yes\n", "/etc/ufw/user.rules": rules}, {"ufw": ""})
    return ServerSubject(host, ServerDoctor("default", "prefect-server.service", openings=(OPENING,)))


def test_a_denial_before_the_opening_is_told() -> None:
    found = check_denials(subject(DENIED + OPEN))
    assert found is not None and found.status == WARN
    assert found.text.startswith("ufw's rule `deny from 198.51.100.0/24`") and "4200/tcp" in found.text


def test_one_behind_it_has_no_effect() -> None:
    assert check_denials(subject(OPEN + DENIED)) is None

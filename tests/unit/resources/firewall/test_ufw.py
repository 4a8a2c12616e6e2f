"""ufw's rules files, and what is missing from them."""

from encamp.resources.firewall.port import FirewallPort
from encamp.resources.firewall.ufw import parse_rules
from tests.unit.resources.systemd.double import Answers

MARK = b"encamp:prefect-default".hex()
USER = (
    "### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n### tuple ### limit tcp 8080 0.0.0.0/0 any 0.0.0.0/0 in\n"
)
OURS = f"### tuple ### allow tcp 4200 0.0.0.0/0 any 0.0.0.0/0 in comment={MARK}\n"
OURS6 = f"### tuple ### allow tcp 4200 ::/0 any ::/0 in comment={MARK}\n"
LOADED = "-A ufw-user-input -p tcp -m tcp --dport 4200 -j ACCEPT\n"
LOADED6 = LOADED.replace("ufw-", "ufw6-")


def host(user: str = USER, user6: str = "", loaded: str = "", loaded6: str = "", enabled: str = "yes") -> Answers:
    files = {
        "/etc/ufw/ufw.conf": f"# comment\nENABLED={enabled}\n",
        "/etc/default/ufw": "IPV6=yes\n",
        "/etc/ufw/user.rules": user,
        "/etc/ufw/user6.rules": user6,
    }
    return Answers(files, {"ufw": "", "iptables": loaded, "ip6tables": loaded6})


def changes(on: Answers, **fields: object) -> list[str]:
    return [str(change) for change in FirewallPort("prefect-default", **{"port": 4200, **fields}).check(on)]


def test_comments_and_rules_of_other_shapes():
    text = (
        "### tuple ### allow any 22 0.0.0.0/0 any 0.0.0.0/0 OpenSSH - in\n"
        "### tuple ### deny tcp 4200 0.0.0.0/0 any 10.0.0.0/8 in_eth0 comment=zz\n" + OURS
    )
    rules = list(parse_rules(text, 4))
    assert [(rule.action, rule.port, rule.direction, comment) for rule, comment in rules] == [
        ("deny", "4200", "in_eth0", ""),
        ("allow", "4200", "in", "encamp:prefect-default"),
    ]


def test_open_needs_both_ip_versions_and_the_kernel():
    assert changes(host()) == ["ufw: missing -> 4200/tcp from anywhere"]
    assert changes(host(USER + OURS, "", LOADED, LOADED6)) == ["ufw: missing -> 4200/tcp from anywhere"]
    assert changes(host(USER + OURS, OURS6, LOADED)) == ["ufw, loaded rules: missing -> 4200/tcp from anywhere"]
    assert changes(host(USER + OURS, OURS6, LOADED, LOADED6)) == []


def test_a_rule_of_the_owners_serves_as_well():
    comment = f" comment={MARK}"
    assert changes(host(OURS.replace(comment, ""), OURS6.replace(comment, ""), LOADED, LOADED6)) == []


def test_a_change_of_port_removes_our_rules_and_only_ours():
    assert changes(host(USER + OURS, OURS6, LOADED, LOADED6), port=4300) == [
        "ufw: remove the old rule for 0.0.0.0/0",
        "ufw: remove the old rule for ::/0",
        "ufw: missing -> 4300/tcp from anywhere",
    ]


def test_absent_finds_our_rules_in_a_disabled_ufw():
    assert len(changes(host(USER + OURS, OURS6, enabled="no"), ensure="absent")) == 2
    assert changes(host(enabled="no"), ensure="absent") == []


def test_single_hosts_are_written_without_a_length():
    rule = f"### tuple ### allow tcp 4200 0.0.0.0/0 any 192.0.2.7 in comment={MARK}\n"
    loaded = "-A ufw-user-input -s 192.0.2.7/32 -p tcp -m tcp --dport 4200 -j ACCEPT\n"
    assert changes(host(rule, "", loaded), sources=("192.0.2.7",)) == []

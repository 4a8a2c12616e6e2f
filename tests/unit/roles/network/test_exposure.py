"""What a host knows of its own addresses, and what a change of auth means for others."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.resources.base import Refused
from encamp.shared.secret import Secret
from roles.client.kinds.installed import ClientPrefect
from roles.network.kinds.exposure import Exposure, is_public
from roles.prefect.kinds.api import Api
from roles.prefect.kinds.api_auth import ApiAuth, unguarded
from tests.unit.resources.systemd.double import Answers
from tests.unit.roles.client.laptop import Laptop
from tests.unit.roles.prefect.test_api import Server, server  # noqa: F401

TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
           |-- 127.0.0.1
              /32 host LOCAL
     +-- {network}/24 2 0 2
        |-- {network}
           /24 link UNICAST
        |-- {address}
           /32 host LOCAL
"""
IF_INET6 = """00000000000000000000000000000001 01 80 10 80       lo
fe80000000000000021132fffe000001 02 40 20 80     eth0
262000fe000000000000000000000009 02 40 00 00     eth0
"""
UFW = {"/etc/ufw/ufw.conf": "ENABLED=yes\n"}


def trie(address: str) -> str:
    return TRIE.format(address=address, network=address.rpartition(".")[0] + ".0")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("9.9.9.9", True),
        ("2620:fe::fe", True),
        ("::ffff:9.9.9.9", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("198.18.0.1", False),
        ("169.254.1.1", False),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("203.0.113.7", False),
        ("224.0.0.251", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("2001:db8::1", False),
        ("ff0e::1", False),
        ("::ffff:10.0.0.1", False),
        ("vm1", False),
        ("", False),
    ],
)
def test_which_addresses_the_world_reaches(address: str, public: bool) -> None:
    assert is_public(address) == public


def test_a_host_with_private_addresses_passes_and_starts_nothing() -> None:
    host = Answers({"/proc/net/fib_trie": trie("10.0.0.5"), "/proc/net/if_inet6": IF_INET6})
    assert Exposure("default", "0.0.0.0", 4200).check(host) == []
    assert host.asked == [] and host.notes == []


@pytest.mark.parametrize(
    ("bind", "found"), [("0.0.0.0", "9.9.9.9"), ("::", "2620:fe::9"), ("9.9.9.9", "9.9.9.9"), ("127.0.0.1", "")]
)
def test_the_hosts_own_addresses_count_where_the_server_listens(bind: str, found: str) -> None:
    host = Answers({"/proc/net/fib_trie": trie("9.9.9.9"), "/proc/net/if_inet6": IF_INET6})
    kind = Exposure("default", bind, 4200)
    if not found:
        assert kind.check(host) == []
        return
    with pytest.raises(Refused, match=f"public address {found}, and the API has neither"):
        kind.check(host)


def test_a_proxy_listens_with_both_versions_of_ip() -> None:
    files = {"/proc/net/fib_trie": trie("10.0.0.5"), "/proc/net/if_inet6": IF_INET6}
    with pytest.raises(Refused, match="public address 2620:fe::9, and the API has neither"):
        Exposure("default", "*", 443).check(Answers(files))
    outputs = {"getent ahosts p.example.com": "2620:fe::8  STREAM p.example.com\n"}
    with pytest.raises(Refused, match=r"p\.example\.com is the public address 2620:fe::8"):
        Exposure("default", "*", 443, names=("p.example.com",)).check(Answers({}, outputs))


def test_a_public_name_counts_on_a_host_behind_address_translation() -> None:
    outputs = {"getent ahosts p.example.com": "9.9.9.9  STREAM p.example.com\n9.9.9.9  DGRAM\n"}
    host = Answers({"/proc/net/fib_trie": trie("10.0.0.5")}, outputs)
    for bind in ("0.0.0.0", "127.0.0.1"):
        with pytest.raises(Refused, match=r"p\.example\.com is the public address 9\.9\.9\.9"):
            Exposure("default", bind, 4200, names=("p.example.com",)).check(host)
    assert Exposure("default", "::", 4200, names=("p.example.com",)).check(host) == []
    assert Exposure("default", "0.0.0.0", 4200, names=("nowhere.example.com",)).check(host) == []


def test_sources_are_a_limit_only_with_a_firewall() -> None:
    kind = Exposure("default", "0.0.0.0", 4200, sources=("192.0.2.0/24",))
    files = {"/proc/net/fib_trie": trie("9.9.9.9")}
    with pytest.raises(Refused, match="allowed_sources does not protect it") as refused:
        kind.check(Answers(files))
    assert "enable a firewall" in refused.value.fix
    assert kind.check(Answers({**files, **UFW}, {"ufw": "Status: active\n"})) == []
    with pytest.raises(Refused):
        kind.check(Answers({**files, "/etc/ufw/ufw.conf": "ENABLED=no\n"}, {"ufw": ""}))


# -- auth that changes -------------------------------------------------------------------------------------------------

ENV = "/etc/prefect/default/server.env"
NAME = "PREFECT_SERVER_API_AUTH_STRING"
OURS, THEIRS = f"{NAME}=admin:{'a' * 32}", f"{NAME}=admin:{'b' * 32}"


def api_auth(line: str, generated: bool = True, renew: bool = False) -> ApiAuth:
    kept = "secrets/vm1+default+api-auth" if generated else ""
    return ApiAuth("default", ENV, NAME, Secret(line) if line else None, kept_in=kept, renew=renew, tell=True)


@pytest.mark.parametrize(
    ("present", "kind", "told"),
    [
        (None, api_auth(OURS), ""),
        (OURS, api_auth(OURS), ""),
        ("", api_auth("", False), ""),
        ("", api_auth(OURS), "is being enabled: the API refuses clients"),
        (OURS, api_auth("", False), "is being disabled: anyone who can reach"),
        (OURS, api_auth(f'{NAME}="me:my own"', False), "changes: the API refuses clients"),
        (f'{NAME}="me:my own"', api_auth(OURS), "changes"),
        (THEIRS, api_auth(OURS, renew=True), "changes"),
    ],
)
def test_who_is_locked_out_is_told_before(present: str | None, kind: ApiAuth, told: str) -> None:
    host = Answers({} if present is None else {ENV: f"PREFECT_HOME=/x\n{present}\n"})
    assert kind.check(host) == []
    assert told in "".join(host.notes) and len(host.notes) == bool(told)
    assert "admin:" not in "".join(host.notes)


def test_a_string_that_another_machine_made_is_not_replaced() -> None:
    with pytest.raises(Refused, match="differs from the one on this machine") as refused:
        api_auth(OURS).check(Answers({ENV: f"{THEIRS}\n"}))
    assert "copy secrets/vm1+default+api-auth" in refused.value.fix and "auth_renew=true" in refused.value.fix
    assert "bbbb" not in str(refused.value)


def test_clients_that_cannot_send_what_the_server_asks_for() -> None:
    kind = ClientPrefect("hosted", "3.8.8", auth_since="3.1.8", csrf_since="2.16.5")
    assert "CSRF tokens" in ClientPrefect("hosted", csrf_since="2.16.5")._problem("2.14.21", "3.8.8")
    assert "user and password" in kind._problem("2.20.26", "3.8.8")
    assert kind._problem("3.8.8", "3.8.8") == ""


def test_a_server_that_does_not_ask_for_auth_is_found_out(tmp_path: Path, server: Server) -> None:  # noqa: F811
    host = Laptop(str(tmp_path))
    api = Api(f"{server.url}/api", Secret("admin:x"))
    problem = unguarded(host, api)
    assert problem is not None and "responds without user and password" in problem.reason and problem.settled
    server.table["GET /api/admin/version"] = (401, {"exception_message": "Unauthorized"})
    assert unguarded(host, api) is None
    server.table["GET /api/admin/version"] = (502, "")
    assert "HTTP 502" in str(unguarded(host, api))
    assert unguarded(host, Api(f"{server.url}/api")) is None
    assert "Authorization" not in {name for _, headers in server.seen for name in headers}

"""What an attempt to connect and the packets that it left on the host mean together; and how packets are counted."""

from __future__ import annotations

import json
import os
import socket
import threading
from typing import Any

import pytest

from encamp.transport import knock
from roles.doctor.kinds.arrivals import IPV4, IPV6, openings_of
from roles.doctor.kinds.findings import FAIL, WARN
from roles.doctor.kinds.server.doctor import ServerDoctor
from roles.doctor.kinds.server.outside import closed
from roles.doctor.kinds.server.subject import ServerSubject
from roles.prefect.kinds.endpoint import Endpoint
from tests.unit.resources.systemd.double import Answers

ENDPOINT = Endpoint("http", "203.0.113.9", 4200)
CAME = {"198.51.100.7": 3}
CHAIN = {"family": "inet", "table": "filter", "name": "input", "hook": "input", "policy": "accept"}
RULES = {
    "nftables": [
        {"chain": CHAIN},
        {"rule": {"family": "inet", "table": "filter", "chain": "input", "expr": [{"match": {}}, {"drop": None}]}},
        {"chain": {**CHAIN, "table": "own", "name": "first", "policy": "drop"}},
        {"chain": {**CHAIN, "name": "forward", "hook": "forward", "policy": "drop"}},
    ]
}
NFT = {"nft -j list ruleset": json.dumps(RULES)}


def meaning(result: str, sources: dict[str, int], outputs: dict[str, str], limit: tuple[str, ...] = ()) -> Any:
    host = Answers(outputs=outputs)
    subject = ServerSubject(host, ServerDoctor("default", "prefect-server.service", server="vm1", sources=limit))
    return closed(subject, ENDPOINT, {"result": result, "text": "no answer within 4 s"}, sources)


@pytest.mark.parametrize(
    ("result", "sources", "outputs", "status", "words"),
    [
        ("silent", {}, {}, WARN, "dropped before this host: a cloud's firewall"),
        ("refused", {}, {}, WARN, "refused before this host"),
        ("silent", CAME, NFT, FAIL, "nftables table inet own, chain first (policy drop)"),
        ("silent", CAME, NFT, FAIL, "nftables table inet filter, chain input"),
        ("silent", CAME, {"firewall-cmd --state": "running"}, FAIL, "firewalld"),
        ("refused", CAME, {"ss": ""}, WARN, "nothing listens on port 4200 here"),
        ("refused", CAME, {"ss": "LISTEN 0 1 127.0.0.1:4200 0.0.0.0:*"}, WARN, "it listens on 127.0.0.1 only"),
        ("refused", CAME, {"ss": "LISTEN 0 1 0.0.0.0:4200 0.0.0.0:*", **NFT}, WARN, "this host rejects it"),
        ("failed", {}, {}, WARN, ""),
    ],
)
def test_where_packets_are_lost(
    result: str, sources: dict[str, int], outputs: dict[str, str], status: str, words: str
) -> None:
    found = meaning(result, sources, outputs)
    assert found.status == status and words in found.cause and "forward" not in found.cause
    assert ("3 packets arrived here, from 198.51.100.7" in found.text) == bool(sources)


@pytest.mark.parametrize(
    ("peers", "words"),
    [
        ("ESTAB 0 0 203.0.113.9:4200 192.0.2.5:50123\nTIME-WAIT 0 0 203.0.113.9:4200 192.0.2.5:50124", "192.0.2.5"),
        ("ESTAB 0 0 [::ffff:203.0.113.9]:4200 [::ffff:192.0.2.5]:50123", "192.0.2.5"),
        ("ESTAB 0 0 [2001:db8::9]:4200 [2001:db8::5]:50123", "2001:db8::5"),
    ],
)
def test_packets_of_clients_that_are_served_are_not_those_of_the_attempt(peers: str, words: str) -> None:
    served = {"ss -Htn state connected": peers}
    before = meaning("silent", {words: 4}, {**served, **NFT})
    assert "no packet of it arrived here" in before.text and "dropped before this host" in before.cause
    here = meaning("silent", {words: 4, **CAME}, {**served, **NFT})
    assert "3 packets arrived here, from 198.51.100.7" in here.text and "nftables" in here.cause


def test_limited_sources_may_be_meant() -> None:
    found = meaning("silent", CAME, NFT, ("192.0.2.0/24",))
    assert found.status == WARN and "no mistake if this machine is not in allowed_sources" in found.fix


def test_the_controller_connects_only_where_the_plan_says() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        door = ("127.0.0.1", int(listener.getsockname()[1]))
        assert json.loads(knock.answer(*door, {door}))["result"] == "open"
        refused = json.loads(knock.answer(*door, {("127.0.0.1", 1)}))
        assert refused["result"] == "failed" and "not asked" in refused["text"]
    assert json.loads(knock.answer(*door, {door}))["result"] == "refused"
    nowhere = ("no-such-name.invalid", 1)
    assert json.loads(knock.answer(*nowhere, {nowhere}))["result"] == "failed"


@pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets take root; the integration tests count as root, too")
@pytest.mark.parametrize(
    ("protocol", "family", "here"), [(IPV4, socket.AF_INET, "127.0.0.1"), (IPV6, socket.AF_INET6, "::1")]
)
def test_the_kernel_keeps_openings_of_this_port_only(protocol: int, family: int, here: str) -> None:
    """Over loopback, which the doctor itself leaves out."""
    from roles.doctor.kinds import arrivals

    with socket.socket(family) as listener, socket.socket(family) as other:
        for each in (listener, other):
            each.bind((here, 0))
            each.listen()
        port = int(listener.getsockname()[1])
        assert len(openings_of(protocol, port)) % 8 == 0
        with arrivals._listening(protocol, port) as kept:
            threads = [
                threading.Thread(target=socket.create_connection, args=(each.getsockname()[:2],))
                for each in (listener, other)
            ]
            for thread in threads:
                thread.start()
                thread.join()
            seen = []
            while True:
                try:
                    seen.append(kept.recv(65535))
                except BlockingIOError:
                    break
            assert len(seen) == 1, "the one opening, as received; no data, no other port"


@pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets take root; the integration tests count as root, too")
def test_what_comes_before_the_filter_is_in_place_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket receives from its first moment on: other packets would pass for openings."""
    from roles.doctor.kinds import arrivals

    def meanwhile(protocol: int, port: int) -> bytes:
        with socket.socket() as other, socket.socket() as client:
            other.bind(("127.0.0.1", 0))
            other.listen()
            client.connect(other.getsockname())
        return openings_of(protocol, port)

    monkeypatch.setattr(arrivals, "openings_of", meanwhile)
    with arrivals._listening(IPV4, 1) as kept, pytest.raises(BlockingIOError):
        kept.recv(65535)

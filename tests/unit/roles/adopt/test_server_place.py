"""The refusal where a hand-made server stands in the way: what it is and holds, and the command that continues it."""

from __future__ import annotations

from typing import Any

import pytest

from encamp.resources.base import Refused
from encamp.resources.systemd import owners
from encamp.shared.secret import Secret
from encamp.transport import bundle
from roles.adopt.kinds import in_the_way
from roles.adopt.kinds.adoption import FOLDER
from roles.adopt.kinds.found import FoundServer
from roles.adopt.kinds.inquiry import Answer
from roles.adopt.kinds.keeper import Keeper
from roles.adopt.kinds.processes import Process
from roles.adopt.kinds.server_place import ADOPTED, ServerPlace
from tests.unit.resources.case_host import CaseHost

PLACE = ServerPlace(4200, "prefect-server.service", "default", "vm1")
LISTENING = {
    "/proc/net/tcp": "  sl  local_address rem_address st\n 0: 00000000:1068 00000000:0000 0A 0:0 0:0 0 0 0 4711 1\n",
    "/proc/42/comm": "prefect\n",
    "/proc/42/cgroup": "0::/system.slice/orchestrator.service\n",
}


def server(name: str) -> FoundServer:
    counts = {"flows": 4, "flow runs": 310}
    url = Secret("postgresql+asyncpg://u:hidden@db/etl")
    answer = Answer("3.4.2", "3.11", "/h", url, None, "", "", "", "", counts=counts)
    process = Process(42, "server", "flows", ("python",), "/", {}, Keeper("unit", name, "flows", name))
    return FoundServer(name, process, "", True, "0.0.0.0", 4200, answer)


def refused(call: Any, servers: list[FoundServer], monkeypatch: pytest.MonkeyPatch) -> Refused:
    monkeypatch.setattr(in_the_way, "found_servers", lambda host: servers)
    with pytest.raises(Refused) as raised:
        call()
    return raised.value


def test_a_server_on_the_port_is_named_with_what_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    host = CaseHost({"files": LISTENING, "links": {"/proc/42/fd/7": "socket:[4711]"}})
    error = refused(lambda: PLACE.check(host), [server("orchestrator.service")], monkeypatch)
    assert "port 4200 is already in use by prefect (pid 42, orchestrator.service)" in error.reason
    assert (
        "orchestrator.service (user flows, Prefect 3.4.2, postgresql+asyncpg://***@db/etl, 4 flows, 310 flow runs)"
        in error.reason
    )
    assert error.fix.startswith("`fab -H vm1 adopt` continues it with its data")
    assert "`systemctl stop orchestrator.service`" in error.fix


def test_a_server_with_the_name_of_encamps_unit_is_named_with_what_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/etc/systemd/system/prefect-server.service"
    host = CaseHost({"files": {path: "[Service]\nUser=flows\n"}, "units": {"prefect-server.service": {}}})
    monkeypatch.setattr(in_the_way, "found_servers", lambda host: [server("prefect-server.service")])
    assert PLACE.check(host) == []  # the run is refused as a whole, with all that is the owner's
    with pytest.raises(Refused) as raised:
        owners.refuse_foreign(host, "prefect-server.service", "# Managed by encamp")
    error = raised.value
    assert "a unit prefect-server.service that encamp did not write" in error.reason
    assert "310 flow runs" in error.reason
    assert "`fab -H vm1 adopt`" in error.fix


def test_another_program_is_refused_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {**LISTENING, "/proc/42/comm": "nginx\n"}
    host = CaseHost({"files": files, "links": {"/proc/42/fd/7": "socket:[4711]"}})
    error = refused(lambda: PLACE.check(host), [], monkeypatch)
    assert error.reason == "port 4200 is already in use by nginx (pid 42, orchestrator.service)"
    assert "adopt" not in error.fix


def test_a_free_place_costs_a_host_no_sources_of_adoptions() -> None:
    assert PLACE.check(CaseHost({})) == []
    ours = {"/etc/systemd/system/prefect-server.service": "# Managed by encamp: x\n"}
    assert PLACE.check(CaseHost({"files": ours})) == []  # nor a process
    sent = [
        name for name in bundle.sources(["roles.adopt.kinds.server_place"]) if name.startswith("roles.adopt.kinds.")
    ]
    assert sent == ["roles.adopt.kinds.server_place"]
    assert ADOPTED == FOLDER

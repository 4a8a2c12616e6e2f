"""What a deploy says of the addresses that it tried from this machine; test_proxies tries real ones."""

from __future__ import annotations

import pytest

from encamp.commands.from_here import Proof, exit_code_of, report_proofs
from roles.doctor.from_here import Seen
from roles.doctor.kinds.findings import fail

URL = "http://vm1:4200/api"
REFUSED, TYPE = fail("4200 refuses connections"), fail("the script has the type text/plain", "a proxy", "let it pass")


@pytest.mark.parametrize(
    ("proof", "code", "text"),
    [
        (Proof(Seen(URL, "well"), ()), 0, f"{URL} responds to this machine: API, WebSockets, UI"),
        (Proof(Seen(URL, "near"), ()), 0, "was not proven from another host; this machine cannot: it is the server"),
        (Proof(Seen(URL, "not reached", REFUSED), ()), 0, "this machine cannot: 4200 refuses connections\n"),
        (Proof(Seen(URL, "not reached", REFUSED), ("vm2",)), 0, f"{URL} responds to workers (vm2), but was not tried"),
        (Proof(Seen(URL, "wrong", TYPE), ("vm2",)), 2, f"FAILED  {URL}, as this machine sees it: the script has"),
    ],
)
def test_each_end_has_its_line(proof: Proof, code: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of([proof]) == code
    report_proofs([proof])
    assert text in capsys.readouterr().out

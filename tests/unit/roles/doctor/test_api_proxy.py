"""A worker whose variables send its API calls to a proxy: named, and told apart by what the proxy answers."""

from __future__ import annotations

from typing import Any

import pytest

from encamp.resources.system import HttpAnswer
from roles.doctor.kinds.api_proxy import examine
from roles.doctor.kinds.api_target import ApiTarget
from tests.unit.resources.case_host import CaseHost


class Behind(CaseHost):
    """A host whose proxy answers the health of the API with a status."""

    def __init__(self, status: int) -> None:
        super().__init__({})
        self.status, self.asked = status, ""

    def http(self, method: str, url: str, *more: Any, proxy: Any = "", **others: Any) -> HttpAnswer:
        self.asked = f"{url} by {proxy.reveal()}"
        return HttpAnswer(self.status)


def found(environment: dict[str, str], status: int = 503, url: str = "http://vm1.example.com:4200/api") -> Any:
    host: Any = Behind(status)
    target = ApiTarget(host, url, where="", version="3.9.1")
    return examine(host, environment, target), host.asked


PROXY = {"HTTP_PROXY": "http://u:s3cret@p:3128"}


def test_a_proxy_that_swallows_the_calls_is_named_without_its_password() -> None:
    finding, asked = found(PROXY)
    assert asked == "http://vm1.example.com:4200/api/health by http://u:s3cret@p:3128"
    assert finding.status == "FAIL" and "http://p:3128, which answers: HTTP 503" in finding.text
    assert "add vm1.example.com to no_proxy" in finding.fix and "s3cret" not in str(vars(finding))


def test_a_proxy_that_carries_them_is_a_detour() -> None:
    finding, _ = found(PROXY, 200)
    assert finding.status == "warn" and "detour" in finding.text


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, "http://vm1/api"),
        ({"https_proxy": "http://p:1"}, "http://vm1:4200/api"),
        ({**PROXY, "no_proxy": ".example.com"}, "http://vm1.example.com:4200/api"),
        ({**PROXY, "NO_PROXY": "127.0.0.1"}, "http://127.0.0.1:4200/api"),
    ],
)
def test_calls_that_no_proxy_sees(environment: dict[str, str], url: str) -> None:
    assert found(environment, url=url) == (None, "")


@pytest.mark.parametrize("names", ["*.example.com", "10.0.0.0/8", ""])
def test_exceptions_that_httpx_does_not_read(names: str) -> None:
    finding, _ = found({"all_proxy": "http://p:1", "NO_PROXY": names})
    assert finding.status == "FAIL"

"""URLs taken apart and put together again."""

from __future__ import annotations

import pytest

from roles.prefect.kinds.endpoint import Endpoint


@pytest.mark.parametrize(
    ("url", "endpoint", "text"),
    [
        ("http://vm1:4200/api", Endpoint("http", "vm1", 4200, "/api"), "http://vm1:4200/api"),
        ("https://p.example.com/", Endpoint("https", "p.example.com", 443), "https://p.example.com:443"),
        ("http://[2001:db8::7]/a/", Endpoint("http", "2001:db8::7", 80, "/a"), "http://[2001:db8::7]:80/a"),
        ("http://user:pw@vm1:1/x", Endpoint("http", "vm1", 1, "/x"), "http://vm1:1/x"),
    ],
)
def test_an_address_is_taken_apart_and_put_together(url: str, endpoint: Endpoint, text: str) -> None:
    assert Endpoint.of(url) == endpoint
    assert str(endpoint) == text
    assert Endpoint.of(text) == endpoint


@pytest.mark.parametrize("bad", ["vm1:4200/api", "ftp://h/", "http://", "/api", "", "http://h:port/"])
def test_other_texts_are_refused(bad: str) -> None:
    with pytest.raises(ValueError):
        Endpoint.of(bad)

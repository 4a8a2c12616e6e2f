"""What a password answers, and what needs a person."""

from __future__ import annotations

import pytest

from encamp.ssh.prompts import wants_password


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("Password:", True),
        ("deploy@198.18.0.1's password:", True),
        ("(deploy@vm1) Mot de passe :", True),
        ("Password & verification code:", True),
        ("Verification code:", False),
        ("One-time password (OATH) for `deploy':", False),
        ("Passcode or option (1-3):", False),
        ("Enter PIN for ED25519-SK key:", False),
        ("YubiKey for `deploy':", False),
    ],
)
def test_what_a_server_asks_for(prompt: str, wanted: bool) -> None:
    assert wants_password(prompt) is wanted

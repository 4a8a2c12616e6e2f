"""What a password answers, and what needs a person."""

from __future__ import annotations

import pytest

from encamp.ssh.prompts import wants_password


def test_a_one_time_password_is_not_the_password_asked_again() -> None:
    """The password was offered, and a person is there: the code is theirs to type."""
    from encamp.shared.secret import Secret
    from encamp.ssh.config import Hop
    from encamp.ssh.login import LoginRefused, _Login
    from encamp.ssh.target import Policy

    asked: list[str] = []

    def ask(prompt: str, echo: bool) -> str:
        asked.append(prompt)
        return "271828"

    hop = Hop("vm", "vm", 22, "you")
    login = _Login(None, hop, Policy(password=Secret("hunter2"), ask=ask), ())  # type: ignore[arg-type]
    assert login._answers("", "", [("Password: ", False)]) == ["hunter2"]
    assert login._answers("", "", [("One-time password (OATH) for `you': ", False)]) == ["271828"]
    with pytest.raises(LoginRefused, match="asks 'Password:' again after it got the password"):
        login._answers("", "", [("Password: ", False)])
    assert len(asked) == 1


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

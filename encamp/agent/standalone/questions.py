"""Secrets that a script asks its user for."""

from __future__ import annotations

import getpass
import sys
from typing import Any, Mapping, Optional, Sequence

from encamp.shared.secret import Secret

#: Marks the place of an answer in a job, by its number among the questions.
PLACE = "$answer"
TRIES = 3


def answers(questions: Sequence[Mapping[str, str]]) -> Optional[list[Secret]]:
    """The login for each question, from the terminal, or a line each from standard input; None where one is missing.

    A question has the API's ``url``, and the ``user`` where it is known: then the password alone is enough.
    """
    found = []
    for question in questions:
        login = _login(question)
        if login is None:
            print("failed   no login was given, as user:password; nothing was changed", file=sys.stderr)
            return None
        found.append(Secret(login))
    return found


def _login(question: Mapping[str, str]) -> Optional[str]:
    """What was typed, as ``user:password``."""
    user = question["user"]
    form = f"password of {user}" if user else "user:password"
    for _ in range(TRIES):
        typed = _asked(f"login of {question['url']} ({form}): ")
        whole = not user or typed.startswith(f"{user}:")
        login = typed if whole or not typed else f"{user}:{typed}"
        if all(login.partition(":")):
            return login
    return None


def _asked(prompt: str) -> str:
    """One line, without an echo on a terminal. Elsewhere (a pipe; Git Bash on Windows, where getpass never returns) as
    it comes."""
    try:
        if sys.stdin.isatty():
            return getpass.getpass(prompt).strip()
        print(prompt, end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip()
    except EOFError:
        return ""


def filled_in(data: Any, given: Sequence[Secret]) -> Any:
    """``data`` with each answer in its place, in the form of the wire."""
    if isinstance(data, list):
        return [filled_in(item, given) for item in data]
    if not isinstance(data, dict):
        return data
    if PLACE in data:
        return {"$secret": given[data[PLACE]].reveal()}
    return {key: filled_in(item, given) for key, item in data.items()}

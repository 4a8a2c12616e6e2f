"""Asks a hand-made server's own installation what it is: nothing else knows all the ways its release reads settings."""

from __future__ import annotations

import json
from typing import Any, Mapping, Optional, Sequence

from encamp.resources.system import Reader, Result
from encamp.shared.record import factory, record
from encamp.shared.secret import Secret
from roles.adopt.kinds.inquiry_script import SCRIPT

SECONDS = 180.0
#: What a container is given again: its entry point may have set it, and `docker exec` does not know of it.
_PASSED_ON = ("PREFECT_", "ORION_", "PG", "VIRTUAL_ENV", "PATH", "HOME")


@record
class Answer:
    """What an installation says of itself.

    ``sqlite`` is the path of the database file, empty for Postgres. ``given`` are the PREFECT_* settings that are set,
    ``counts`` numbers by what is counted ("flow runs"). ``problem``: why the database could not be read.
    """

    release: str
    python: str
    home: str
    database_url: Secret
    auth: Optional[Secret]
    api_url: str
    ui_api_url: str
    host: str
    port: str
    sqlite: str = ""
    given: Mapping[str, Secret] = factory(dict)
    counts: Mapping[str, int] = factory(dict)
    problem: str = ""


@record
class Question:
    """Where to ask: the interpreter, the user and the environment of the server; ``container``: inside that one."""

    python: str
    user: str
    cwd: str
    environment: Mapping[str, str]
    container: str = ""


def ask(host: Reader, question: Question) -> tuple[Optional[Answer], str]:
    """The installation's answer; or None and the last lines that it printed instead."""
    result = _run(host, question)
    try:
        return _answer(json.loads(result.out.strip().rpartition("\n")[2])), ""
    except (ValueError, KeyError, TypeError):
        return None, result.tail


def _run(host: Reader, question: Question) -> Result:
    if not question.container:
        command = [question.python, "-B", "-c", SCRIPT]
        environment = dict(question.environment)
        return host.query(command, "", environment, question.user, SECONDS, _existing(host, question.cwd))
    passed = {name: value for name, value in question.environment.items() if name.startswith(_PASSED_ON)}
    # By name alone: `docker exec` takes the values from its own environment, so that no secret is in its arguments.
    names = [word for name in passed if name not in ("PATH", "HOME") for word in ("--env", name)]
    command = ["docker", "exec", *names, question.container, question.python, "-B", "-c", SCRIPT]
    values = {name: value for name, value in passed.items() if name not in ("PATH", "HOME")}
    return host.query(command, "", values, timeout=SECONDS)


def _existing(host: Reader, folder: str) -> str:
    found = host.stat(folder)
    return folder if found and found.kind == "directory" else "/"


def _answer(data: Mapping[str, Any]) -> Answer:
    texts: Sequence[str] = ("release", "python", "home", "api_url", "ui_api_url", "host", "port", "problem")
    return Answer(
        **{name: str(data[name]) for name in texts},
        database_url=Secret(data["database_url"]),
        auth=Secret(data["auth"]) if data["auth"] else None,
        sqlite=str(data.get("sqlite", "")),
        given={name: Secret(value) for name, value in data["given"].items()},
        counts={str(name): int(count) for name, count in data["counts"].items()},
    )

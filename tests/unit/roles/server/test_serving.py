"""The program that runs a server: services of Prefect's that fail are started again."""

from __future__ import annotations

import asyncio
import logging
import runpy
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.checkout import CHECKOUT

PROGRAM = CHECKOUT / "templates" / "prefect_server" / "serving.py"


class Triggers:
    """A service that fails twice, as where the database is slow, then runs to its end."""

    def __init__(self) -> None:
        self.starts = 0

    async def start(self) -> str:
        self.starts += 1
        if self.starts < 3:
            raise TimeoutError("the database was slow")
        return "ran"


def program(monkeypatch: pytest.MonkeyPatch, **modules: Any) -> dict[str, Any]:
    """The program's names, with stand-ins of what it imports from Prefect's environment."""
    names = {
        "uvicorn": {"Server": object},
        "prefect": {},
        "prefect.logging": {"get_logger": lambda name: logging.getLogger(f"prefect.{name}")},
        "prefect.server": {},
        "prefect.server.api": {},
        "prefect.server.api.server": {"create_app": None},
        "prefect.server.services": {},
        "prefect.settings": {"get_current_settings": None},
        **modules,
    }
    for name, content in names.items():
        module = ModuleType(name)
        vars(module).update(content, __path__=[])
        monkeypatch.setitem(sys.modules, name, module)
    return runpy.run_path(str(PROGRAM))


def test_a_service_that_fails_is_logged_and_started_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Service(Triggers):
        pass

    base = {"Service": SimpleNamespace(all_services=lambda: [Service])}
    found = program(monkeypatch, **{"prefect.server.services.base": base})
    found["keep_services"].__globals__["AGAIN"] = 0.0
    found["keep_services"]()
    assert asyncio.run(Service().start()) == "ran"
    assert caplog.text.count("Service failed; it starts again") == 2 and "the database was slow" in caplog.text


def test_a_release_without_that_module_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch)["keep_services"]()
    with pytest.raises(TimeoutError):
        asyncio.run(Triggers().start())

"""Handlers that an older encamp left pending are found under their present names."""

from __future__ import annotations

import importlib

from encamp.agent import old_names
from encamp.resources.base import HandlerResource
from tests.checkout import CHECKOUT


def handlers() -> set[str]:
    """Every kind of handler that encamp ships, as ``module:Class``."""
    found = set()
    for folder in ("encamp/resources", "roles"):
        for path in (CHECKOUT / folder).rglob("*.py"):
            name = ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)
            if "Restart" not in path.read_text("utf-8") or (folder == "roles" and ".kinds." not in name):
                continue
            for item in vars(importlib.import_module(name)).values():
                if isinstance(item, type) and issubclass(item, HandlerResource) and item.__module__ == name:
                    found.add(f"{name}:{item.__name__}")
    return found


def test_each_handler_that_moved_has_its_old_name() -> None:
    assert set(old_names.NAMES.values()) == handlers() - {"encamp.resources.base:HandlerResource"}


def test_a_pending_handler_is_read_under_its_present_name() -> None:
    pending = {"kind": "roles.kinds.worker_service:WorkerRestart", "fields": {"unit": "prefect-worker-etl.service"}}
    found = old_names.renamed([pending])[0]
    assert found["kind"] == "roles.worker.kinds.service:WorkerRestart" and found["fields"] == pending["fields"]

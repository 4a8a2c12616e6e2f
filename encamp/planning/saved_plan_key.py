"""The key that a site's saved plans are sealed with, and that hides what they say of secrets.

It is made with the first plan and kept with the site's other generated secrets; a CI system gives it in a variable.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from pathlib import Path

from encamp.errors import SavedPlanError
from encamp.secrets.store import FOLDER, SecretStore, status
from encamp.shared.secret import Secret

VARIABLE = "ENCAMP_PLAN_KEY"
NAME = "plan-key"
#: Below this a key could be found by trying: 32 letters and digits are 190 bits.
SHORTEST = 32


class PlanKey:
    """A site's key. ``name`` distinguishes keys without revealing them."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self.name = self.mac("name", "")[:16]

    def mac(self, purpose: str, text: str) -> str:
        """HMAC-SHA256 of a text, in hexadecimal; ``purpose`` keeps the uses of the key apart."""
        data = f"{purpose}\0{text}".encode("utf-8", "surrogatepass")
        return hmac.new(self._secret.reveal().encode(), data, hashlib.sha256).hexdigest()

    def of_plan(self, plan_id: str) -> Secret:
        """The key that hosts hash what they find with: one plan's own, so that none learns the site's."""
        return Secret(self.mac("plan", plan_id))


def for_making(site: Path, environment: Mapping[str, str] = os.environ) -> PlanKey:
    """The key of the site in folder ``site``, made where there is none. Raises SavedPlanError, SettingsError."""
    return _given(environment) or PlanKey(SecretStore(site / FOLDER, "make").get(NAME))


def for_applying(site: Path, environment: Mapping[str, str] = os.environ) -> PlanKey:
    """The key of the site in folder ``site``. Raises SavedPlanError where there is none, SettingsError."""
    store = SecretStore(site / FOLDER, "refuse")
    given = _given(environment)
    if given is None and not status(store.path(NAME)):
        raise SavedPlanError(
            f"the key of this site's plans is not on this machine: there is no {store.path(NAME)}",
            f"apply the plan where it was made, or give that machine's key in {VARIABLE}",
        )
    return given or PlanKey(store.get(NAME))


def _given(environment: Mapping[str, str]) -> PlanKey | None:
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return None
    if len(text) < SHORTEST:
        fix = f"give a random text of at least {SHORTEST} characters, for example from `openssl rand -hex 32`"
        raise SavedPlanError(f"{VARIABLE} is too short to be secure", fix)
    return PlanKey(Secret(text))

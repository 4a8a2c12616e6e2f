"""Checks of the whole inventory: every setting of every host, unknown keys, and what an instance may not set."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from encamp.errors import EncampError, Origin, SettingsError
from encamp.inventory.host import SUPPORTED, Host
from encamp.inventory.variables import Variables
from encamp.settings.declare import spec_of
from encamp.settings.read import HostSettings, combined, origin_of

#: Variables that encamp itself reads, and the prefix of names that an inventory may use as it likes.
SITE_KEYS = ("adhoc", "instances")
FREE_PREFIX = "x_"


def check_hosts(hosts: Iterable[HostSettings], classes: Sequence[type]) -> None:
    """Look at every setting of every host, without fetching a secret. Raises SettingsError with all that is wrong."""
    errors: list[EncampError] = []
    for settings in hosts:
        errors += unknown_keys(settings.host, classes)
        errors += [error for cls in classes for error in settings.check(cls)]
    if errors:
        raise combined(errors)


def check_own(own: Mapping[str, Origin], classes: Sequence[type]) -> None:
    """Look at the keys that an instance gives itself. Raises SettingsError for one that is the host's to give."""
    fields = [field for cls in classes for field in dataclasses.fields(cls)]
    hosts_own = {*SUPPORTED, *SITE_KEYS, *(field.name for field in fields if spec_of(field).per_host)}
    errors: list[EncampError] = [
        SettingsError(
            f"{name} is the same for all instances of a host", "set it for the host, beside instances:", where
        )
        for name, where in own.items()
        if name in hosts_own
    ]
    if errors:
        raise combined(errors)


def unknown_keys(host: Host, classes: Sequence[type]) -> list[SettingsError]:
    """An error for each variable of ``host`` that nothing reads, with the nearest name.

    Known are settings, ``ansible_`` variables, names that a template in the inventory uses, and names beginning x_.
    """
    settings = [field.name for cls in classes for field in dataclasses.fields(cls)]
    known = {*settings, *SUPPORTED, *SITE_KEYS}
    variables = host.variables
    known |= variables.references if isinstance(variables, Variables) else set()
    errors = []
    for name in variables:
        if name in known or name.startswith(FREE_PREFIX):
            continue
        import difflib

        near = difflib.get_close_matches(name, [*settings, *SITE_KEYS], 1)
        fix = f"did you mean {near[0]}?" if near else f"remove it, or call it {FREE_PREFIX}{name} to keep it"
        errors.append(SettingsError(f"there is no setting {name}", fix, origin_of(host, name)))
    return errors

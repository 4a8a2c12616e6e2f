"""Checks of the whole inventory: every setting of every host, unknown keys, and what an instance may not set."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from encamp.errors import EncampError, InventoryError, Origin, SettingsError
from encamp.inventory import connection_names
from encamp.inventory.connection_names import SUPPORTED
from encamp.inventory.host import Host
from encamp.inventory.variables import Variables
from encamp.settings import foreign
from encamp.settings.declare import spec_of
from encamp.settings.read import HostSettings, combined, origin_of

#: Variables that encamp itself reads, and the prefix of names that an inventory may use as it likes.
SITE_KEYS = ("adhoc", "instances", foreign.KEY)
FREE_PREFIX = "x_"


def check_hosts(hosts: Iterable[HostSettings], classes: Sequence[type]) -> None:
    """Look at every setting of every host, without fetching a secret. Raises SettingsError with all that is wrong."""
    errors = [error for settings in hosts for error in errors_of(settings, classes)]
    if errors:
        raise combined(errors)


def errors_of(settings: HostSettings, classes: Sequence[type]) -> list[EncampError]:
    """All that is wrong with the settings of a host; no secret is fetched."""
    return [*unknown_keys(settings.host, classes), *(error for cls in classes for error in settings.check(cls))]


def own_errors(own: Mapping[str, Origin], classes: Sequence[type]) -> list[EncampError]:
    """An error for each key that an instance gives itself and that is the host's to give."""
    fields = [field for cls in classes for field in dataclasses.fields(cls)]
    hosts_own = {*SUPPORTED, *SITE_KEYS, *(field.name for field in fields if spec_of(field).per_host)}
    return [
        SettingsError(
            f"{name} is the same for all instances of a host", "set it for the host, beside instances:", where
        )
        for name, where in own.items()
        if name in hosts_own
    ]


def unknown_keys(host: Host, classes: Sequence[type]) -> list[EncampError]:
    """An error for each variable of ``host`` that nothing reads, with the nearest name.

    Known are settings, ``ansible_`` variables, names that a template in the inventory uses, names beginning x_, and
    those that the site leaves to others (``unknown_settings``).
    """
    settings = [field.name for cls in classes for field in dataclasses.fields(cls)]
    known = {*settings, *SITE_KEYS}
    variables = host.variables
    known |= variables.references if isinstance(variables, Variables) else set()
    names = [
        name
        for name in variables
        if name not in known and not name.startswith(FREE_PREFIX) and not connection_names.is_known(name)
    ]
    try:
        policy = foreign.policy(host)
    except (SettingsError, InventoryError) as error:
        return [error]
    if not names:
        return []
    found = (policy.problem(name, origin_of(host, name), [*settings, *SITE_KEYS], host) for name in names)
    return [error for error in found if error is not None]

"""Settings as a role declares them: the fields of a frozen dataclass.

A class of settings is a role's documented API: ``port: int = setting(4200, "TCP port", minimum=1, maximum=65535)``.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable
from typing import Any

from encamp.shared.record import record

Check = Callable[[Any], "str | None"]
#: Whether a text under a name (of a mapping's entry, or of the setting itself) must be given as a secret.
IsSecret = Callable[[str, str], bool]


@record
class Spec:
    """What a setting declares besides its type."""

    help: str
    minimum: float | None = None
    maximum: float | None = None
    check: Check | None = None
    example: str = ""
    per_host: bool = False
    lines: bool = False
    secret: IsSecret | None = None


def setting(
    default: Any = dataclasses.MISSING,
    help: str = "",
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    check: Check | None = None,
    example: str = "",
    per_host: bool = False,
    lines: bool = False,
    secret: IsSecret | None = None,
) -> Any:
    """Declare a setting. Without a default it must be given. ``check`` returns what is wrong with a value, or None.

    ``per_host``: it is the same for all instances of a host. ``lines``: a secret that may have several, as a key has.
    ``secret``: which plain texts are refused, where a text or a secret may stand.
    """
    metadata = {"spec": Spec(help, minimum, maximum, check, example, per_host, lines, secret)}
    if isinstance(default, (dict, list)):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def spec_of(field: dataclasses.Field[Any]) -> Spec:
    """The declaration of a field."""
    spec: Spec = field.metadata.get("spec") or Spec("")
    return spec


@functools.cache
def hints_of(cls: type) -> dict[str, Any]:
    """The types of a dataclass's fields, annotations resolved."""
    return typing.get_type_hints(cls)

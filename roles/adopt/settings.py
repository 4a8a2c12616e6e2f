"""What an inventory says of a hand-made server that encamp is to continue."""

from __future__ import annotations

import re

from encamp.settings.declare import setting
from encamp.shared.record import record

#: A system unit, USER/UNIT, container NAME, or process USER:PORT: what `fab adopt` calls a server.
_NAME = re.compile(r"[\w@.:-]+\.service|[\w.-]+/[\w@.:-]+\.service|container [\w.-]+|process [\w.-]+:\d+|")


def _check_name(value: str) -> str | None:
    """What is wrong with the name of a server that is to be adopted, if anything."""
    if _NAME.fullmatch(value):
        return None
    return (
        "is not what `fab adopt` calls a server: NAME.service, USER/NAME.service, container NAME or process USER:PORT"
    )


@record
class Settings:
    """A server that was set up by hand, and that encamp continues."""

    adopt: str = setting(
        "",
        "Server set up by hand that the first deploy stops and continues with its data, as `fab adopt` calls it. Later "
        "deploys leave it alone; `fab adopt --undo` starts it again.",
        check=_check_name,
        example="prefect.service",
    )

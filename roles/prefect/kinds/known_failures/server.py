"""What a Prefect server's log says when it does not come up. Where several entries fit one error, the first does."""

from __future__ import annotations

from roles.prefect.kinds.known_failures.database import DATABASE
from roles.prefect.kinds.known_failures.places import PLACES
from roles.prefect.kinds.known_failures.start import START

SERVER = (*START, *PLACES, *DATABASE)

"""Whether a port accepts connections from this machine, at the address that clients use."""

from __future__ import annotations

import socket
from typing import Literal

from encamp.shared.record import record

#: Packets that open a connection are repeated each second or two (RFC 6298): several are sent in this time.
SECONDS = 4.0


@record
class Attempt:
    """How an attempt to connect ended, and that in words: empty where the port is ``open``.

    ``silent``: no answer; ``refused``: an answer that nothing listens there; ``failed``: anything else.
    """

    result: Literal["open", "silent", "refused", "failed"]
    text: str = ""


def attempt(address: str, port: int) -> Attempt:
    """Connect, and hang up at once."""
    try:
        socket.create_connection((address, port), SECONDS).close()
    except TimeoutError:
        return Attempt("silent", f"no answer within {SECONDS:.0f} s")
    except ConnectionRefusedError:
        return Attempt("refused", "connection refused")
    except socket.gaierror as error:
        return Attempt("failed", f"its name has no address there ({error.strerror})")
    except OSError as error:
        return Attempt("failed", (error.strerror or str(error)).lower())
    return Attempt("open")

"""An attempt to connect from this machine, which an agent asks for: it sees what arrives on its host."""

from __future__ import annotations

import json
import socket
from collections.abc import Collection

#: Packets that open a connection are repeated each second or two (RFC 6298): several are sent in this time.
SECONDS = 4.0


def answer(address: str, port: int, doors: Collection[tuple[str, int]]) -> bytes:
    """How it ended, as JSON. Only to one of ``doors``: a host must not make this machine connect elsewhere."""
    if (address, port) not in doors:
        return _said("failed", "this machine was not asked to connect there")
    try:
        socket.create_connection((address, port), SECONDS).close()
    except TimeoutError:
        return _said("silent", f"no answer within {SECONDS:.0f} s")
    except ConnectionRefusedError:
        return _said("refused", "connection refused")
    except socket.gaierror as error:
        return _said("failed", f"its name has no address there ({error.strerror})")
    except OSError as error:
        return _said("failed", (error.strerror or str(error)).lower())
    return _said("open", "")


def _said(result: str, text: str) -> bytes:
    return json.dumps({"result": result, "text": text}).encode()

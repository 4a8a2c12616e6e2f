#!/usr/bin/env python3
"""What ``nc HOST PORT`` does, for tests of ProxyCommand on machines without it."""

from __future__ import annotations

import os
import select
import socket
import sys


def main() -> None:
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
        theirs = connection.fileno()
        while True:
            for handle in select.select([0, theirs], [], [])[0]:
                data = os.read(handle, 65536)
                if not data:
                    return
                os.write(1 if handle == theirs else theirs, data)


if __name__ == "__main__":
    main()

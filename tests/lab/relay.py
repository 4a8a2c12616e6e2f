#!/usr/bin/env python3
"""A TCP relay that makes hosts look far away: every byte arrives half a round trip later than it was sent.

    relay.py MILLISECONDS LISTEN_PORT=ADDRESS:PORT...

For kernels without netem. Bandwidth is not limited and nothing is lost, only late; TCP's slow start is that of
loopback, so that a long transfer is a few round trips quicker than over a real line of that length. Opening a
connection takes a round trip, as TCP's handshake does. Prints "ready" when all ports are bound; ends when its standard
input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Awaitable, Callable

CHUNK = 65536
#: What may be under way at once: a full window of a fast, long line.
WINDOW = 512


def main(arguments: list[str]) -> int:
    """Relay until standard input ends."""
    seconds = float(arguments[0]) / 1000
    routes = {}
    for text in arguments[1:]:
        port, _, target = text.partition("=")
        address, _, number = target.rpartition(":")
        routes[int(port)] = (address, int(number))
    asyncio.run(serve(seconds, routes))
    return 0


async def serve(seconds: float, routes: dict[int, tuple[str, int]]) -> None:
    """Listen on each port of loopback and relay to its target."""
    loop = asyncio.get_running_loop()
    for port, target in routes.items():
        await asyncio.start_server(_relay(target, seconds), "127.0.0.1", port)
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def _relay(
    target: tuple[str, int], round_trip: float
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def handle(near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        opened = asyncio.get_running_loop().time()
        await asyncio.sleep(round_trip)  # the handshake; only then can the client send
        try:
            far, far_out = await asyncio.open_connection(*target)
        except OSError:
            near_out.close()
            return
        for stream in (near_out, far_out):
            stream.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The server has the connection half a round trip later, with the third packet of the handshake.
        accepted = opened + 1.5 * round_trip
        await asyncio.gather(_pump(near, far_out, round_trip / 2), _pump(far, near_out, round_trip / 2, accepted))
        near_out.close()
        far_out.close()

    return handle


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay: float, not_before: float = 0) -> None:
    """Pass on one direction, each chunk ``delay`` seconds after it was sent, in order; its end as well."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(WINDOW)
    delivering = asyncio.create_task(_deliver(under_way, sink))
    data = b"-"
    while data:
        try:
            data = await source.read(CHUNK)
        except OSError:
            data = b""
        await under_way.put((max(loop.time(), not_before) + delay, data))
    await delivering


async def _deliver(under_way: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
    """Write each chunk when it is due. Where the receiver has gone, the rest is taken from the queue all the same."""
    loop = asyncio.get_running_loop()
    while True:
        due, data = await under_way.get()
        await asyncio.sleep(max(0.0, due - loop.time()))
        with contextlib.suppress(OSError):
            if data:
                sink.write(data)
                await sink.drain()
            else:
                sink.write_eof()
        if not data:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

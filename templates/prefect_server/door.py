# Managed by encamp: changes made here are undone by the next deploy.
"""Answers for a Prefect server that is shut: 503 with what Prefect's clients wait on, and a page for people.

Clients of Prefect from 3.3.1 on take `Prefect-Maintenance` as "ask again after `Retry-After`", without an end.
WebSockets are accepted and kept, so that events wait in their clients, and closed with 1001 when the door opens: the
clients then connect again. A refusal, an unanswered upgrade or another code would lose events.

    door.py FILE    FILE: JSON with since, until (seconds of the epoch, 0: open end) and message

systemd passes the server's socket as descriptor 3. Standard library only, Python 3.9.
"""

import asyncio
import base64
import contextlib
import hashlib
import html
import json
import os
import signal
import socket
import struct
import sys
import time

FIRST = 3
BACKLOG = 4096
RETRY_AFTER = 2
#: Bytes of a request's head; seconds for a request to arrive, and for a client to close first.
HEAD_LIMIT, REQUEST_SECONDS, CLOSE_SECONDS = 65536, 30.0, 2.0
#: Seconds that requests under way get when the door is opened.
LAST_REQUESTS = 5.0
ACCEPT_KEY = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
CONTROL_LIMIT = 125
GOING_AWAY = struct.pack("!H", 1001)
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Prefect: maintenance</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 15vh auto; padding: 0 1rem }}
body {{ color: #1c2733; background: #f7f8fa }} p {{ margin: .5rem 0 }} .quiet {{ color: #5a6b7b }}
</style></head><body><h1>Maintenance</h1>{message}<p>This Prefect server has been shut since {since}{until}.</p>
<p class="quiet">Flow runs and workers wait, and go on when it is back. This page asks again every 5 seconds.</p>
</body></html>
"""


class Refusal(Exception):
    """A request that cannot be read."""


class Door:
    """The connections that are open, and whether the door is to end."""

    def __init__(self, notice):
        self.notice = notice
        self.ending = asyncio.Event()
        self.requests = set()
        self.sockets = set()

    async def serve(self, reader, writer):
        """One connection: one request and its answer, or a WebSocket until the end."""
        task = asyncio.current_task()
        self.requests.add(task)
        try:
            target, headers = await asyncio.wait_for(head_of(reader), REQUEST_SECONDS)
            if headers.get("upgrade", "").lower() == "websocket" and "sec-websocket-key" in headers:
                self.requests.discard(task)
                self.sockets.add(task)
                await self.keep(reader, writer, headers)
            else:
                # An answer before the whole request was read would become a reset, and the answer be lost.
                await asyncio.wait_for(read_body(reader, headers, writer), REQUEST_SECONDS)
                writer.write(self.answer(target, headers))
                await writer.drain()
            await close(reader, writer)
        except (Refusal, OSError, ValueError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            pass  # a client that went away, or sent no HTTP: there is nobody to answer
        finally:
            writer.close()
            self.requests.discard(task)
            self.sockets.discard(task)

    def answer(self, target, headers):
        """503, as a page where the client reads HTML."""
        page = "text/html" in headers.get("accept", "")
        body = self.page() if page else json.dumps({"detail": self.sentence()})
        data = body.encode()
        lines = (
            "HTTP/1.1 503 Service Unavailable",
            "Prefect-Maintenance: true",
            f"Retry-After: {RETRY_AFTER}",
            "Cache-Control: no-store",
            f"Content-Type: {'text/html; charset=utf-8' if page else 'application/json'}",
            f"Content-Length: {len(data)}",
            "Connection: close",
        )
        sent = b"" if target.startswith("HEAD ") else data
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + sent

    def sentence(self):
        message = f": {self.notice['message']}" if self.notice["message"] else ""
        return f"shut for maintenance since {when(self.notice['since'])}{message}"

    def page(self):
        message = f"<p>{html.escape(self.notice['message'])}</p>" if self.notice["message"] else ""
        until = f", until {when(self.notice['until'])} at the latest" if self.notice["until"] else ""
        return PAGE.format(message=message, since=when(self.notice["since"]), until=until)

    async def keep(self, reader, writer, headers):
        """Accept a WebSocket, answer its pings and nothing else, and close it when the door opens."""
        accept = base64.b64encode(hashlib.sha1((headers["sec-websocket-key"] + ACCEPT_KEY).encode()).digest()).decode()
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines.append(f"Sec-WebSocket-Accept: {accept}")
        protocols = [word.strip() for word in headers.get("sec-websocket-protocol", "").split(",") if word.strip()]
        if protocols:
            lines.append(f"Sec-WebSocket-Protocol: {protocols[0]}")
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        reading = asyncio.ensure_future(answer_frames(reader, writer))
        ending = asyncio.ensure_future(self.ending.wait())
        await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not reading.done():
            writer.write(frame(CLOSE, GOING_AWAY))
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(reading, CLOSE_SECONDS)
        elif reading.exception():
            raise reading.exception()

    async def end(self):
        """Let requests under way be answered, then close the WebSockets."""
        await wait_for_all(self.requests, LAST_REQUESTS)
        self.ending.set()
        await wait_for_all(self.sockets, CLOSE_SECONDS + LAST_REQUESTS)


async def wait_for_all(tasks, seconds):
    if tasks:
        await asyncio.wait(set(tasks), timeout=seconds)


async def head_of(reader):
    """The request line, and the headers by their names in lower case."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise Refusal from None
    first, *lines = raw.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return first, {name.strip().lower(): value.strip() for name, _, value in pairs}


async def read_body(reader, headers, writer):
    """Read a body to its end, and keep none of it. Raises Refusal for a chunk without an end of its first line."""
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if "chunked" in headers.get("transfer-encoding", "").lower():
        while True:
            try:
                size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
            except asyncio.LimitOverrunError:
                raise Refusal from None
            await skip(reader, size + 2)
            if not size:
                return
    await skip(reader, int(headers.get("content-length") or 0))


async def skip(reader, count):
    while count > 0:
        count -= len(await reader.readexactly(min(count, HEAD_LIMIT)))


async def close(reader, writer):
    """Close our half, and wait a moment for the client's: whatever it still sends must not become a reset."""
    if writer.can_write_eof():
        writer.write_eof()
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(until_closed(reader), CLOSE_SECONDS)


async def until_closed(reader):
    while await reader.read(HEAD_LIMIT):
        pass


async def answer_frames(reader, writer):
    """Read frames until the client closes; answer pings. Raises Refusal for one that is longer than RFC 6455 allows."""
    while True:
        first, second = await reader.readexactly(2)
        size = second & 127
        if size > 125:
            size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
        mask = await reader.readexactly(4) if second & 128 else b""
        operation = first & 15
        if operation not in (CLOSE, PING):
            await skip(reader, size)
            continue
        if size > CONTROL_LIMIT:
            raise Refusal  # it would be kept in memory, as long as a client says it is
        data = await reader.readexactly(size)
        data = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data)) if mask else data
        if operation == CLOSE:
            if not writer.is_closing():
                writer.write(frame(CLOSE, data[:2]))
            return
        writer.write(frame(PONG, data))


def frame(operation, data):
    """A whole control frame of the server's, which has no mask."""
    return bytes((128 | operation, len(data))) + data


def when(seconds):
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


async def run(notice):
    door, stopping = Door(notice), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    listening = socket.socket(fileno=FIRST)
    server = await asyncio.start_server(door.serve, sock=listening, limit=HEAD_LIMIT, backlog=BACKLOG)
    await stopping.wait()
    server.close()  # who connects from now on waits in the queue for the server
    await door.end()


def main():
    if os.environ.get("LISTEN_FDS") != "1":
        sys.exit("systemd passed no socket: this program is started by its unit")
    with open(sys.argv[1], encoding="utf-8") as file:
        notice = json.load(file)
    asyncio.run(run(notice))


if __name__ == "__main__":
    main()

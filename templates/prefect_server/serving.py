# Managed by encamp: changes made here are undone by the next deploy.
"""Runs a Prefect server on the socket that systemd hands over, and drains it on SIGTERM.

`prefect server start` cannot do this: it binds the port itself. What it does besides is here: the same application,
with the same four options of uvicorn. While the server restarts, new connections wait in the socket's queue.

Runs in Prefect's environment: standard library and uvicorn, Python 3.9.
"""

import asyncio
import functools
import os
import socket
import sys
import time

import uvicorn
from prefect.logging import get_logger
from prefect.server.api.server import create_app
from prefect.settings import get_current_settings

#: The first file descriptor that systemd passes (sd_listen_fds(3)).
FIRST = 3
#: Connections that may wait while the server restarts; uvicorn's own limit would lower the socket unit's.
BACKLOG = 4096
#: Seconds that open connections get to send their last request, and requests to be answered. TimeoutStopSec is longer.
LAST_REQUESTS, ANSWERS = 3.0, 20
#: Seconds until a service of the server that failed is started again.
AGAIN = 5.0
STARTUP_FAILURE = 3


class DrainingServer(uvicorn.Server):
    """Ends no connection that a client may be writing to: each is answered once more, with ``Connection: close``."""

    async def shutdown(self, sockets=None):
        for server in self.servers:
            server.close()  # the socket stays systemd's: who connects from now on waits for the next process
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        until = time.monotonic() + LAST_REQUESTS
        while self.http_connections() and time.monotonic() < until:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)

    def http_connections(self):
        """Connections that are no WebSockets."""
        kind = self.config.http_protocol_class
        return [connection for connection in self.server_state.connections if isinstance(connection, kind)]


def inherited():
    """The listening socket that systemd passed. Exits where it passed none, or several."""
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)  # child processes have none of it
    if (pid, count) != (str(os.getpid()), "1"):
        sys.exit(f"systemd passed no socket (LISTEN_PID={pid}, LISTEN_FDS={count}): start the unit instead")
    os.set_inheritable(FIRST, False)
    return socket.socket(fileno=FIRST)


def options():
    """What `prefect server start` takes from the settings. Releases before 3.7.3 have no settings for pings."""
    settings = get_current_settings().server
    found = {
        "timeout_keep_alive": settings.api.keepalive_timeout,
        "ws_ping_interval": getattr(settings.api, "websocket_ping_interval", 20.0),
        "ws_ping_timeout": getattr(settings.api, "websocket_ping_timeout", 20.0),
        "log_level": settings.logging_level.lower(),
    }
    return {**found, "backlog": BACKLOG, "timeout_graceful_shutdown": ANSWERS}


def keep_services():
    """Have each service of the server started again when it fails.

    Prefect starts each once, in a task that nothing waits for (prefect/server/services/base.py): where the database was
    slow in that moment, automations do not fire from then on, or events are not stored, and no log says so (tried with
    3.9.1). Releases without that module log it themselves.
    """
    try:
        from prefect.server.services.base import Service
    except ImportError:
        return
    for kind in Service.all_services():
        kind.start = kept(kind.start)


def kept(start):
    """A service's method that runs it: again after each failure, which is logged."""

    log = get_logger("server.services")

    @functools.wraps(start)
    async def run(service, *args, **kwargs):
        while True:
            try:
                return await start(service, *args, **kwargs)
            except Exception:
                log.exception("%s failed; it starts again in %.0f s", type(service).__name__, AGAIN)
                await asyncio.sleep(AGAIN)

    return run


def main():
    listening = inherited()
    keep_services()
    server = DrainingServer(uvicorn.Config(create_app(final=True), **options()))
    server.run(sockets=[listening])
    if not server.started:
        sys.exit(STARTUP_FAILURE)


if __name__ == "__main__":
    main()

"""Many hosts out of few: an sshd for each of many ports of one lab host, each with a view of the machine of its own.

What a deploy keeps there (its lock, journal and audit trail, /srv, /etc/app) each of them has for itself, so that they
can be worked on at once; processes, accounts, packages and units are those of the machine they share.
"""

from __future__ import annotations

from collections.abc import Callable

FIRST_PORT = 2301
UNIT = """\
[Unit]
Description=A host of its own at port %i
After=ssh.service

[Service]
ExecStart=/usr/sbin/sshd -D -p %i -o PidFile=none
TemporaryFileSystem=/run:mode=755 /var/lib/encamp /var/log/encamp /srv /etc/app
BindPaths=/run/systemd /run/dbus /run/sshd
"""


def listen(inside: Callable[..., str], count: int) -> list[int]:
    """Make a host listen at ``count`` more ports. ``inside`` runs a command there as root. Returns the ports."""
    ports = list(range(FIRST_PORT, FIRST_PORT + count))
    inside("sh", "-c", f"cat > /etc/systemd/system/address@.service <<'END'\n{UNIT}END\n")
    inside("mkdir", "-p", "/var/lib/encamp", "/var/log/encamp", "/etc/app")
    inside("systemctl", "daemon-reload")
    inside("systemctl", "restart", *(f"address@{port}.service" for port in ports))
    inside("sh", "-c", f"until [ $(ss -Hltn | grep -c ':23[0-9][0-9] ') -ge {2 * count} ]; do sleep 0.2; done")
    return ports

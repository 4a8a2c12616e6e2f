"""Proxies as owners write them: nginx before the deployed server, on a port for each thing that is wrong with one."""

from __future__ import annotations

import base64
import hashlib

from live import LiveLab

SERVER = "vm1"
PASSED = """
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
"""
BACK = "http://127.0.0.1:4200"
USER, PASSWORD = "owner", "a-password-for-the-test"
#: Ports, and what stands there. The server's pages are at the root: a path before them is the proxy's own.
SOUND, STRIPPED, TYPES, ONE_PAGE, LOGIN, REDIRECT, NO_SOCKETS = range(8081, 8088)
SITES = {
    SOUND: f"location / {{ proxy_pass {BACK}; {PASSED} }}",
    STRIPPED: f"location /flows/ {{ proxy_pass {BACK}/; {PASSED} }}",
    TYPES: f"""
        location / {{ proxy_pass {BACK}; {PASSED} }}
        location ~ \\.(js|css)$ {{
            proxy_pass {BACK}; proxy_hide_header Content-Type; add_header Content-Type text/plain;
        }}
    """,
    ONE_PAGE: f"""
        location /api {{ proxy_pass {BACK}; {PASSED} }}
        location /ui-settings {{ proxy_pass {BACK}; }}
        location / {{ proxy_pass {BACK}/; rewrite ^ / break; }}
    """,
    LOGIN: f"""
        auth_basic "owner"; auth_basic_user_file /etc/nginx/owner;
        location / {{ proxy_pass {BACK}; {PASSED} }}
    """,
    REDIRECT: f"return 301 $scheme://$host:{SOUND}$request_uri;",
    NO_SOCKETS: f"location / {{ proxy_pass {BACK}; }}",
}


def install(lab: LiveLab) -> None:
    """nginx with all of SITES on the server's host."""
    host = lab.host(SERVER)
    host.check_output("apt-get -q update && apt-get -q install -y --no-install-recommends nginx-light")
    digest = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
    text = "\n".join(f"server {{ listen {port}; {body} }}" for port, body in SITES.items())
    lab.ssh(SERVER, "sudo tee /etc/nginx/conf.d/owner.conf > /dev/null", text=text)
    lab.ssh(SERVER, "sudo tee /etc/nginx/owner > /dev/null", text=f"{USER}:{{SHA}}{digest}\n")
    host.check_output("systemctl restart nginx")

"""Servers and clients for the doctor: of a test's own, behind a proxy, with settings or certificates that are wrong."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Iterator

from layout import CHECKOUT
from live import LiveLab

from tests.certificates import Issuer

SERVER, LAPTOP, OLD = "vm1", "laptop1", "laptop2"
HOME = "/home/dev"
PROFILES = f"{HOME}/.prefect/profiles.toml"
OLD_RELEASE = "2.7.12"
OPEN, GUARDED, CSRF = 4200, 4250, 4251
CUT_OFF, TLS, TLS_OTHER, TLS_EXPIRED, ANCIENT = 4260, 4261, 4262, 4263, 4270
AUTH = "admin:a-password-for-the-test"
PROXY = CHECKOUT / "tests" / "lab" / "blocking_proxy.py"


def url(lab: LiveLab, port: int = OPEN, scheme: str = "http", path: str = "/api") -> str:
    return f"{scheme}://{lab.address(SERVER)}:{port}{path}"


def profile(address: str, *lines: str) -> str:
    """A profiles file whose active profile is encamp's."""
    text = f'active = "hosted"\n\n[profiles.hosted]\nPREFECT_API_URL = "{address}"\n'
    return text + "".join(f"{line}\n" for line in lines)


def put(lab: LiveLab, host: str, path: str, text: str) -> None:
    lab.ssh(host, f"mkdir -p $(dirname {path}) && cat > {path}", text=text)


@contextlib.contextmanager
def running(lab: LiveLab, host: str, unit: str, command: str, port: int, **environment: str) -> Iterator[None]:
    """A program under systemd on a host, until it listens on its port; stopped at the end."""
    machine = lab.host(host)
    given = " ".join(f"-E '{name}={value}'" for name, value in environment.items())
    machine.check_output(f"systemd-run --collect --unit={unit} {given} {command}")
    try:
        deadline = time.monotonic() + 180
        while machine.run(f"ss -Hltn sport = :{port}").stdout.strip() == "":
            assert time.monotonic() < deadline, machine.run(f"journalctl -u {unit} -n 30 --no-pager").stdout
            time.sleep(0.3)
        yield
    finally:
        machine.run(f"systemctl kill -s KILL {unit}; systemctl stop {unit}; systemctl reset-failed {unit}")


def own_server(lab: LiveLab, port: int, **settings: str) -> contextlib.AbstractContextManager[None]:
    """A Prefect server of the test's own on vm1, beside the deployed one."""
    home = f"/tmp/doctor-{port}"
    environment = {
        "HOME": home,
        "PREFECT_HOME": home,
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": f"{home}/ui",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_API_HOST": "0.0.0.0",
        "PREFECT_SERVER_API_PORT": str(port),
        **settings,
    }
    lab.host(SERVER).check_output(f"rm -rf {home}; install -d -o prefect {home}")
    command = f"-p User=prefect -p WorkingDirectory={home} /opt/prefect/default/bin/prefect server start"
    return running(lab, SERVER, f"doctor-{port}", command, port, **environment)


def proxy(lab: LiveLab, port: int, ahead: float = 0, pem: str = "") -> contextlib.AbstractContextManager[None]:
    """A proxy on vm1 before the deployed server, which lets no WebSocket pass. Its clock is ``ahead`` seconds ahead."""
    lab.ssh(SERVER, "cat > /tmp/blocking-proxy.py", text=PROXY.read_text("utf-8"))
    command = f"/usr/bin/python3 /tmp/blocking-proxy.py {port} http://127.0.0.1:{OPEN} {ahead} {pem}"
    return running(lab, SERVER, f"blocking-proxy-{port}", command, port)


@contextlib.contextmanager
def settings_of_the_server(lab: LiveLab, expression: str) -> Iterator[None]:
    """The server restarted with settings that sed changed; put back afterwards, healthy again."""
    host, env = lab.host(SERVER), "/etc/prefect/default/server.env"
    host.check_output(
        f"cp -a {env} /root/server.env && sed -i '{expression}' {env} && systemctl restart prefect-server"
    )
    try:
        yield
    finally:
        host.check_output(f"cp -a /root/server.env {env} && rm /root/server.env && systemctl restart prefect-server")
        healthy(lab)


def healthy(lab: LiveLab) -> None:
    """Wait until the deployed server answers."""
    deadline = time.monotonic() + 180
    while lab.host(SERVER).run("curl -sf http://127.0.0.1:4200/api/ready").rc != 0:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def certificate(name: str, address: str, days: int) -> tuple[str, str]:
    """A certificate for an address, by an authority of its own: (key and certificate, the authority) as PEM."""
    issuer = Issuer(f"{name} authority")
    own, key = issuer.leaf(address, datetime.timedelta(days=days))
    return key + own, issuer.pem

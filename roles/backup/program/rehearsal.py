# Managed by encamp: changes made here are undone by the next deploy.
"""A rehearsal: a backup restored into a scratch database, and its release started on it, on loopback."""

from __future__ import annotations

import base64
import contextlib
import glob
import http.client
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from typing import IO, Any, Dict
from urllib.parse import quote

from . import folder, restore
from .job import Failed, Job

ENVIRONMENTS = "/opt/prefect/envs"
START_SECONDS = 180
COUNTED = {"flow_run": "/flow_runs/count", "flow": "/flows/count", "deployment": "/deployments/count"}
#: What the scratch server must not do, or must not ask for.
OVERRIDES = {
    **{f"PREFECT_{scope}DATABASE_MIGRATE_ON_START": "false" for scope in ("SERVER_", "API_")},
    **{f"PREFECT_{scope}ANALYTICS_ENABLED": "false" for scope in ("SERVER_",)},
    "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_UI_ENABLED": "false",
}
DROPPED = re.compile(
    r"PREFECT_(SERVER_)?(API_BASE_PATH|UI_\w+|API_HOST|API_PORT|LOGGING_TO_API_ENABLED)|PREFECT_API_(URL|AUTH_STRING)"
)
AUTH = "PREFECT_SERVER_API_AUTH_STRING"
URL = re.compile(r"PREFECT_\w*DATABASE_CONNECTION_URL")


def rehearse(job: Job, manifest: folder.Manifest) -> str:
    """Restore, compare, start, ask, compare, drop; what was done, in words. Raises Failed."""
    database = restore.database_of(job)
    stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime())
    if job.kind == "sqlite":
        place = _scratch_folder(job)
        name = os.path.join(place, "prefect.db")
    else:
        place, name = "", f"{job.database[:35]}_rehearsal_{stamp}"
    try:
        restore.load(job, manifest, name)
        rows = sum(manifest["counts"].values())
        done = f"restored, {rows} rows in {len(manifest['counts'])} tables as counted"
        environment = environment_of(manifest["prefect"], job.link)
        if not job.link:
            return f"{done}; its server is on another host, so none was started"
        if not job.no_services:
            return f"{done}; Prefect {manifest['prefect']} cannot be started without its services, so it was not"
        if not environment:
            return f"{done}; the environment of Prefect {manifest['prefect']} is no longer here, so none was started"
        _serve(job, manifest, environment, name)
        return f"{done}; Prefect {manifest['prefect']} served it"
    finally:
        try:
            database.drop(name)
        finally:
            if place:
                shutil.rmtree(place, ignore_errors=True)


def _scratch_folder(job: Job) -> str:
    """An empty folder on the database's file system, for the service's account.

    Beside the service's home and not in it: who owns a folder can put a link in the place of what root made there.
    """
    beside, prefix = os.path.dirname(os.path.dirname(job.path)), f".rehearsal-{job.name}-"
    for left in glob.glob(os.path.join(glob.escape(beside), f"{glob.escape(prefix)}*")):
        shutil.rmtree(left, ignore_errors=True)  # of a killed run: this one has the lock
    place = tempfile.mkdtemp(prefix=prefix, dir=beside)
    shutil.chown(place, job.user, job.group)
    return place


def environment_of(release: str, link: str) -> str:
    """The environment of a release on this host, the one in use first; empty if it is gone."""
    found = [os.path.realpath(link), *sorted(glob.glob(f"{ENVIRONMENTS}/{release}-*"))]
    fitting = [path for path in found if os.path.basename(path).partition("-")[0] == release]
    return next((path for path in fitting if os.access(f"{path}/bin/prefect", os.X_OK)), "")


def _serve(job: Job, manifest: folder.Manifest, environment: str, name: str) -> None:
    """Start the release on the scratch database, and compare what it answers. Raises Failed."""
    account = pwd.getpwnam(job.user)
    home = tempfile.mkdtemp(prefix="encamp-rehearsal-")
    os.chown(home, account.pw_uid, account.pw_gid)
    port = _free_port()
    settings = _settings(job, name, home)
    argv = [
        f"{environment}/bin/prefect",
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-services",
    ]
    try:
        with tempfile.TemporaryFile() as log:  # without a name, which the account could make a link
            server = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": f"{environment}/bin:/usr/bin:/bin", "HOME": home, "PREFECT_HOME": home, **settings},
                user=account.pw_uid,
                group=account.pw_gid,
                extra_groups=os.getgrouplist(job.user, account.pw_gid),
                cwd=home,
                start_new_session=True,
            )
            try:
                _compare(manifest, server, port, settings)
            except Failed as failed:
                raise Failed(failed.reason, failed.detail or _tail(log)) from None
            finally:
                _end(server)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _compare(manifest: folder.Manifest, server: subprocess.Popen[bytes], port: int, settings: Dict[str, str]) -> None:
    """Wait until the server answers, then compare release and counts. Raises Failed."""
    auth = settings.get(AUTH, "")
    deadline = time.monotonic() + START_SECONDS
    while _ask(port, auth, "GET", "/health") is not True:
        if server.poll() is not None:
            raise Failed(
                f"Prefect {manifest['prefect']} did not start on the restored database: it exited {server.returncode}"
            )
        if time.monotonic() > deadline:
            raise Failed(
                f"Prefect {manifest['prefect']} did not answer on the restored database within {START_SECONDS} s"
            )
        time.sleep(0.5)
    release = _ask(port, auth, "GET", "/admin/version")
    if release != manifest["prefect"]:
        raise Failed(f"the server on the restored database says that it is {release}, not {manifest['prefect']}")
    for table, path in COUNTED.items():
        wanted, found = manifest["counts"].get(table), _ask(port, auth, "POST", path)
        if found != wanted:
            raise Failed(f"the server on the restored database counts {found} in {table}, not {wanted}")


def _ask(port: int, auth: str, method: str, path: str) -> Any:
    """An answer of the scratch server; None where it does not give one."""
    headers = {"Content-Type": "application/json"}
    if auth:
        headers["Authorization"] = f"Basic {base64.b64encode(auth.encode()).decode()}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, f"/api{path}", "{}" if method == "POST" else None, headers)
        answer = connection.getresponse()
        body = answer.read()
        return json.loads(body) if answer.status < 300 else f"HTTP {answer.status}"
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def _settings(job: Job, name: str, home: str) -> Dict[str, str]:
    """The server's own settings, but for the database, for what would reach outside, and for its password: until the
    scratch server has its port, another account's program may take it, and be asked."""
    found = _environment_file(job.env_file)
    urls = [key for key in found if URL.fullmatch(key)]
    kept = {key: value for key, value in found.items() if not DROPPED.fullmatch(key)}
    scratch = _scratch_url(found[urls[0]] if urls else "", job, name)
    login = {AUTH: f"rehearsal:{secrets.token_urlsafe(24)}"} if AUTH in found else {}
    return {**kept, **OVERRIDES, **login, **dict.fromkeys(urls, scratch)}


def _scratch_url(url: str, job: Job, name: str) -> str:
    """The server's connection URL with another database. Raises Failed where it cannot be read."""
    if job.kind == "sqlite":
        return f"sqlite+aiosqlite:///{name}"
    found = re.fullmatch(r"([^/]+://[^/]*/)([^?]*)(\?.*)?", url)
    if not found:
        raise Failed(f"{job.env_file} names no database, so the server cannot be started on another")
    return f"{found[1]}{quote(name, safe='')}{found[3] or ''}"


def _environment_file(path: str) -> Dict[str, str]:
    """The variables of a file that systemd reads (systemd.exec(5)), as encamp writes them."""
    found = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, equals, value = line.strip().partition("=")
            if not equals or name.startswith(("#", ";")):
                continue
            if len(value) >= 2 and value[0] == value[-1] == '"':
                value = re.sub(r"\\([\\\"$`])", r"\1", value[1:-1])
            found[name.strip()] = value
    return found


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the scratch server and all that it started: what is left would hold the database."""
    server.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(30)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-20:])

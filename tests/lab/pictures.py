#!/usr/bin/env python3
"""Make the pictures of the documentation: a deploy and the doctor on a terminal, and the UI of the server.

    pictures.py docs/img

Everything is done for real: on fresh hosts of the lab, with a flow run from a laptop. The UI is drawn by Chromium.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import lab as machinery
import terminal_svg
from layout import CHECKOUT, Lab
from recording import Recording, Size, record
from shell import LabError, say

SERVER, LAPTOP = "vm1", "laptop1"
SIZE = Size(110, 34)
FRAMES = 36
WINDOW = "1280,620"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PYTHON = ".local/share/encamp/prefect/bin/python"
FLOWS = """
import time
from prefect import flow, task

@task
def fetch(source):
    time.sleep(1)
    return len(source)

@task
def load(rows):
    if rows > 7:
        raise ValueError("the warehouse refused a row")
    return rows

@flow(name="nightly-etl")
def nightly_etl(sources):
    return [load(rows) for rows in fetch.map(sources).result()]

@flow(name="refresh-prices")
def refresh_prices(shops):
    return sum(fetch.map(shops).result())

for night in range(6):
    nightly_etl(["orders", "stock"])
    refresh_prices(["north", "south", "west"])
nightly_etl(["customers", "stock"], return_state=True)
refresh_prices(["north", "east"])
"""


def main() -> int:
    """Write the pictures into the folder that is named. Returns 0, or 1 where one could not be made."""
    folder, lab = Path(sys.argv[1]), Lab.from_environment()
    try:
        browser = find_browser()
        machinery.recreate(lab, [SERVER, LAPTOP])
        write_site(lab)
        draw(folder / "deploy.svg", fab(lab, "-H", SERVER, "deploy"), FRAMES)
        fab(lab, "-H", LAPTOP, "configure-client", "--install")
        run_flows(lab)
        machinery.output_of(lab, LAPTOP, f"sed -i 's#{SERVER}:4200/api#{SERVER}:4200#' .prefect/profiles.toml")
        draw(folder / "doctor.svg", fab(lab, "-H", LAPTOP, "doctor", expected=2), 1)
        screenshot(browser, lab, folder / "ui.png")
    except LabError as error:
        print(f"pictures: {error}", file=sys.stderr)
        return 1
    return 0


def find_browser() -> str:
    """The program that draws the UI. Raises LabError."""
    for name in BROWSERS:
        if shutil.which(name):
            return name
    raise LabError(f"none of {', '.join(BROWSERS)} is installed (on Debian: apt-get install chromium)")


def site(lab: Lab) -> Path:
    return lab.state / "pictures" / "hosts.yml"


def write_site(lab: Lab) -> None:
    """A site with the names that the pictures show."""
    known = {"ansible_host": "127.0.0.1", "ansible_ssh_private_key_file": str(lab.key)}
    server = {
        "ansible_port": lab.port(SERVER),
        "ansible_user": "deploy",
        "public_url": f"http://{SERVER}:4200",
        "server_environment": {"PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false"},
    }
    laptop = {"ansible_port": lab.port(LAPTOP), "ansible_user": "dev"}
    groups = {"servers": {"hosts": {SERVER: server}}, "clients": {"hosts": {LAPTOP: laptop}}}
    variables = {**known, "known_hosts": str(lab.known_hosts), "ca_bundle": str(lab.ca_bundle)}
    shutil.rmtree(site(lab).parent, ignore_errors=True)
    site(lab).parent.mkdir(parents=True)
    site(lab).write_text(json.dumps({"all": {"vars": variables, "children": groups}}), "utf-8")  # JSON is YAML


def fab(lab: Lab, *words: str, expected: int = 0) -> Recording:
    """Run fab on a terminal. Raises LabError where it ends otherwise than expected."""
    say(f"fab {' '.join(words)}")
    quiet = ("CI", "NO_COLOR", "FORCE_COLOR")
    env = {name: value for name, value in os.environ.items() if name not in quiet}
    env |= {"TERM": "xterm-256color", "ENCAMP_INVENTORY": str(site(lab)), "LANG": "C.UTF-8"}
    command = [str(CHECKOUT / ".venv/bin/fab"), *words]
    done = record(f"fab {' '.join(words)}", command, SIZE, env)
    if done.status != expected:
        text = b"".join(data for _, data in done.written).decode("utf-8", "replace")
        raise LabError(f"`fab {' '.join(words)}` exited {done.status}, not {expected}:\n{text}")
    return done


def draw(path: Path, recording: Recording, most: int) -> None:
    """Write an SVG of what was on the terminal; of one screen, the last."""
    screens = recording.screens(most)[-most:]
    text = terminal_svg.picture("encamp", screens)
    for private in (str(CHECKOUT), str(Path.home())):
        if private in text:
            raise LabError(f"{path.name} would show {private}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    say(f"{path}: {len(screens)} screens, {len(text) // 1024} KiB")


def run_flows(lab: Lab) -> None:
    """Flow runs for the UI to show, one of them failed; the profile alone leads them to the server."""
    say(f"flow runs on {LAPTOP}")
    machinery.output_of(lab, LAPTOP, f"cat > flows.py && {PYTHON} flows.py", FLOWS)


def screenshot(browser: str, lab: Lab, path: Path) -> None:
    """What a person sees of the server. Raises LabError where the browser draws nothing."""
    say(f"{browser}: the UI of {SERVER}")
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
                f"--user-data-dir={profile}",
                f"--host-resolver-rules=MAP {SERVER} {lab.address(SERVER)}",
                f"--window-size={WINDOW}",
                "--hide-scrollbars",
                "--force-device-scale-factor=1.5",
                "--virtual-time-budget=20000",
                f"--screenshot={path.resolve()}",
                f"http://{SERVER}:4200/dashboard",
            ],
            capture_output=True,
            timeout=180,
            check=False,
        )
    if not path.exists():
        raise LabError(f"{browser} wrote no picture")


if __name__ == "__main__":
    sys.exit(main())

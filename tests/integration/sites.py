"""Sites that more than one file of tests deploys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from live import LiveLab

KEEPER, SERVER, WORKER, LAPTOP = "nft1", "vm2", "vm1", "laptop1"


def with_every_secret(lab: LiveLab, folder: Path, worker: dict[str, Any]) -> None:
    """Write a site: a server with auth and a certificate, its database, its worker and its client, a host each.

    ``worker``: the settings of the worker's host.
    """
    own = {"database_host": KEEPER, "database_client_address": lab.address(SERVER), "auth": "auto"}
    own |= {"tls": "internal", "public_url": f"https://{lab.address(SERVER)}"}
    lab.site(folder, host_vars={SERVER: own, KEEPER: {"postgres_address": lab.address(KEEPER)}, WORKER: worker})
    path = folder / "hosts.yml"
    hosts = yaml.safe_load(path.read_text("utf-8"))
    groups = hosts["all"]["children"]
    known = {name: variables for group in groups.values() for name, variables in group["hosts"].items()}
    del known[WORKER]["public_url"]
    parts = {"databases": KEEPER, "servers": SERVER, "workers": WORKER, "clients": LAPTOP}
    hosts["all"]["children"] = {
        group: {**groups.get(group, {}), "hosts": {name: known[name]}} for group, name in parts.items()
    }
    path.write_text(yaml.safe_dump(hosts), "utf-8")

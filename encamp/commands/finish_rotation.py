"""After a deploy: the end of each rotation whose hosts all have the new value."""

from __future__ import annotations

from encamp.output.terminal import report
from encamp.secrets.rotation import Rotation
from encamp.site import Site
from roles import generated_secrets
from roles.role import GeneratedSecret


def finish_rotations(site: Site, hosts: set[str], well: bool, rotating: str = "") -> None:
    """After a deploy: delete the old value of each secret whose hosts all have the new one; report what is unfinished.

    ``hosts``: those that took part with all their instances; ``well``: every one succeeded. About ``rotating``,
    `rotate` reports itself.
    """
    for secret in generated_secrets.find(site):
        rotation = Rotation(site.secrets.path(secret.name))
        left = [host for host in secret.hosts if host not in hosts]
        if rotation.state() == "switched" and well and not left:
            if rotation.confirm(site.generated(secret.name)):
                _report_done(secret)
        elif secret.name == rotating:
            continue
        elif rotation.state() == "switched":
            where = f": {', '.join(left)} may still have the old value" if left else ""
            report(f"\n{secret.name}: the rotation is not complete{where}")
            report(f"  next: fab deploy, or fab secrets rotate {secret.name}")
        elif rotation.state() == "prepared":
            report(f"\n{secret.name}: a new value is prepared\n  next: fab secrets rotate {secret.name}")


def _report_done(secret: GeneratedSecret) -> None:
    report(f"\n{secret.name} has been replaced on {', '.join(secret.hosts)}; the old value is deleted")
    if secret.kind != "authority":
        clients = ",".join(secret.clients)
        named = f"fab -H {clients} configure-client   (their requests are refused until then)" if clients else ""
        others = "fab configure-client on every client outside the inventory, including this machine"
        report(f"  next: {named or others}" + (f"\n  and:  {others}" if named else ""))

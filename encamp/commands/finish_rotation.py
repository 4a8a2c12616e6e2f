"""After a deploy: the end of each rotation whose hosts all have the new value."""

from __future__ import annotations

from encamp.output.terminal import tell
from encamp.secrets.rotation import Rotation
from encamp.site import Site
from roles import generated_secrets
from roles.generated_secrets import Generated


def conclude(site: Site, hosts: set[str], well: bool, rotating: str = "") -> None:
    """After a deploy: forget the old value of each secret that all its hosts have anew, and tell what is not over.

    ``hosts`` took part whole; ``well``: every one ended well. Of ``rotating``, `rotate` tells itself what is next.
    """
    for one in generated_secrets.find(site):
        rotation = Rotation(site.secrets.path(one.name))
        left = [host for host in one.hosts if host not in hosts]
        if rotation.state() == "switched" and well and not left:
            if rotation.settle(site.generated(one.name)):
                _tell_done(one)
        elif one.name == rotating:
            continue
        elif rotation.state() == "switched":
            where = f": {', '.join(left)} may have the old value" if left else ""
            tell(f"\n{one.name} is being changed{where}\n  next: fab deploy, or fab secrets rotate {one.name}")
        elif rotation.state() == "prepared":
            tell(f"\n{one.name} is to be changed\n  next: fab secrets rotate {one.name}")


def _tell_done(one: Generated) -> None:
    tell(f"\n{one.name} is changed on {', '.join(one.hosts)}; the old value is forgotten")
    if one.kind != "authority":
        clients = ",".join(one.clients)
        named = f"fab -H {clients} configure-client   (they are refused until then)" if clients else ""
        others = "fab configure-client for every client that is not in the inventory, this machine too"
        tell(f"  next: {named or others}" + (f"\n  and:  {others}" if named else ""))

"""What the doctor of a client is given: read by all of its checks."""

from __future__ import annotations

from typing import Any

from encamp.shared.record import record


@record
class ClientFields:
    """A user's Prefect to examine.

    ``api_url`` is the API that the site wants the client to use ("": any), ``others`` further ones of the site that it
    may use. ``mode`` is hosted, local or database (client_mode). ``projects`` are the
    directories that flows are started in; the first counts (none: the home, or on this machine (``local``) the current
    directory). ``profile`` is the one that `fab configure-client` writes, ``declared`` its resources
    (PrefectProfile, ClientCa), ``ca_file`` what verifies ``api_url``. ``server`` is the server's name for texts. With
    ``fix`` that profile is written and activated where that is the fix and no setting of the user's own overrides it.
    """

    name: str
    api_url: str = ""
    others: tuple[str, ...] = ()
    mode: str = "hosted"
    projects: tuple[str, ...] = ()
    local: bool = False
    profile: str = ""
    declared: tuple[Any, ...] = ()
    ca_file: str = ""
    server: str = "SERVER"
    fix: bool = False

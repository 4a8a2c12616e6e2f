"""What errors of a network, of certificates and of HTTP mean where a Prefect server was expected, in plain words.

Apart from the API: a run in which every answer is good needs none of it.
"""

from __future__ import annotations

import re

from encamp.resources.system import NO_RESPONSE

#: (what the TLS library says of a certificate, cause, fix), first match wins.
CERTIFICATE_ERRORS = (
    (
        r"certificate has expired",
        "the server's certificate has expired, or this machine's clock is ahead",
        "`date` shows the clock; renew the certificate (`fab deploy` does with tls: internal, Caddy does with tls: "
        "acme)",
    ),
    (
        r"not yet valid",
        "the certificate is not valid yet; usually this machine's clock is behind",
        "`date` shows the clock; set it (`timedatectl set-ntp true`)",
    ),
    (
        r"[Hh]ostname mismatch|doesn't match|IP address mismatch",
        "the certificate is for a different name than the one in the URL",
        "use the name in the certificate, or add this one to it (public_url)",
    ),
)
#: (what the network error says, cause, fix), first match wins.
NETWORK_ERRORS = (
    (
        r"Name or service not known|nodename nor servname|Temporary failure in name resolution|No address associated"
        r"|getaddrinfo",
        "this machine cannot resolve the server's name",
        "use a name that this machine can resolve (DNS or /etc/hosts), or the address, in public_url",
    ),
    (
        r"Connection refused",
        "the machine is reachable, but nothing listens on that port, or a firewall rejects the connection",
        "`ss -ltn` on the server shows whether something listens there; check host and port in public_url",
    ),
    (
        rf"{NO_RESPONSE}|read operation timed out",
        "the server accepts connections, but is too busy to answer, or hangs; after a pause, late runs start at once",
        "`fab -H SERVER doctor` shows late runs and what it logs",
    ),
    (
        r"Network is unreachable",
        "this machine has no route to that address: it is offline, its VPN is off, or the address is IPv6 and it has "
        "none",
        "`ip route get ADDRESS` shows the route; join the server's network",
    ),
    (
        r"No route to host|Host is down",
        "the network does not lead there: the server is off, the address is wrong, or a firewall rejects the packets",
        "`ping ADDRESS` from another machine of the server's network shows whether it is up",
    ),
    (
        r"timed out",
        "packets do not arrive: a firewall drops them, a VPN is off, or the address is wrong",
        "`fab -H SERVER doctor` shows whether they reach the server (check `outside`); open the port from here to it",
    ),
    *CERTIFICATE_ERRORS,
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "the certificate is not signed by an authority that this machine trusts",
        "set ca_bundle: to the certificate authority that signed it",
    ),
    (
        r"WRONG_VERSION_NUMBER|wrong version number|record layer failure",
        "the URL is https, but the port speaks plain http",
        "use http:// in public_url, or put TLS in front of the server",
    ),
    (
        r"too many redirects",
        "a proxy redirects in a circle, as from http to https and back",
        "`curl -sIL URL` shows each redirect",
    ),
    (
        r"reset by peer|closed connection without response|RemoteDisconnected|BadStatusLine|IncompleteRead",
        "something accepts connections and closes them: a proxy without a backend, or not a Prefect server",
        "`ss -ltnp` on the server shows what listens on that port",
    ),
)

NOT_THE_API = "`fab doctor` shows what answers there (check `path`); the API URL must end in /api"
#: What an HTTP status means when a Prefect server was expected.
STATUS_MEANINGS = {
    401: (
        "the server, or a proxy in front of it, requires user and password; they are missing or wrong",
        "set PREFECT_API_AUTH_STRING to the server's auth string; PREFECT_API_KEY is only for Prefect Cloud",
    ),
    403: (
        "the server or a proxy in front of it forbids this",
        "`fab -H SERVER doctor` asks the server itself; if that is well, read the log of the proxy",
    ),
    404: (
        "the address responds, but has no such path: /api is missing from the URL, or another program responds there",
        NOT_THE_API,
    ),
    405: (
        "the address responds, but not to this method: /api is missing from the URL, or another program responds there",
        NOT_THE_API,
    ),
    422: (
        "the server does not accept the request's format: most likely client and server are of different releases",
        "`fab doctor` names both (check `version`); the server must be at least as new as every client",
    ),
    502: ("a proxy responds, but the server behind it does not", "check the server with `fab -H SERVER doctor`"),
    503: (
        "the server is not ready, as while its database is down or busy; or a proxy has no backend",
        "check the server with `fab -H SERVER doctor`",
    ),
    504: (
        "a proxy responds, but the server behind it is too slow or down",
        "check the server with `fab -H SERVER doctor`",
    ),
}

#: A server that says itself why it does not answer (`fab maintenance on`).
SHUT = (
    "the server is shut for maintenance, as its answer says; clients of Prefect 3.3.1 or later wait until it is back",
    "wait, or end it: `fab -H SERVER maintenance off`",
)


def explain_network(error: str) -> tuple[str, str]:
    """Likely cause and fix of a network error by its text; empty where it is none that is known."""
    return next(((cause, fix) for pattern, cause, fix in NETWORK_ERRORS if re.search(pattern, error)), ("", ""))

"""What a client prints when a flow does not run."""

from __future__ import annotations

from roles.prefect.kinds.known_failures.known import Known

CLIENT = (
    Known(
        r"No module named 'prefect'",
        "Prefect is not installed in that Python",
        "use the interpreter of the environment that has it, or run `fab configure-client --install`",
    ),
    Known(
        r"No module named 'prefect_\w+'",
        "an integration of Prefect is not installed in the Python that runs the flow",
        "install it there: for a worker in `packages` of its entry in workers:",
    ),
    Known(
        r"incompatible versions",
        "client and server are of different major versions",
        "use the same major version for both; the server must be at least as new",
    ),
    Known(
        r"extra_forbidden|extra fields not permitted",
        "the server does not know a field that this client sends: their releases are incompatible "
        "(usually the client is "
        "newer; a client of Prefect 2 cannot make deployments on a server of Prefect 3)",
        "`fab doctor` names both releases; give this client the server's, or upgrade the server",
    ),
    Known(
        r"Unable to authenticate to the event stream",
        "the server closed the WebSocket for events as this client logged in: the server is older than 3.6.14 and the "
        "client is not, or user and password are wrong; task runs are lost",
        "`fab doctor` names both releases and checks the password",
    ),
    Known(
        r"401 Unauthorized|\b401\b.*Unauthorized",
        "the client sends no user and password, or wrong ones, or is too old to send them (before 3.1.8)",
        "`fab doctor` shows which (check `auth`); PREFECT_API_AUTH_STRING in the profile must be the server's",
    ),
    Known(
        r"Failed to reach API at",
        "the server does not respond at that URL, or /api is missing from it",
        "`fab doctor` shows which; the URL must end in /api",
    ),
    Known(
        r"No Prefect API URL provided",
        "no API URL is set for this user",
        "run `fab configure-client`",
    ),
    Known(
        r"Starting temporary server on|Server type:\s+ephemeral",
        "no API URL is set: the flow used its own temporary server, which other machines cannot see",
        "run `fab configure-client`",
    ),
    Known(
        r"(?:Active )?profile '[^']*'.* not found",
        "the selected profile (`active` or PREFECT_PROFILE) does not exist; Prefect uses its built-in one",
        "select an existing one with `prefect profile use NAME`, or run `fab configure-client`",
    ),
    Known(
        r"Missing CSRF token|Invalid CSRF token|'403 Forbidden' for url '[^']*/api/",
        "the server requires CSRF tokens, which clients support since Prefect 2.16.5; or a proxy forbids the request",
        "`fab doctor` shows which (check `CSRF`); upgrade the client, or disable CSRF protection on the server",
    ),
    Known(
        r"'detail': 'Not Found'|Expecting value: line 1 column 1",
        "another page answers there: most likely /api is missing from the API URL; or a proxy or its login page does",
        "`fab doctor` shows which (check `path`); PREFECT_API_URL must end in /api",
    ),
    Known(
        r"Flow run '[^']*' not found|Flow run not found|ObjectNotFound",
        "the API that this client uses does not know it: it is on another API, or was deleted",
        "`fab doctor` shows which API each client uses and what sets it",
    ),
    Known(
        r"WRONG_VERSION_NUMBER",
        "the URL is https, but the port speaks plain http",
        "write http:// in PREFECT_API_URL, or put TLS in front of the server",
    ),
    Known(
        r"CERTIFICATE_VERIFY_FAILED",
        "the server's certificate is not signed by an authority that Prefect knows, is for another name, or has "
        "expired",
        "`fab doctor` shows which (check `TLS`); for an authority of your own set ca_bundle: and run "
        "`fab configure-client`",
    ),
    Known(
        r"ConnectError: \[Errno -\d\]",
        "this machine cannot resolve the server's name",
        "use a name this machine can resolve, or the server's address",
    ),
    Known(
        r"Server disconnected without sending a response|RemoteProtocolError",
        "the server, or a proxy before it, closed the connection without an answer: it was restarted, or had "
        "closed it for "
        "idleness as the request came; Prefect's client tries again",
        "if it repeats, `fab doctor` looks at the way and the server",
    ),
    Known(
        r"httpx\.(?:Read|Pool|Write)Timeout",
        "the server accepted the request and did not answer in time: it or its database has too much to do",
        "`fab -H SERVER doctor` shows late runs, queries that wait, and what it logs",
    ),
    Known(
        r"httpx\.ConnectTimeout",
        "no answer from the address of the API: a firewall drops the packets, a VPN is off, or the address is wrong",
        "`fab doctor` shows which (check `port`)",
    ),
    Known(
        r"All connection attempts failed|Can't connect to Server API|Unable to connect to Prefect server",
        "nothing responds at the API URL: the server is down, a firewall blocks it, or the address is wrong",
        "`fab doctor` shows which",
    ),
    Known(
        r"Unknown setting|TOMLDecodeError|not valid TOML|Failed to load profiles",
        "the profiles file has a name or a line that this Prefect does not accept",
        "correct it; the lines below name it",
    ),
)

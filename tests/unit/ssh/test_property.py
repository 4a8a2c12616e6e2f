"""Whatever stands in OpenSSH's files, encamp makes a connection's data of it or says what is wrong."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from encamp.errors import EncampError, HostKeyRejected
from encamp.ssh import config as ssh_config
from encamp.ssh import config_files, config_warnings, directives
from encamp.ssh.config import Hop
from encamp.ssh.host_keys import HostKeys
from encamp.ssh.known_hosts import PublicKey

BLOB = b"\0\0\0\x0bssh-ed25519" + b"\0\0\0\x20" + bytes(32)
KEY = PublicKey.from_blob(BLOB)
NAMES = st.sampled_from(["vm1", "vm?", "*", "!vm1", "[vm1]:22", "vm1,", "|1|", "|1|c2FsdA==|c2FsdA==", "|1|ä|ö", ""])
MARKERS = st.sampled_from(["", "@revoked", "@cert-authority", "@", "#"])
TEXTS = st.sampled_from([KEY.text, KEY.text[:-3], "AAAA", "%%%", "é", ""])
LINES = st.builds(
    lambda *words: " ".join(words).encode(), MARKERS, NAMES, st.sampled_from(["ssh-ed25519", "ssh-rsa", "x"]), TEXTS
)

KEYWORDS = sorted((directives.NEUTRAL | directives.OBEYED | {*directives.IGNORED, *directives.REFUSED}) - {"match"})
WORDS = ["vm1", "none", "yes", "no", "0", "22", "65536", "-1", "%h", "%%", "%", "%q", "${HOME}", "${", "~", "~nobody/x"]
WORDS += [
    '"',
    '"a b"',
    "'",
    "\\",
    "a,b",
    "me@a:22,b",
    "ssh://a:0/",
    "[::1]:22",
    "@",
    ":",
    "=",
    "#",
    "*",
    "!*",
    "ä",
    "\0",
]
#: Free text, which OpenSSH takes as it is and encamp has to make something of.
FREE = ("hostname", "hostkeyalias", "identityfile", "certificatefile", "proxyjump", "identityagent", "revokedhostkeys")
FREE += ("userknownhostsfile", "globalknownhostsfile", "hostkeyalgorithms", "knownhostscommand", "user", "localcommand")
BLOCKS = ["Match all", "Match host vm1", "Match originalhost v* user root", "Match final", "Match", "Host", "=", "\0"]


@given(st.lists(LINES | st.binary(max_size=40), max_size=6), st.sampled_from([22, 2222]))
def test_any_known_hosts(lines: list[bytes], port: int) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\n".join(lines))
        file.flush()
        keys = HostKeys(Hop("vm1", "vm1", port, "root"), [file.name])
        assert set(keys.algorithms(["ssh-ed25519"])) >= {"ssh-ed25519"}
        with contextlib.suppress(HostKeyRejected):
            assert keys.is_known(KEY) in (True, False)


DIRECTIVES = st.builds(lambda *words: " ".join(words), st.sampled_from(KEYWORDS), *[st.sampled_from(WORDS)] * 2)
TAKEN = st.builds(lambda *words: " ".join(words), st.sampled_from(FREE), st.sampled_from(WORDS))


@settings(max_examples=80)
@given(
    st.lists(TAKEN, min_size=1, max_size=2)
    | st.lists(
        DIRECTIVES | st.sampled_from(BLOCKS) | st.text(max_size=20).filter(lambda text: "match" not in text.lower()),
        max_size=5,
    )
)
def test_any_ssh_config(lines: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config"
        file.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
        config_files.statements(str(file))
        try:
            hops = ssh_config.route("vm1", None, None, str(file))
        except EncampError:
            return
        for hop in hops:
            assert hop.recorded and isinstance(hop.known_hosts, tuple) and isinstance(hop.identity_files, tuple)
            with contextlib.suppress(EncampError):
                config_warnings.warnings(hop, str(file))

"""OpenSSH's directives: which are obeyed, which do not matter here, and which are told of as not obeyed."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from encamp.errors import InventoryError
from encamp.ssh import config_files
from encamp.ssh.config_files import Statement

if TYPE_CHECKING:
    from encamp.ssh.config import Hop, Values

#: Nothing of a connection as encamp makes it depends on these: it opens no terminal, forwards nothing, shares nothing,
#: and keeps its links alive by itself. A configuration of these alone need not be asked for.
_NEUTRAL = """
    host include sendenv setenv hashknownhosts loglevel logverbose requesttty escapechar forwardagent forwardx11
    forwardx11trusted forwardx11timeout gatewayports localforward remoteforward dynamicforward permitremoteopen
    exitonforwardfailure clearallforwardings tunnel tunneldevice controlmaster controlpath controlpersist
    permitlocalcommand serveralivecountmax serveraliveinterval tcpkeepalive addkeystoagent visualhostkey ipqos stdinnull
    forkafterauthentication sessiontype batchmode numberofpasswordprompts updatehostkeys fingerprinthash ignoreunknown
    connectionattempts streamlocalbindmask streamlocalbindunlink syslogfacility xauthlocation rekeylimit
    enablesshkeysign enableescapecommandline channeltimeout obscurekeystroketiming refuseconnection warnweakcrypto
    usekeychain hostbasedacceptedalgorithms protocol cipher gssapidelegatecredentials gssapikeyexchange
    gssapikexalgorithms
    gssapirenewalforcesrekey gssapitrustdns gssapiclientidentity gssapiserveridentity gssapiauthentication
"""
NEUTRAL = frozenset(_NEUTRAL.split())
#: Obeyed, either by ssh -G itself or by the connection.
_OBEYED = """
    match tag versionaddendum hostname user port identityfile certificatefile identitiesonly identityagent
    userknownhostsfile globalknownhostsfile hostkeyalias proxyjump proxycommand addressfamily bindaddress connecttimeout
    compression ciphers macs kexalgorithms hostkeyalgorithms pubkeyacceptedalgorithms preferredauthentications
    pubkeyauthentication passwordauthentication kbdinteractiveauthentication challengeresponseauthentication
    canonicalizehostname canonicaldomains canonicalizemaxdots canonicalizefallbacklocal
    canonicalizepermittedcnames
"""
OBEYED = frozenset(_OBEYED.split())
#: Not obeyed, and what that means. A warning tells of each that is in force for a host.
IGNORED: Mapping[str, str] = {
    "gssapiauthentication": "Kerberos is not used to log in: a key or a password is needed",
    "hostbasedauthentication": "encamp does not log in as one host to another: a key or a password is needed",
    "pkcs11provider": "keys of a smart card are used only through ssh-agent (ssh-add -s)",
    "securitykeyprovider": "keys of a hardware token are used only through ssh-agent (ssh-add)",
    "stricthostkeychecking": "encamp's own host_key_checking decides",
    "nohostauthenticationforlocalhost": "keys of this machine are checked, too",
    "checkhostip": "the address itself is not looked up in known_hosts",
    "verifyhostkeydns": "keys in DNS are not looked up: known_hosts counts",
    "knownhostscommand": "no command is asked for host keys: known_hosts files count",
    "remotecommand": "encamp runs its own command",
    "localcommand": "no local command is run",
    "bindinterface": "the kernel chooses the interface",
    "requiredrsasize": "RSA keys of any size are taken",
    "casignaturealgorithms": "every algorithm that is not broken may sign a certificate",
}
#: Not obeyed, and not safe to leave out.
REFUSED: Mapping[str, str] = {
    "revokedhostkeys": "write the revoked keys into known_hosts, as lines that begin with @revoked",
    "proxyusefdpass": "let the ProxyCommand pass data (nc HOST PORT), not a socket",
}
#: Values of theirs that ask for nothing beyond what encamp does anyway.
_HARMLESS = {"stricthostkeychecking": ("true", "yes", "ask")}


def warnings(hop: Hop, file: str = "") -> list[str]:
    """What of OpenSSH's configuration is in force for this host and not obeyed, each with its file and line.

    Raises InventoryError where leaving it out would not be safe.
    """
    found = []
    for one in _in_force(hop, file):
        text = f"{one.origin}: {_shown(one)} has no effect here"
        if one.keyword in REFUSED:
            raise InventoryError(f"{_shown(one)} cannot be obeyed for {hop.name}", REFUSED[one.keyword], one.origin)
        reason = IGNORED.get(one.keyword, "encamp does not know this directive")
        found.append(f"{text}: {reason}")
    return found


def _in_force(hop: Hop, file: str) -> list[Statement]:
    """The statements that are not obeyed and that count for this host, one for each keyword."""
    if not hop.values:
        return []
    written: dict[str, list[Statement]] = {}
    for one in config_files.statements(file):
        if _is_told(one):
            written.setdefault(one.keyword, []).append(one)
    return [_where(hop, found) for keyword, found in written.items() if _counts(hop, keyword)]


def _is_told(one: Statement) -> bool:
    """Distributions switch Kerberos on for everybody: only who writes so himself is told that it is not used."""
    if one.keyword == "gssapiauthentication" and one.origin.file.startswith("/etc/ssh/"):
        return False
    return one.keyword in IGNORED or one.keyword in REFUSED or one.keyword not in NEUTRAL | OBEYED


def _counts(hop: Hop, keyword: str) -> bool:
    """Whether a directive's value for this host differs from what OpenSSH has without any configuration."""
    value = hop.values.get(keyword, ())
    return value != _defaults().get(keyword, ()) and not set(value) & set(_HARMLESS.get(keyword, ()))


@functools.cache
def _defaults() -> Values:
    from encamp.ssh.config import ask

    return ask("localhost", file="none")


def _where(hop: Hop, found: list[Statement]) -> Statement:
    """The statement that most likely set the value: the first one under a block that is for this host."""
    return next((one for one in found if _is_for(hop, one.block)), found[0])


def _is_for(hop: Hop, block: Statement | None) -> bool:
    """Whether a Host line names the host. Of a Match line only OpenSSH knows; it may be."""
    if block is None or block.keyword == "match":
        return True
    positive = [word for word in block.words if not word.startswith("!")]
    negative = [word[1:] for word in block.words if word.startswith("!")]
    return any(config_files.matches(word, hop.name) for word in positive) and not any(
        config_files.matches(word, hop.name) for word in negative
    )


def _shown(one: Statement) -> str:
    return f"{one.keyword} {one.value}"

"""OpenSSH's directives: supported ones, irrelevant ones, and those that have no effect and produce a warning."""

from __future__ import annotations

from collections.abc import Mapping

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
#: Supported, either by ssh -G itself or by the connection.
_OBEYED = """
    match tag versionaddendum hostname user port identityfile certificatefile identitiesonly identityagent
    userknownhostsfile globalknownhostsfile hostkeyalias proxyjump proxycommand addressfamily bindaddress connecttimeout
    compression ciphers macs kexalgorithms hostkeyalgorithms pubkeyacceptedalgorithms preferredauthentications
    pubkeyauthentication passwordauthentication kbdinteractiveauthentication challengeresponseauthentication
    canonicalizehostname canonicaldomains canonicalizemaxdots canonicalizefallbacklocal
    canonicalizepermittedcnames
"""
OBEYED = frozenset(_OBEYED.split())
#: Not supported, and what that means. Each that is in force for a host produces a warning.
IGNORED: Mapping[str, str] = {
    "gssapiauthentication": "Kerberos is not used to log in: a key or a password is needed",
    "hostbasedauthentication": "encamp does not log in as one host to another: a key or a password is needed",
    "pkcs11provider": "keys of a smart card are used only through ssh-agent (ssh-add -s)",
    "securitykeyprovider": "keys of a hardware token are used only through ssh-agent (ssh-add)",
    "stricthostkeychecking": "encamp's own host_key_checking decides",
    "nohostauthenticationforlocalhost": "host keys of this machine are checked as well",
    "checkhostip": "the address itself is not looked up in known_hosts",
    "verifyhostkeydns": "keys in DNS are not looked up, only known_hosts",
    "knownhostscommand": "the command is not run: host keys come from known_hosts files",
    "remotecommand": "encamp runs its own command",
    "localcommand": "no local command is run",
    "bindinterface": "the kernel chooses the interface",
    "requiredrsasize": "RSA keys of any size are accepted",
    "casignaturealgorithms": "certificates may be signed with any secure algorithm",
}
#: Not supported, and not safe to ignore.
REFUSED: Mapping[str, str] = {
    "revokedhostkeys": "add the revoked keys to known_hosts, as lines that begin with @revoked",
    "proxyusefdpass": "use a ProxyCommand that passes data (nc HOST PORT) instead of a socket",
}

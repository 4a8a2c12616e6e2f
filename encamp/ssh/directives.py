"""OpenSSH's directives: supported ones, irrelevant ones, and those that have no effect and produce a warning."""

from __future__ import annotations

from collections.abc import Mapping

#: Nothing of a connection as encamp makes it depends on these: it opens no terminal, forwards nothing, shares nothing,
#: and keeps its links alive by itself. A configuration of these alone need not be asked for.
_NEUTRAL = """
    host include sendenv setenv hashknownhosts loglevel logverbose requesttty escapechar forwardagent forwardx11
    forwardx11trusted forwardx11timeout gatewayports localforward remoteforward dynamicforward permitremoteopen
    exitonforwardfailure clearallforwardings tunnel tunneldevice controlmaster controlpersist
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
    canonicalizepermittedcnames controlpath
"""
OBEYED = frozenset(_OBEYED.split())
#: What paramiko cannot do and ``ssh`` can. Where one is in force, ``ssh`` is the way to the host; where the setting
#: ``transport`` forbids that, the text says what follows.
BY_OPENSSH: Mapping[str, str] = {
    "gssapiauthentication": "paramiko does not use Kerberos to log in: a key or a password is needed",
    "hostbasedauthentication": "paramiko does not log in as one host to another: a key or a password is needed",
    "pkcs11provider": "paramiko uses keys of a smart card only through ssh-agent (ssh-add -s)",
    "securitykeyprovider": "paramiko uses keys of a hardware token only through ssh-agent (ssh-add)",
    "nohostauthenticationforlocalhost": "paramiko's way checks host keys of this machine as well",
    "verifyhostkeydns": "paramiko's way does not look up keys in DNS, only in known_hosts",
    "knownhostscommand": "paramiko's way does not run the command: host keys come from known_hosts files",
    "bindinterface": "paramiko leaves the interface to the kernel",
    "requiredrsasize": "paramiko accepts RSA keys of any size",
    "casignaturealgorithms": "paramiko's way accepts certificates signed with any secure algorithm",
    "revokedhostkeys": "add the revoked keys to known_hosts, as lines that begin with @revoked",
    "proxyusefdpass": "use a ProxyCommand that passes data (nc HOST PORT) instead of a socket",
}
#: Of these, the ones that are not safe to leave out.
REFUSED = ("revokedhostkeys", "proxyusefdpass")
#: What neither way does. Each that is in force for a host produces a warning.
IGNORED: Mapping[str, str] = {
    "stricthostkeychecking": "encamp's own host_key_checking decides",
    "checkhostip": "the address itself is not looked up in known_hosts",
    "remotecommand": "encamp runs its own command",
    "localcommand": "no local command is run",
}

"""``fab secrets rotate NAME``: a new value for a generated secret, on every host that has it, in the order of a deploy.

The deploy is what changes hosts: a cut rotation is finished by the next one. See ``rotation`` for the steps here.
"""

from __future__ import annotations

import dataclasses
import difflib

from encamp.cli.options import Options
from encamp.commands import secrets
from encamp.commands.all_settings import ALL_SETTINGS
from encamp.commands.deploy import deploy
from encamp.errors import SettingsError, UsageError
from encamp.output.broadcast import take_stdout
from encamp.output.terminal import report
from encamp.secrets.rotation import Rotation
from encamp.secrets.store import status
from encamp.settings.convert import Given
from encamp.site import Site
from roles import generated_secrets
from roles.role import GeneratedSecret

#: How an operator changes a secret at its source, and what must be done besides.
_SOURCES = {
    "env": "set the variable {value}",
    "file": "put the new value into {value}",
    "command": "change it where {value} reads it",
    "vault": "put the text that `fab secrets encrypt` prints into {value}",
}
_FIRST = {"database_url": "change it in Postgres; then ", "client_database_url": "change it in Postgres; then "}


def rotate(options: Options, name: str) -> int:
    """Change the secret ``name``, or continue an interrupted change. Returns the exit code; raises EncampError."""
    if options.json_file == "-":
        take_stdout()  # before anything is printed
    site = secrets.load(options)
    secret = _find(site, name)
    rotation = Rotation(site.secrets.path(name))
    if not status(site.secrets.path(name)):
        raise UsageError(
            f"{name} is not on this machine",
            "run `fab deploy` to generate it, or copy it from the machine that deployed",
        )
    report(f"{secret.what}: {', '.join(secret.hosts)}, one after the other")
    there = dataclasses.replace(options, hosts=",".join(secret.hosts), rotating=secret.name)
    if options.check or rotation.state() == "none":
        report("checking each host first; nothing changes yet")
        code = deploy(dataclasses.replace(there, check=True))
        if code or options.check:
            return code
        there = _next(there)
    return _authority(there, secret, rotation) if secret.kind == "authority" else _value(there, secret, rotation)


def _value(options: Options, secret: GeneratedSecret, rotation: Rotation) -> int:
    """A password: the deploy gives the new one to Postgres or the server first, then to who uses it."""
    if rotation.state() != "switched":
        rotation.prepare()
        rotation.switch()
    return _reported(deploy(options), secret)


def _authority(options: Options, secret: GeneratedSecret, rotation: Rotation) -> int:
    """An authority: trusted beside the old one first. Certificates change with the next call, when clients know it."""
    if rotation.state() == "none":
        rotation.prepare()
        code = _reported(deploy(options), secret)
        if code == 0:
            _report_trust(secret)
        return code
    if rotation.state() == "prepared":
        report("first, every host has to trust the new authority")
        code = _reported(deploy(options), secret)
        if code:
            return code
        rotation.switch()
        options = _next(options)
    code = _reported(deploy(options), secret)
    if code == 0 and rotation.state() == "none":
        report("removing the old authority from the hosts")
        code = deploy(_next(options), verify=False)
    return code


def _next(options: Options) -> Options:
    """For one more run of this command: the files of events and results go on."""
    return dataclasses.replace(options, append=True)


def _reported(code: int, secret: GeneratedSecret) -> int:
    if code:
        report(f"\n{secret.name} is not replaced everywhere yet; both values are kept:")
        report(f"  next: fab deploy, or fab secrets rotate {secret.name}")
    return code


def _report_trust(secret: GeneratedSecret) -> None:
    report("\nevery host trusts the new authority beside the old one; certificates are still signed by the old one")
    if secret.clients:
        report(
            f"  next: fab -H {','.join(secret.clients)} configure-client   (otherwise they refuse the new certificates)"
        )
    report(f"  then: fab secrets rotate {secret.name}   (replaces the certificates)")


def _find(site: Site, name: str) -> GeneratedSecret:
    """The generated secret of this name. Raises UsageError for none, and for one that is the operator's own."""
    known = {secret.name: secret for secret in generated_secrets.find(site)}
    if name in known:
        return known[name]
    for host in site.hosts:
        for view in host.instances:
            for given in view.given_settings.given(ALL_SETTINGS):
                if given.key == name:
                    raise _not_ours(given)
    near = difflib.get_close_matches(name, known, 1, 0.4)
    fix = f"did you mean {near[0]}?" if near else f"generated are: {', '.join(known) or 'none'}; see `fab secrets`"
    raise UsageError(f"this site has no secret {name}", fix)


def _not_ours(given: Given) -> SettingsError:
    source = given.source.kind if given.source else "vault"
    value = given.source.value if given.source else str(given.origin)
    how = _SOURCES[source].format(value=value if isinstance(value, str) else value[0])
    after = ", then `fab configure-client` for every client" if given.key == "auth" else ""
    fix = f"{_FIRST.get(given.key, '')}{how}, then `fab deploy`{after}"
    return SettingsError(f"{given.key} is not generated: it comes from {secrets.kind(given)}", fix, given.origin)

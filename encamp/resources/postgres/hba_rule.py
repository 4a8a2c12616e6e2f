"""Who may connect to Postgres, from where, and how they prove who they are."""

from __future__ import annotations

import os
import re
from typing import Sequence

from encamp.resources.base import Change, Failure, Refused, Resource, kind, unified
from encamp.resources.postgres import hba_file as hba
from encamp.resources.postgres.state import State, ask, execute, read_state
from encamp.resources.system import Reader, System

CONNECTIONS = ("local", "host", "hostssl", "hostnossl")
METHODS = ("trust", "reject", "scram-sha-256", "md5", "password", "peer", "ident", "cert", "ldap", "radius", "pam")
RELOAD_SECONDS = 15
_ADDRESS_WORD = re.compile(r"\.?[A-Za-z0-9][A-Za-z0-9_.-]*")
_ERRORS = """SELECT json_agg(json_build_object('line', line_number, 'error', error, 'fatal', type IS NULL))
FROM pg_hba_file_rules WHERE error IS NOT NULL;"""


@kind
class PostgresHbaRule(Resource):
    """A rule of pg_hba.conf, kept under ``name`` in a marked block before all other rules.

    ``connection`` is local, host, hostssl or hostnossl. ``database`` and ``user`` are one name each, or the words that
    Postgres knows (all, sameuser, samerole, replication; ``+group`` for users). ``address`` (host types only) is a
    network such as 10.0.0.0/8, an address, a host name, all, samehost or samenet. ``options`` are texts such as
    ``map=site``. Nothing is written where the rules of others have the same effect already; their lines are left as
    they are. In the block rules stand in the order in which they were first written. Postgres reads a new file before
    it counts; one that it refuses is taken back.
    """

    name: str
    connection: str = "local"
    database: str = "all"
    user: str = "all"
    address: str = ""
    method: str = "peer"
    options: tuple[str, ...] = ()
    cluster: str = "main"

    def __post_init__(self) -> None:
        for problem, found in self._problems().items():
            if found:
                raise ValueError(f"Postgres access rule {self.name!r}: {problem}")

    def _problems(self) -> dict[str, bool]:
        """Every way a rule can be wrong in itself, and whether this one is."""
        local = self.connection == "local"
        network = hba.network(self.address)
        words = (self.name, self.database, self.user, *self.options)
        locks_out = local and self.user in ("all", "postgres") and self.method not in ("peer", "trust")
        return {
            f"connection must be one of {', '.join(CONNECTIONS)}": self.connection not in CONNECTIONS,
            f"method must be one of {', '.join(METHODS)}": self.method not in METHODS,
            "an empty or unprintable name": not all(word and word.isprintable() for word in words),
            "a local rule has no address": local and self.address != "",
            "a host rule needs an address": not local and not self.address,
            f"{self.address!r} is no address": not local
            and isinstance(network, str)
            and not _ADDRESS_WORD.fullmatch(network),
            "peer works over the local socket only": not local and self.method == "peer",
            "an option is written name=value": any("=" not in option for option in self.options),
            "a name that starts with / would be a pattern": self.database[:1] == "/" or self.user[:1] == "/",
            "it would lock out the superuser postgres, and encamp with it": locks_out,
        }

    @property
    def line(self) -> str:
        """The rule as a line of the file."""
        words = [self.connection, hba.token(self.database, hba.DATABASE_WORDS), hba.token(self.user, hba.USER_WORDS)]
        if self.connection != "local":
            words.append(str(hba.network(self.address)))
        return " ".join([*words, self.method, *map(hba.token, self.options)])

    def check(self, host: Reader) -> list[Change]:
        state = read_state(host, self.cluster)
        if state is None:
            return [Change("rule", "absent", self.line)]
        path, data, block = locate(host, state)
        for row in state.hba:
            if row["type"] is None and not _is_ours(row, state, block):
                raise Refused(
                    f"{row.get('file_name') or path}, line {row['line_number']}: {row['error']}",
                    "somebody edited it; Postgres goes on with the rules it last could read",
                    "correct that line, then deploy again",
                )
        own = block.rules.get(self.name)
        foreign = [row for row in state.hba if not _is_ours(row, state, block)]
        if own is None and hba.in_effect(self._rule, _rules(foreign)):
            return []  # behind our block, where a new line of ours would stand, too
        if own != self.line.encode():
            before = own.decode("utf-8", "replace") if own else "absent"
            return [Change("rule", before, self.line, self._diff(host, path, data))]
        if hba.in_the_way(self._rule, _rules(self._earlier(state, block))):
            return [Change("position", "after rules that catch the same connections", "first")]
        return [Change("reload", "pending", "done")] if waits_for_reload(host, state, path) else []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        state = read_state(host, self.cluster)
        if state is None:
            raise Failure(f"there is no Postgres cluster {self.cluster} on this host")
        path, before, _ = locate(host, state)
        after = hba.with_rule(before, self.name, self.line)
        if after != before:
            replace(host, path, after)
            try:
                self._require_readable(host, state, hba.parse(after).numbers[self.name])
            except Failure:
                replace(host, path, before)
                raise
        load(host, self.cluster, path)

    def _require_readable(self, host: System, state: State, own_line: int) -> None:
        """Raise Failure when Postgres cannot read the file, or finds fault with our line."""
        for found in ask(host, state.cluster, _ERRORS) or ():
            if found["fatal"] or found["line"] == own_line:
                raise Failure(
                    f"Postgres refused the rule `{self.line}`: {found['error']}",
                    "this server version or its settings do not know such a rule",
                    "correct the rule; the file was put back as it was",
                )

    @property
    def _rule(self) -> hba.Rule:
        options = frozenset(self.options)
        address = hba.network(self.address)
        return hba.Rule(
            self.connection, frozenset([self.database]), frozenset([self.user]), address, self.method, options
        )

    def _earlier(self, state: State, block: hba.Block) -> list[hba.Row]:
        """The rows of others that Postgres meets before ours. Our own block's order is the declarations' order."""
        earlier = []
        for row in state.hba:
            if _is_ours(row, state, block):
                if row["line_number"] == block.numbers[self.name]:
                    break
            else:
                earlier.append(row)
        return earlier

    def _diff(self, host: Reader, path: str, data: bytes) -> str:
        if not host.want_diff:
            return ""
        after = hba.with_rule(data, self.name, self.line)
        return unified(data.decode("utf-8", "replace"), after.decode("utf-8", "replace"), path)


def _rules(rows: Sequence[hba.Row]) -> list[hba.Rule]:
    return [rule for rule in map(hba.rule_from_row, rows) if rule is not None]


def _is_ours(row: hba.Row, state: State, block: hba.Block) -> bool:
    """Whether a row comes from our block. ``file_name`` is known from version 16 on, where files may be included."""
    included = row.get("file_name") not in (None, state.settings["hba_file"])
    return not included and row["line_number"] in block.numbers.values()


def locate(host: Reader, state: State) -> tuple[str, bytes, hba.Block]:
    """The real path of pg_hba.conf, its content and our block in it. Raises Failure."""
    path = _resolved(host, state.settings["hba_file"])
    data = host.read(path)
    if data is None:
        raise Failure(f"{path} is gone", "somebody removed it while Postgres runs", "restore it from a backup")
    try:
        return path, data, hba.parse(data)
    except ValueError as error:
        raise Refused(f"{path}, {error}", fix="move that line below the END line, then deploy again") from None


def _resolved(host: Reader, path: str) -> str:
    """The file behind a symbolic link: the link stays when the file is replaced."""
    for _ in range(8):
        found = host.stat(path)
        if found is None or found.kind != "symlink":
            break
        path = os.path.join(os.path.dirname(path), found.target)
    return path


def replace(host: System, path: str, data: bytes) -> None:
    """Write the file with the owner and mode that it has."""
    found = host.stat(path)
    if found is None:
        raise Failure(f"{path} is gone")
    host.write(path, data, found.owner, found.group, found.mode)


def load(host: System, cluster: str, path: str) -> None:
    """Have the server read the file at ``path``, and wait until it has. Raises Failure."""
    execute(host, cluster, "SELECT pg_reload_conf();")

    def is_loaded() -> bool:
        state = read_state(host, cluster)
        return state is not None and not waits_for_reload(host, state, path)

    if not host.wait_for(is_loaded, RELOAD_SECONDS):
        raise Failure(
            f"Postgres did not reload its configuration within {RELOAD_SECONDS} s",
            fix="see the server's log; `SELECT pg_reload_conf()` as the superuser makes it read the file",
        )


def waits_for_reload(host: Reader, state: State, path: str) -> bool:
    """Whether the file changed since the server read it. A date in the future says nothing."""
    found = host.stat(path)
    return found is not None and state.loaded < found.mtime <= state.now

"""Who may connect to Postgres, from where, and how they authenticate."""

from __future__ import annotations

import os
import re
from typing import Sequence

from encamp.resources.base import Change, Failure, Refused, Resource, kind, unified
from encamp.resources.postgres import hba_file
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
    """A rule of pg_hba.conf, under ``name`` in a marked block before all other rules.

    ``connection`` is local, host, hostssl or hostnossl. ``database`` and ``user`` are one name each, or Postgres'
    keywords (all, sameuser, samerole, replication; ``+group`` for users). ``address`` (host types only) is a
    network such as 10.0.0.0/8, an address, a host name, all, samehost or samenet. ``options`` are texts such as
    ``map=site``. Nothing is written where foreign rules already have the same effect; foreign lines stay unchanged.
    Rules in the block keep the order in which they were first written. Postgres checks a new file before it is loaded;
    a rejected one is restored.
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
        for problem, applies in self._problems().items():
            if applies:
                raise ValueError(f"Postgres access rule {self.name!r}: {problem}")

    def _problems(self) -> dict[str, bool]:
        """Every way a rule can be invalid, and whether this one is."""
        local = self.connection == "local"
        network = hba_file.network(self.address)
        words = (self.name, self.database, self.user, *self.options)
        locks_out = local and self.user in ("all", "postgres") and self.method not in ("peer", "trust")
        return {
            f"connection must be one of {', '.join(CONNECTIONS)}": self.connection not in CONNECTIONS,
            f"method must be one of {', '.join(METHODS)}": self.method not in METHODS,
            "an empty or unprintable name": not all(word and word.isprintable() for word in words),
            "a local rule must not have an address": local and self.address != "",
            "a host rule needs an address": not local and not self.address,
            f"{self.address!r} is not an address": not local
            and isinstance(network, str)
            and not _ADDRESS_WORD.fullmatch(network),
            "peer works with local connections only": not local and self.method == "peer",
            "an option must be name=value": any("=" not in option for option in self.options),
            "a name must not start with / (a pattern)": self.database[:1] == "/" or self.user[:1] == "/",
            "it would lock out the superuser postgres, and so encamp": locks_out,
        }

    @property
    def line(self) -> str:
        """The rule as a line of the file."""
        words = [
            self.connection,
            hba_file.token(self.database, hba_file.DATABASE_WORDS),
            hba_file.token(self.user, hba_file.USER_WORDS),
        ]
        if self.connection != "local":
            words.append(str(hba_file.network(self.address)))
        return " ".join([*words, self.method, *map(hba_file.token, self.options)])

    def check(self, host: Reader) -> list[Change]:
        state = read_state(host, self.cluster)
        if state is None:
            return [Change("rule", "absent", self.line)]
        path, data, block = locate(host, state)
        for row in state.hba:
            if row["type"] is None and not _is_ours(row, state, block):
                raise Refused(
                    f"{row.get('file_name') or path}, line {row['line_number']}: {row['error']}",
                    "the file was edited; Postgres keeps using the last valid rules",
                    "correct that line, then deploy again",
                )
        own = block.rules.get(self.name)
        foreign = [row for row in state.hba if not _is_ours(row, state, block)]
        if own is None and hba_file.in_effect(self._rule, _rules(foreign)):
            return []  # foreign rules follow encamp's block, as a new line would
        if own != self.line.encode():
            before = own.decode("utf-8", "replace") if own else "absent"
            return [Change("rule", before, self.line, self._diff(host, path, data))]
        if hba_file.in_the_way(self._rule, _rules(self._earlier(state, block))):
            return [Change("position", "after rules that catch the same connections", "first")]
        return [Change("reload", "pending", "done")] if waits_for_reload(host, state, path) else []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        state = read_state(host, self.cluster)
        if state is None:
            raise Failure(f"Postgres cluster {self.cluster} does not exist on this host")
        path, before, _ = locate(host, state)
        after = hba_file.with_rule(before, self.name, self.line)
        if after != before:
            replace(host, path, after)
            try:
                self._require_readable(host, state, hba_file.parse(after).numbers[self.name])
            except Failure:
                replace(host, path, before)
                raise
        load(host, self.cluster, path)

    def _require_readable(self, host: System, state: State, own_line: int) -> None:
        """Raise Failure when Postgres cannot parse the file, or rejects encamp's line."""
        for row in ask(host, state.cluster, _ERRORS) or ():
            if row["fatal"] or row["line"] == own_line:
                raise Failure(
                    f"Postgres rejected the rule `{self.line}`: {row['error']}",
                    "this server version or its settings do not support such a rule",
                    "correct the rule; the old file was restored",
                )

    @property
    def _rule(self) -> hba_file.Rule:
        options = frozenset(self.options)
        address = hba_file.network(self.address)
        return hba_file.Rule(
            self.connection, frozenset([self.database]), frozenset([self.user]), address, self.method, options
        )

    def _earlier(self, state: State, block: hba_file.Block) -> list[hba_file.Row]:
        """The foreign rows before this rule. The order within the block is that of the declarations."""
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
        after = hba_file.with_rule(data, self.name, self.line)
        return unified(data.decode("utf-8", "replace"), after.decode("utf-8", "replace"), path)


def _rules(rows: Sequence[hba_file.Row]) -> list[hba_file.Rule]:
    return [rule for rule in map(hba_file.rule_from_row, rows) if rule is not None]


def _is_ours(row: hba_file.Row, state: State, block: hba_file.Block) -> bool:
    """Whether a row is in encamp's block. Version 16 and later have ``file_name``, since files may be included."""
    included = row.get("file_name") not in (None, state.settings["hba_file"])
    return not included and row["line_number"] in block.numbers.values()


def locate(host: Reader, state: State) -> tuple[str, bytes, hba_file.Block]:
    """The real path of pg_hba.conf, its content and encamp's block. Raises Failure."""
    path = _resolved(host, state.settings["hba_file"])
    data = host.read(path)
    if data is None:
        raise Failure(f"{path} does not exist", "it was removed while Postgres runs", "restore it from a backup")
    try:
        return path, data, hba_file.parse(data)
    except ValueError as error:
        raise Refused(
            f"{path}, {error}", fix="move that line below the line `# END encamp`, then deploy again"
        ) from None


def _resolved(host: Reader, path: str) -> str:
    """The target of a symbolic link, so that replacing the file keeps the link."""
    for _ in range(8):
        stat = host.stat(path)
        if stat is None or stat.kind != "symlink":
            break
        path = os.path.join(os.path.dirname(path), stat.target)
    return path


def replace(host: System, path: str, data: bytes) -> None:
    """Write the file, keeping its owner and mode."""
    stat = host.stat(path)
    if stat is None:
        raise Failure(f"{path} does not exist")
    host.write(path, data, stat.owner, stat.group, stat.mode)


def load(host: System, cluster: str, path: str) -> None:
    """Make the server reload the file at ``path``, and wait until it has. Raises Failure."""
    execute(host, cluster, "SELECT pg_reload_conf();")

    def is_loaded() -> bool:
        state = read_state(host, cluster)
        return state is not None and not waits_for_reload(host, state, path)

    if not host.wait_for(is_loaded, RELOAD_SECONDS):
        raise Failure(
            f"Postgres did not reload its configuration within {RELOAD_SECONDS} s",
            fix="check the server's log; as the superuser, `SELECT pg_reload_conf()` reloads it",
        )


def waits_for_reload(host: Reader, state: State, path: str) -> bool:
    """Whether the file changed since the server read it. A date in the future is ignored."""
    stat = host.stat(path)
    return stat is not None and state.loaded < stat.mtime <= state.now

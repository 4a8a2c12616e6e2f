"""A Postgres database."""

from __future__ import annotations

from typing import Sequence

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.postgres.sql import identifier, literal, require_name
from encamp.resources.postgres.state import ask, execute, read_state
from encamp.resources.system import Reader, System


@kind
class PostgresDatabase(Resource):
    """A database owned by ``owner``. It is never dropped.

    A new one gets the cluster's locale if that fits ``encoding``, else C.UTF-8 (C for other encodings). An existing
    database with another encoding is refused: Postgres cannot change it. So is one of another role (the superuser's is
    taken over), and one that has other tables than ``tables`` without the first of these.
    """

    name: str
    owner: str
    encoding: str = "UTF8"
    cluster: str = "main"
    tables: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_name("database", self.name)
        require_name("role", self.owner)

    def refuse(self, host: Reader) -> None:
        state = read_state(host, self.cluster)
        database = state.databases.get(self.name) if state else None
        if state is None or database is None:
            return
        if database.owner not in (self.owner, state.cluster.owner):
            raise Refused(
                f"the database {self.name} belongs to the role {database.owner}, not to {self.owner}",
                "encamp did not create it",
                "set database_name: to another name, which is created; or, if it is Prefect's, as the superuser: "
                f"{_owner(self.name, self.owner)}",
            )
        others = ask(host, state.cluster, _foreign_tables(self.tables), self.name) if self.tables else None
        if others:
            raise Refused(
                f"the database {self.name} has tables, and none is Prefect's: {', '.join(others)}",
                "encamp did not create it, and something else uses it",
                "set database_name: to another name, which is created",
            )

    def check(self, host: Reader) -> list[Change]:
        state = read_state(host, self.cluster)
        database = state.databases.get(self.name) if state else None
        if database is None:
            return [Change("database", "absent", f"owned by {self.owner}")]
        if _plain(database.encoding) != _plain(self.encoding):
            raise Refused(
                f"the database {self.name} has the encoding {database.encoding}, not {self.encoding}",
                "it was created without encamp, in a cluster with another locale",
                f"dump it, rename it, let encamp create a new {self.name}, and restore the dump into it",
            )
        return [] if database.owner == self.owner else [Change("owner", database.owner, self.owner)]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        name, owner = identifier(self.name), identifier(self.owner)
        if changes[0].what == "owner":
            statement = _owner(self.name, self.owner)
        else:
            words = f"OWNER {owner} TEMPLATE template0 ENCODING {literal(self.encoding)}"
            statement = f"CREATE DATABASE {name} {words}{self._locale(host)};"
        execute(host, self.cluster, statement, fix=f"declare the role {self.owner} before this database")

    def _locale(self, host: Reader) -> str:
        """The locale clause for a new database: empty if the cluster's own locale fits the encoding."""
        state = read_state(host, self.cluster)
        template = state.databases.get("template0") if state else None
        if template is not None and _plain(template.encoding) == _plain(self.encoding):
            return ""
        locale = "C.UTF-8" if _plain(self.encoding) == "utf8" else "C"
        return f" LC_COLLATE {literal(locale)} LC_CTYPE {literal(locale)}"


def _owner(database: str, owner: str) -> str:
    return f"ALTER DATABASE {identifier(database)} OWNER TO {identifier(owner)};"


def _foreign_tables(known: Sequence[str]) -> str:
    """A query for a few tables besides ``known`` of a database without the first of these; NULL if there are none."""
    return f"""SELECT CASE WHEN NOT EXISTS (SELECT FROM pg_tables WHERE tablename = {literal(known[0])}) THEN
  (SELECT json_agg(name) FROM (SELECT schemaname || '.' || tablename AS name FROM pg_tables
   WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename NOT IN ({", ".join(map(literal, known))})
   ORDER BY 1 LIMIT 5) AS found) END;"""


def _plain(encoding: str) -> str:
    """An encoding's name without case and punctuation: Postgres accepts utf-8 for UTF8."""
    return "".join(char for char in encoding.lower() if char.isalnum())

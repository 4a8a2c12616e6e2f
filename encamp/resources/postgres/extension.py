"""An extension in a Postgres database."""

from __future__ import annotations

from typing import ClassVar, Sequence

from encamp.resources.base import Change, Resource, kind
from encamp.resources.postgres.sql import identifier, require_name
from encamp.resources.postgres.state import State, ask, execute, read_state
from encamp.resources.system import Reader, System


@kind
class PostgresExtension(Resource):
    """An extension in ``database`` and ``schema``, created by the superuser.

    Its files must be on the host: on Debian the server's package includes contrib, on RHEL they are in
    postgresql-contrib. It is never dropped or updated.
    """

    waits: ClassVar[bool] = True

    name: str
    database: str
    schema: str = "public"
    cluster: str = "main"

    def __post_init__(self) -> None:
        require_name("extension", self.name)
        require_name("database", self.database)
        require_name("schema", self.schema)

    @property
    def identity(self) -> str:
        """An extension exists once in each database."""
        return f"{self.database}/{self.name}"

    def check(self, host: Reader) -> list[Change]:
        state = read_state(host, self.cluster)
        if state is None or self.database not in state.databases or self.name not in self._installed(host, state):
            return [Change("extension", "absent", f"present in {self.database}")]
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        # The session's search_path is pg_catalog; an extension is created in its first schema.
        sql = f"SET search_path = {identifier(self.schema)};\nCREATE EXTENSION IF NOT EXISTS {identifier(self.name)};\n"
        execute(
            host,
            self.cluster,
            sql,
            self.database,
            cause="its files are not on this host, or the database does not exist: the line above says which",
            fix=f"install the package of {self.name} (contrib, or postgresql-<version>-{self.name})",
        )

    def _installed(self, host: Reader, state: State) -> list[str]:
        """Names of the extensions in the database: one psql for each database."""
        sql = "SELECT json_agg(extname) FROM pg_extension;"
        key = f"postgres {self.cluster} extensions of {self.database}"
        names: list[str] = host.once(key, lambda: ask(host, state.cluster, sql, self.database) or [])
        return names

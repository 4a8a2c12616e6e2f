"""Whether what a Postgres offers is enough: its version, its connections, its encoding, its tables' owner."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, Optional

from roles.database.kinds.faults import Fault, Target


def fault_of(facts: Mapping[str, Any], target: Target, connections: int, version: int) -> Optional[Fault]:
    """Why a server should not use this database; None where it may. Arguments as those of DatabaseProbe."""
    return (
        _version(facts, target, version)
        or _owner(facts, target)
        or _encryption(facts, target)
        or _budget(facts, target, connections)
    )


def notes(facts: Mapping[str, Any], target: Target, connections: int) -> Iterator[str]:
    """What an operator should know of a database that can be used."""
    if facts["encoding"] != "UTF8":
        yield f"the database {target.database} has the encoding {facts['encoding']}; Prefect writes UTF-8"
    limit, what = _limit(facts)
    if connections + facts["others"] > limit >= connections:
        yield (
            f"other clients hold {facts['others']} connections to {target.place}: together with the {connections} that "
            f"Prefect may open, {what} would be exceeded"
        )


def _version(facts: Mapping[str, Any], target: Target, least: int) -> Optional[Fault]:
    if facts["version"] >= least:
        return None
    return Fault(
        f"Postgres at {target.place} is {readable(facts['version'])}; several servers that share a database need "
        f"{readable(least)} or later",
        "Prefect's documentation requires it",
        "upgrade Postgres, or give each server its own database",
    )


def _owner(facts: Mapping[str, Any], target: Target) -> Optional[Fault]:
    owner = facts["foreign_owner"]
    if not owner:
        return None
    return Fault(
        f"Prefect's tables in {target.database} are owned by {owner}, so {target.user} cannot change them",
        "another role created them: a restored dump or an earlier server",
        f'on the database server, as superuser, in "{target.database}": REASSIGN OWNED BY "{owner}" TO "{target.user}"',
    )


def _encryption(facts: Mapping[str, Any], target: Target) -> Optional[Fault]:
    if facts["encrypted"] or target.tls not in ("require", "verify"):
        return None
    return Fault(
        f"the connection to {target.place} is not encrypted, and database_tls is {target.tls}",
        "a proxy in between terminates TLS",
        "connect directly to Postgres, or set database_tls: prefer",
    )


def _budget(facts: Mapping[str, Any], target: Target, connections: int) -> Optional[Fault]:
    limit, what = _limit(facts)
    if connections <= limit:
        return None
    raise_it = (
        f"set postgres_max_connections for {target.database_host}"
        if target.database_host
        else f"raise {what.split(' = ')[0]}"
    )
    return Fault(
        f"Prefect's processes may open {connections} connections to {target.place}, but {what} leaves {limit} for them",
        "each process may use its full pool and overflow",
        f"{raise_it}, or lower database_pool_size and database_max_overflow",
    )


def _limit(facts: Mapping[str, Any]) -> tuple[int, str]:
    """How many connections there are for us, and the setting that says so."""
    limits = [(facts["max"] - facts["reserved"], f"max_connections = {facts['max']}")]
    for name, what in (
        ("role_limit", "the role's CONNECTION LIMIT"),
        ("database_limit", "the database's CONNECTION LIMIT"),
    ):
        if facts[name] is not None and facts[name] >= 0:
            limits.append((facts[name], f"{what} = {facts[name]}"))
    return min(limits)


def readable(number: int) -> str:
    """A version as people write it: 140009 is 14.9."""
    return f"{number // 10000}.{number % 10000}"

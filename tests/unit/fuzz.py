"""What the property-based tests share: their settings, and strategies for what people and files may hold.

CI runs few examples, the same ones each time; ENCAMP_EXAMPLES=20000 tries as many, other ones each time.
"""

from __future__ import annotations

import datetime
import os
from typing import Any

import yaml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("ENCAMP_EXAMPLES") or 0)


def bounded(examples: int) -> settings:
    """Settings of a test that tries so many examples in CI."""
    return settings(
        derandomize=not EXAMPLES,
        max_examples=EXAMPLES or examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


#: Names that mean something here, and others that only look like it.
NAMES = st.sampled_from(
    [
        *("all", "ungrouped", "servers", "workers", "clients", "databases", "hosts", "vars", "children", "web", "db"),
        *("vm1", "web[1:3]", "web[01:10:3]", "db-[a:f]", "[::1]", "h:22", "h:99999", "[1:2", "x]", "a b", "<<", "é"),
        *("ansible_host", "ansible_port", "ansible_user", "ansible_become", "ansible_group_priority", "ansible_x"),
        *("ansible_connection", "ansible_python_interpreter", "ansible_ssh_private_key_file", "adhoc", "instances"),
        *("port", "public_url", "database", "database_url", "database_password", "database_host", "auth", "tls"),
        *("allowed_sources", "server_environment", "work_pool", "prefect_version", "ca_bundle", "index_url", "x_1"),
        *("env", "file", "default", "personal", "inventory_hostname", "runtime", "postgres_listen"),
    ]
)
#: Texts that parsers, shells and terminals read as something else than text.
ODD = st.sampled_from(
    [
        *(
            "",
            " ",
            "\t",
            "\x00",
            "\x1b[31m",
            "\u2028",
            "\ufeff",
            "\ud800",
            "~",
            "null",
            "yes",
            "0x1f",
            "1_000",
            "1e999",
        ),
        *("{{ port }}", "{{ nope }}", "{{", "{% if %}", "{{ 1/0 }}", "{{ x_1 }}", "{{ inventory_hostname }}", "%", "$"),
        *("2001-01-01", "2001-13-45", "12:30:45", ".nan", "-.inf", "9" * 400, "1" * 5000, "&a", "*a", "!!binary x"),
        *("http://[", "http://a:99999999999", "https://h:port/", "postgresql://", "sqlite:///", "//", "../../etc"),
        *("10.0.0.0/99", "::/0", "fe80::1%eth0", "256.1.1.1", "1.2.3", "3.8.8", "٣", "²", "a" * 300, "-", "@", ","),
    ]
)
TEXTS = st.one_of(NAMES, ODD, st.text(max_size=12))
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(10**40), max_value=10**40),
    st.floats(),
    st.dates(),
    st.datetimes(timezones=st.sampled_from([None, datetime.timezone.utc])),
    st.binary(max_size=4),
    TEXTS,
)
KEYS: st.SearchStrategy[Any] = st.one_of(NAMES, NAMES, NAMES, SCALARS.filter(lambda key: key == key))
TREES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda below: st.one_of(st.lists(below, max_size=4), st.dictionaries(KEYS, below, max_size=4)),
    max_leaves=12,
)


def mapping(keys: st.SearchStrategy[Any], values: st.SearchStrategy[Any], most: int = 4) -> st.SearchStrategy[Any]:
    return st.dictionaries(keys, values, max_size=most)


#: Names that take nearly anything, so that what comes after the check of names and types is tried, too.
FREE = st.sampled_from(
    [
        *("x_1", "x_1", "x_2", "python", "ca_bundle", "public_url", "server_start_timeout", "accept_known_faults"),
        *("index_url", "cors_allowed_origins", "acme_directory", "allowed_sources", "postgres_listen", "tls_key"),
    ]
)
VARIABLES = st.one_of(mapping(FREE, st.one_of(ODD, TREES)), mapping(NAMES, TREES), TREES)
HOSTS = st.one_of(mapping(NAMES, VARIABLES), TREES)
GROUPS: st.SearchStrategy[Any] = st.recursive(
    st.fixed_dictionaries({}, optional={"hosts": HOSTS, "vars": VARIABLES}),
    lambda below: st.fixed_dictionaries(
        {}, optional={"hosts": HOSTS, "vars": VARIABLES, "children": mapping(NAMES, below)}
    ),
    max_leaves=4,
)
#: Whole inventories: shaped as they should be, shaped as it happens, and any text at all.
SITES = st.one_of(st.fixed_dictionaries({"all": GROUPS}), mapping(NAMES, GROUPS), TREES)


def yaml_text(data: Any) -> str:
    """Data as YAML; anchors where it holds the same thing twice."""
    return str(yaml.dump(data, allow_unicode=True))


#: Lines of YAML put together without regard for what they mean together.
PIECES = st.sampled_from(
    [
        *("all:", "  hosts:", "    vm1:", "      port: 1", "  children:", "    servers:", "- a", "&a", "*a", "<<: *a"),
        *(
            "? [1]",
            ": x",
            "{",
            "}",
            "[",
            "]",
            "!vault |",
            "!!python/object:os.system",
            "%YAML 9",
            "---",
            "...",
            "'",
            '"',
        ),
        *(
            "  vars: &v {a: *v}",
            "\tx: 1",
            "#",
            "port: !!int x",
            "a: !!timestamp 2001-99-99",
            "x: !!float .",
            "=: =",
            "|",
        ),
        *("  vars: {<<: [*a, 1]}", "$ANSIBLE_VAULT;1.1;AES256", "3132", "zz", "!!set {a}", "!!omap [a: 1]", "? &k a"),
    ]
)
SOUP = st.one_of(st.text(max_size=60), st.lists(st.one_of(PIECES, ODD), max_size=10).map("\n".join))
DOCUMENTS = st.one_of(SITES.map(yaml_text), SOUP)

"""Ansible's lookups, as far as this machine alone can answer them: ``env``, ``file``, ``vars``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from encamp.secrets.vault.values import Derived
from encamp.support.paths import locate

HOW = (
    "use lookup('env', 'NAME'), lookup('file', 'PATH') or lookup('vars', 'NAME'), or write the value into the inventory"
)


def find(
    plugin: str,
    terms: Sequence[str],
    options: Mapping[str, Any],
    magic: Mapping[str, Any],
    variables: Mapping[str, Any],
) -> list[Any]:
    """What a lookup finds for each term. What comes from outside the inventory may be a secret, and counts as one.

    Raises ValueError, in words for the operator.
    """
    name = plugin.removeprefix("ansible.builtin.")
    if name == "env":
        return [_of_environment(term, options) for term in terms]
    if name == "file":
        return [_of_file(term, str(magic.get("inventory_dir", ""))) for term in terms]
    if name == "vars":
        return [_of_variable(term, options, magic, variables) for term in terms]
    raise ValueError(f"the template uses the lookup {plugin}, which only Ansible has")


def _of_environment(term: str, options: Mapping[str, Any]) -> Any:
    """An empty text where it is not set, as in Ansible."""
    text = os.environ.get(term)
    return options.get("default", "") if text is None else Derived(text)


def _of_file(term: str, directory: str) -> str:
    path = locate(term, directory)
    try:
        with open(path, encoding="utf-8") as stream:
            return Derived(stream.read().rstrip())
    except UnicodeDecodeError:
        raise ValueError(f"the file {path} is not UTF-8 text") from None
    except OSError as error:
        raise ValueError(f"the file {path}: {error.strerror}") from None


def _of_variable(term: str, options: Mapping[str, Any], magic: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    if term in magic:
        return magic[term]
    if term in variables:
        return variables[term].data
    if "default" in options:
        return options["default"]
    raise ValueError(f"the template uses {term}, which is not set for this host")

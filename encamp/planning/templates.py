"""Templates: jinja2 with every variable required. A text that used a Secret is a Secret."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encamp.errors import Origin, PlanError
from encamp.shared.secret import Secret
from encamp.support import cache, quoting

if TYPE_CHECKING:
    import jinja2

ROOT = Path(__file__).resolve().parents[2] / "templates"


def render(name: str, root: Path = ROOT, **variables: Any) -> str | Secret:
    """Render ``templates/<name>``. The result is a Secret when a Secret went into it.

    A text is a function of its template, its variables and our filters: one without a Secret is kept for the next run,
    which then need not even import jinja2. Raises PlanError with the template's file and line for a missing variable or
    a syntax error.
    """
    key = _key(root / name, variables)
    kept = cache.read(key)
    if kept is not None:
        return kept.decode()
    text = _rendered(name, root, variables)
    if isinstance(text, str):
        cache.write(key, text.encode())
    return text


def _key(path: Path, variables: Mapping[str, Any]) -> str:
    """What a text depends on, as a name for the cache. No template of ours includes another."""
    code = [(found.st_size, found.st_mtime_ns) for found in map(os.stat, (__file__, quoting.__file__))]
    source = path.read_bytes() if path.is_file() else b""
    return f"text-{hashlib.sha256(repr((source, sorted(variables.items()), code)).encode()).hexdigest()}"


def _rendered(name: str, root: Path, variables: Mapping[str, Any]) -> str | Secret:
    import jinja2

    used: list[Secret] = []

    def reveal(value: Any) -> Any:
        if isinstance(value, Secret):
            used.append(value)
            return value.reveal()
        return value

    environment = _environment(root)
    environment.finalize = reveal
    try:
        text = environment.get_template(name).render(**variables)
    except jinja2.TemplateNotFound as error:
        raise PlanError(f"there is no template {error}", where=Origin(str(root / name))) from None
    except jinja2.TemplateSyntaxError as error:
        raise PlanError(str(error.message), where=Origin(str(root / name), error.lineno)) from None
    except jinja2.UndefinedError as error:
        where = Origin(str(root / name), _line_of(error, str(root / name)))
        raise PlanError(f"{error.message}", "pass the variable from the role, or mend the template", where) from None
    return Secret(text) if used else text


def _keeping_secrets(quote: Callable[[str], str]) -> Callable[[str | Secret], str | Secret]:
    """The filter, for secrets too: what it makes of a Secret is one."""

    def filter_(value: str | Secret) -> str | Secret:
        return Secret(quote(value.reveal())) if isinstance(value, Secret) else quote(value)

    return filter_


@functools.cache
def _environment(root: Path) -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(root),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        finalize=lambda value: value,
    )
    for name in ("env_value", "unit_word", "compose_string"):
        environment.filters[name] = _keeping_secrets(getattr(quoting, name))
    return environment


def _line_of(error: Exception, file: str) -> int:
    """The template line that an error came from: jinja2 rewrites tracebacks to name it."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line

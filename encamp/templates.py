"""Templates: jinja2 with every variable required. A text that used a Secret is a Secret."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encamp import cache
from encamp.errors import Origin, PlanError
from encamp.quoting import env_value, unit_word
from encamp.shared.secret import Secret

if TYPE_CHECKING:
    import jinja2

ROOT = Path(__file__).resolve().parent.parent / "templates"


def render(name: str, root: Path = ROOT, **variables: Any) -> str | Secret:
    """Render ``templates/<name>``. The result is a Secret when a Secret went into it.

    Raises PlanError with the template's file and line for a missing variable or a syntax error.
    """
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


@functools.cache
def _environment(root: Path) -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(root),
        bytecode_cache=_bytecode_cache(),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        finalize=lambda value: value,
    )
    environment.filters.update(env_value=env_value, unit_word=unit_word)
    return environment


def _bytecode_cache() -> jinja2.BytecodeCache:
    """Compiled templates, kept between runs; jinja2 itself checks that they are those of the sources."""
    import jinja2

    class Kept(jinja2.BytecodeCache):
        def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
            kept = cache.read(f"template-{bucket.key}")
            if kept is not None:
                bucket.bytecode_from_string(kept)

        def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
            cache.write(f"template-{bucket.key}", bucket.bytecode_to_string())

    return Kept()


def _line_of(error: Exception, file: str) -> int:
    """The template line that an error came from: jinja2 rewrites tracebacks to name it."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line

"""Templates: jinja2 with every variable required. A text that used a Secret is a Secret. A site's own go first."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encamp.errors import Origin, PlanError
from encamp.secrets.vault.values import VEIL
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.support import cache, quoting
from encamp.support.checkout import TEMPLATES

if TYPE_CHECKING:
    import jinja2

_USES_OTHERS = re.compile(rb"\{%[-+]?\s*(extends|from|import|include)\b")


@record
class Templates:
    """Folders of templates. Where several have a template of a name, the first one counts."""

    folders: tuple[Path, ...]

    def find(self, name: str) -> Path:
        """The file of a template. Raises PlanError."""
        for folder in self.folders:
            if (folder / name).is_file():
                return folder / name
        raise PlanError(f"there is no template {name}", where=Origin(str(self.folders[-1] / name)))

    def read(self, name: str) -> str:
        """The text of a file that has no variables. Raises PlanError."""
        return self.find(name).read_text("utf-8")

    def render(self, name: str, **variables: Any) -> str | Secret:
        """Render a template. The result is a Secret when a Secret went into it.

        A text is a function of its template, its variables and our filters: one without a Secret is kept for the next
        run, which then need not even import jinja2. Raises PlanError with the template's file and line for a missing
        variable or a syntax error.
        """
        key = _key(self.find(name).read_bytes(), variables)
        kept = cache.read(key) if key else None
        if kept is not None:
            return kept.decode()
        text = self._rendered(name, variables)
        if key and isinstance(text, str):
            cache.write(key, text.encode())
        return text

    def _rendered(self, name: str, variables: Mapping[str, Any]) -> str | Secret:
        import jinja2

        used: list[Secret] = []

        def reveal(value: Any) -> Any:
            if isinstance(value, Secret):
                used.append(value)
                return value.reveal()
            return value

        environment = _environment(self.folders)
        environment.finalize = reveal
        path = str(self.find(name))
        try:
            text = environment.get_template(name).render(**variables)
        except jinja2.TemplateNotFound as error:
            raise PlanError(f"there is no template {error}", where=Origin(path)) from None
        except jinja2.TemplateSyntaxError as error:
            raise PlanError(str(error.message), where=Origin(error.filename or path, error.lineno)) from None
        except jinja2.UndefinedError as error:
            where = Origin(path, _line_of(error, path))
            raise PlanError(
                f"{error.message}", "pass the variable from the role, or correct the template", where
            ) from None
        return Secret(text) if used else text


#: Those that come with encamp.
SHIPPED = Templates((TEMPLATES,))


def templates_of(home: Path) -> Templates:
    """The templates of a site: those in its own ``templates/``, then those that come with encamp."""
    own = home.resolve() / "templates"
    return Templates((own, TEMPLATES)) if own != TEMPLATES and own.is_dir() else SHIPPED


def _key(source: bytes, variables: Mapping[str, Any]) -> str:
    """What a text depends on, as a name for the cache; empty for a template that uses others, and where a variable came
    out of a vault: that is not kept on disk, and its ``repr`` tells two such values not apart."""
    if _USES_OTHERS.search(source) or VEIL in repr(sorted(variables.items())):
        return ""
    code = [(found.st_size, found.st_mtime_ns) for found in map(os.stat, (__file__, quoting.__file__))]
    return f"text-{hashlib.sha256(repr((source, sorted(variables.items()), code)).encode()).hexdigest()}"


def _keeping_secrets(quote: Callable[[str], str]) -> Callable[[str | Secret], str | Secret]:
    """The filter, for secrets too: what it makes of a Secret is one."""

    def filter_(value: str | Secret) -> str | Secret:
        return Secret(quote(value.reveal())) if isinstance(value, Secret) else quote(value)

    return filter_


@functools.cache
def _environment(folders: tuple[Path, ...]) -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
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

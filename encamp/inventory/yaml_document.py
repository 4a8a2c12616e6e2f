"""YAML as Ansible reads it, with the line of every value, and errors in plain words.

Values keep YAML 1.1 types (``yes`` is true, ``0750`` is octal). Mappings and lists are :class:`LocatedDict` and
:class:`LocatedList`, which remember the line of each entry. A text that holds Jinja is a :class:`Template`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import yaml

from encamp.errors import InventoryError, Origin
from encamp.secrets.vault.opening import decrypt
from encamp.secrets.vault.values import TAGS, VEIL, Decrypted, DecryptedScalar, Encrypted, VaultError, is_encrypted

# The C parser is an order of magnitude faster; wheels of PyYAML have it, some distributions' builds do not.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
#: Marks a text that is no template, whatever is in it.
UNSAFE = "!unsafe"
_WORD = r"[A-Za-z_][A-Za-z0-9_]*"
_KINDS = {yaml.MappingNode: "a mapping", yaml.SequenceNode: "a list", yaml.ScalarNode: "a single value"}


class Template(str):
    """A text with Jinja in it, not rendered yet."""


class VaultedTemplate(Template, Decrypted):
    """One that stands in an encrypted file: what it says, and what it makes, is secret."""


class Untyped(str):
    """A text without a type, as INI and Jinja give it: where a number or a list is expected, it is read as YAML."""


class LocatedDict(dict[Any, Any]):
    """A mapping that knows its own line and the line of each key."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[Any, int] = {}


class LocatedList(list[Any]):
    """A list that knows its own line and the line of each item."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int] = []


@dataclasses.dataclass
class Document:
    """One parsed file. ``root`` is None when it is empty, or holds ``---`` alone.

    ``references`` gathers the names its templates use. ``from_vault``: the whole file was encrypted, so that every
    value in it is a secret.
    """

    file: str
    root: yaml.Node | None
    references: set[str] = dataclasses.field(default_factory=set)
    from_vault: bool = False
    _open: set[int] = dataclasses.field(default_factory=set)

    def origin(self, node: yaml.Node) -> Origin:
        """Where ``node`` was written."""
        return Origin(self.file, node.start_mark.line + 1)

    def error(self, node: yaml.Node, message: str, fix: str = "") -> InventoryError:
        """An error that points at ``node``."""
        return InventoryError(message, fix, self.origin(node))

    def entries(self, node: yaml.Node, what: str) -> list[tuple[yaml.Node, yaml.Node]]:
        """Key and value nodes of a mapping, ``<<`` merged in. Raises InventoryError for another kind of node."""
        if not isinstance(node, yaml.MappingNode):
            found = "nothing" if is_null(node) else _KINDS[type(node)]
            raise self.error(node, f"{what} must be a mapping, not {found}", "write it as `name: value` lines")
        seen: dict[tuple[str, str], yaml.Node] = {}
        merged: list[tuple[yaml.Node, yaml.Node]] = []
        own: list[tuple[yaml.Node, yaml.Node]] = []
        for key, value in node.value:
            if key.tag == _TAG + "merge":
                merged += self._merged(value)
                continue
            identity = (key.tag, str(key.value))
            if identity in seen:
                first = seen[identity].start_mark.line + 1
                raise self.error(key, f"{key.value} is given twice (first in line {first})", "keep one of the two")
            seen[identity] = key
            own.append((key, value))
        return [pair for pair in merged if (pair[0].tag, str(pair[0].value)) not in seen] + own

    def _merged(self, node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
        """What ``<<: *anchor`` brings in; of several, the first wins."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: dict[tuple[str, str], tuple[yaml.Node, yaml.Node]] = {}
        for source in sources:
            guard = self._guarded(source)
            for key, value in self.entries(source, "what << merges"):
                found.setdefault((key.tag, str(key.value)), (key, value))
            self._open.discard(guard)
        return list(found.values())

    def data(self, node: yaml.Node) -> Any:
        """The value of a node and all below it, in Python types."""
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        guard = self._guarded(node)
        result = self._mapping(node) if isinstance(node, yaml.MappingNode) else self._sequence(node)
        self._open.discard(guard)
        return result

    def _guarded(self, node: yaml.Node) -> int:
        if id(node) in self._open:
            raise self.error(node, "an anchor that contains itself", "remove the alias (*name) inside its own anchor")
        self._open.add(id(node))
        return id(node)

    def _mapping(self, node: yaml.Node) -> LocatedDict:
        self._check_tag(node, "map")
        result = LocatedDict(node.start_mark.line + 1)
        for key, value in self.entries(node, "this"):
            name = self._key(key)
            result[name] = self.data(value)
            result.lines[name] = key.start_mark.line + 1
        return result

    def _key(self, key: yaml.Node) -> Any:
        if not isinstance(key, yaml.ScalarNode):
            raise self.error(key, "a value that begins with { must be quoted", 'write it as "{{ name }}"')
        return self._scalar(key)

    def _sequence(self, node: yaml.Node) -> LocatedList:
        self._check_tag(node, "seq")
        result = LocatedList(node.start_mark.line + 1)
        for item in node.value:
            result.append(self.data(item))
            result.lines.append(item.start_mark.line + 1)
        return result

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        kind = node.tag[len(_TAG) :]
        if kind == "str":
            return as_text(node.value, self.references, self.from_vault)
        if node.tag in TAGS:
            return Encrypted(node.value)
        if node.tag == UNSAFE:
            return as_text(node.value, None, self.from_vault)
        self._check_tag(node, "null", "bool", "int", "float", "timestamp", "value")
        try:
            value = getattr(_CONSTRUCTOR, f"construct_yaml_{kind}")(node) if kind != "value" else node.value
        except ValueError:
            named = VEIL if self.from_vault else node.value
            raise self.error(node, f"{named} is not a valid {kind}", "quote it to make it a string") from None
        return DecryptedScalar(node.value, value) if self.from_vault and value is not None else value

    def _check_tag(self, node: yaml.Node, *allowed: str) -> None:
        if node.tag.startswith(_TAG) and node.tag[len(_TAG) :] in allowed:
            return
        tag = VEIL if self.from_vault else node.tag.replace(_TAG, "!!")
        raise self.error(node, f"the YAML tag {tag} is not supported here", "remove the tag, or quote the value")


def as_text(text: str, references: set[str] | None, from_vault: bool) -> str:
    """A text of a file as what it is: a template, a secret, or just text. A template's names join ``references``;
    None: no text there is a template."""
    if references is not None and ("{{" in text or "{%" in text):
        references.update(re.findall(_WORD, text))
        return VaultedTemplate(text) if from_vault else Template(text)
    return Decrypted(text) if from_vault else text


def located(data: Any, line: int, references: set[str] | None, from_vault: bool = False) -> Any:
    """Data that another parser than YAML's gave (a Python literal, JSON), as if it had stood in one line of YAML."""
    if isinstance(data, Encrypted):
        return data
    if isinstance(data, str):
        return as_text(data, references, from_vault)
    if isinstance(data, dict):
        mapping = LocatedDict(line)
        for key, item in data.items():
            mapping[key] = located(item, line, references, from_vault)
            mapping.lines[key] = line
        return mapping
    if isinstance(data, (list, tuple, set)):
        items = LocatedList(line)
        items += [located(item, line, references, from_vault) for item in data]
        items.lines += [line] * len(items)
        return items
    return DecryptedScalar.of(data) if from_vault else data


_CONSTRUCTOR: Any = yaml.constructor.SafeConstructor()


def is_null(node: yaml.Node) -> bool:
    """Whether a node is YAML's null: ``name:`` with nothing after it."""
    return bool(node.tag == _TAG + "null")


def parse(text: str, file: str, from_vault: bool = False) -> Document:
    """Parse one YAML document. Raises InventoryError with the line for all that is malformed."""
    try:
        root = _Loader(text).get_single_node()
        return Document(file, None if root is None or is_null(root) else root, from_vault=from_vault)
    except yaml.YAMLError as error:
        explained = _explained(error, text, file)
        if from_vault:
            explained.message = _without_quoted(explained.message)
        raise explained from None
    except RecursionError:
        raise InventoryError("the file is nested too deeply", "flatten it", Origin(file)) from None


@dataclasses.dataclass
class Source:
    """The text of a file. ``from_vault``: the whole file was encrypted."""

    file: str
    text: str
    from_vault: bool = False


def read_file(path: str) -> Source:
    """Read a file, and decrypt it if it is encrypted. Raises InventoryError when that fails or it is not UTF-8."""
    try:
        with open(path, "rb") as stream:
            raw = stream.read()
        text = _decoded(raw)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InventoryError("a byte that is not UTF-8", "save the file as UTF-8", Origin(path, line)) from None
    except OSError as error:
        raise InventoryError(f"cannot read it: {error.strerror}", "check its path and mode", Origin(path)) from None
    if not is_encrypted(text):
        return Source(path, text)
    try:
        return Source(path, decrypt(text), True)
    except VaultError as error:
        raise InventoryError(f"the file {error}", error.fix, Origin(path, 1)) from None


def parsed(source: Source) -> Document:
    """The document that a file's text is. Raises InventoryError when it is malformed."""
    return parse(source.text, source.file, source.from_vault)


def parse_file(path: str) -> Document:
    """Read and parse a file. Raises InventoryError when it cannot be read, is not UTF-8 or is malformed."""
    return parsed(read_file(path))


def _decoded(raw: bytes) -> str:
    """The text; a comment line may be in any encoding. Raises UnicodeDecodeError."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        lines = [b"" if line.lstrip()[:1] in (b"#",) else line for line in raw.split(b"\n")]
        b"\n".join(lines).decode("utf-8-sig")  # raises, where the fault is not in a comment
        return raw.decode("utf-8-sig", "replace")


def typed(text: str, file: str) -> Any:
    """A single value written outside a file (``--set``), with the type that YAML gives it."""
    document = parse(text, file)
    return None if document.root is None else document.data(document.root)


def _explained(error: yaml.YAMLError, text: str, file: str) -> InventoryError:
    """A parser's complaint as what is wrong and what to do."""
    if isinstance(error, yaml.reader.ReaderError):
        where = Origin(file, text.count("\n", 0, int(error.position)) + 1)
        return InventoryError("a control character that YAML does not allow", "remove it", where)
    mark = getattr(error, "problem_mark", None)
    if "end of stream" in str(getattr(error, "problem", "")) and "quoted" in str(getattr(error, "context", "")):
        decrypt = Origin(file, error.context_mark.line + 1)  # type: ignore[attr-defined]
        return InventoryError("a quote that is never closed", "close it, or remove it", decrypt)
    lines = text.splitlines()
    row = min(mark.line, max(len(lines) - 1, 0)) if mark else 0
    line = lines[row] if lines else ""
    problem = str(getattr(error, "problem", "") or error)
    for message, fix in _advice(problem, line, mark.column if mark else 0):
        return InventoryError(message, fix, Origin(file, row + 1))
    context = str(getattr(error, "context", "") or "")
    message = "; ".join(part for part in (context, problem) if part)
    return InventoryError(
        f"not valid YAML: {message}", "check indentation, colons and quotes there", Origin(file, row + 1)
    )


def _without_quoted(message: str) -> str:
    """A parser's complaint without the names in it, which are pieces of the file."""
    return re.sub("'[^']*'", VEIL, message)


def _advice(problem: str, line: str, column: int) -> Iterator[tuple[str, str]]:
    """A fix for each common mistake."""
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent or line[column : column + 1] == "\t":
        yield "a tab, which YAML does not allow as indentation", "indent with spaces"
    if ": {{" in line or "- {{" in line:
        yield "a value that begins with {{ must be quoted", 'write it as "{{ name }}"'
    if "mapping values are not allowed" in problem:
        yield "an unexpected `:`", "quote a value that contains `: `, and indent like the line above"
    if "could not find expected ':'" in problem:
        yield "a line without `:`", "write `name: value`, or `name:` alone"
    if "cannot start any token" in problem and line[column : column + 1] in "@`%":
        yield f"a value cannot begin with {line[column]}", "quote it"
    if "undefined alias" in problem or "undefined alias" in line:
        yield problem, "define the anchor (&name) above its use, or quote a value that begins with *"
    if "expected a single document" in problem or "but found another document" in problem:
        yield "a second YAML document", "remove the second `---`: a file may contain one document"

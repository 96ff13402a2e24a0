"""Metadata documents: written in one form, and read into plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from xml.parsers import expat
from xml.sax.saxutils import escape

NAMESPACE: Final = "http://soap.sforce.com/2006/04/metadata"
_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>'
_INDENT: Final = "    "
_SEPARATOR: Final = "}"

Value: TypeAlias = "str | bool | int | Mapping[str, Value] | Sequence[Value] | None"
"""None is left out; a sequence repeats its element."""


class NotMetadata(ValueError):
    """The text is no metadata document. `line` is where that shows."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True, kw_only=True)
class Node:
    """An element of a document that was read, with the line it begins on."""

    name: str
    line: int
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def all(self, name: str) -> list[Node]:
        """Return the children of a name."""
        return [child for child in self.children if child.name == name]

    def said(self, name: str) -> str | None:
        """Return the text of the first child of a name; None where there is none."""
        found = self.all(name)
        return found[0].text.strip() if found else None


def document(root: str, children: Mapping[str, Value]) -> str:
    """Return a document; elements stand in alphabetical order, as Salesforce writes them."""
    lines = [_DECLARATION, f'<{root} xmlns="{NAMESPACE}">', *_lines(children, 1), f"</{root}>"]
    return "\n".join(lines) + "\n"


def _lines(children: Mapping[str, Value], depth: int) -> Iterator[str]:
    for name, value in sorted(children.items()):
        values = value if isinstance(value, list | tuple) else [value]
        for one in values:
            yield from _element(name, one, depth)


def _element(name: str, value: Value, depth: int) -> Iterator[str]:
    margin = _INDENT * depth
    if value is None:
        return
    if isinstance(value, Mapping):
        yield f"{margin}<{name}>"
        yield from _lines(value, depth + 1)
        yield f"{margin}</{name}>"
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        yield f"{margin}<{name}>{escape(text)}</{name}>"


def read_document(text: str) -> Node:
    """Return the root of a document.

    Raises:
        NotMetadata: it is no XML, declares entities, or has another XML namespace.
    """
    reader = _Reader()
    try:
        reader.parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise NotMetadata(f"not XML: {error}", error.lineno) from error
    return reader.root


class _Reader:
    """Builds nodes from what the parser meets."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self._open: list[Node] = []

    def _doctype(self, *_: object) -> None:
        raise NotMetadata("a metadata document declares no entities", self._line)

    @property
    def _line(self) -> int:
        return self.parser.CurrentLineNumber

    def _start(self, tag: str, _: object) -> None:
        space, found, name = tag.rpartition(_SEPARATOR)
        if not found or space != NAMESPACE:
            raise NotMetadata(f"the XML namespace is not {NAMESPACE}", self._line)
        node = Node(name=name, line=self._line)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        self._open[-1].text += text

"""Metadata XML: read into plain trees, written as Salesforce writes it.

Spec: Metadata API Developer Guide, "Metadata Components and Types" (one namespace for all files).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as ET  # documents with a DOCTYPE are refused before
from xml.sax.saxutils import escape

NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
_INDENT = "    "
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


class NotXml(Exception):
    """A text is no XML that is taken here; the message is the parser's."""


@dataclass(frozen=True, slots=True)
class Node:
    """An element without its namespace; `text` counts where there are no children."""

    name: str
    children: tuple["Node", ...] = ()
    text: str = ""
    namespace: str = NAMESPACE

    def find(self, name: str) -> "Node | None":
        """Return the first child of a name."""
        return next((child for child in self.children if child.name == name), None)

    def all(self, name: str) -> tuple["Node", ...]:
        """Return every child of a name."""
        return tuple(child for child in self.children if child.name == name)

    def value(self, name: str, default: str = "") -> str:
        """Return the text of a child."""
        child = self.find(name)
        return default if child is None else child.text.strip()

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a child that is `true` or `false`."""
        text = self.value(name)
        return default if not text else text in ("true", "1")

    def walk(self) -> Iterator["Node"]:
        """Give this element and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def with_values(self, values: Iterable[tuple[str, str]]) -> "Node":
        """Return the element with children of those texts in place of any of the same names."""
        wanted = dict(values)
        kept = [child for child in self.children if child.name not in wanted]
        added = [Node(name, text=text) for name, text in wanted.items()]
        ordered = sorted([*kept, *added], key=lambda child: child.name)
        return Node(self.name, tuple(ordered), namespace=self.namespace)

    def without(self, *names: str) -> "Node":
        """Return the element without children of those names."""
        kept = tuple(child for child in self.children if child.name not in names)
        return Node(self.name, kept, self.text, self.namespace)


def parse(text: bytes | str) -> Node:
    """Read a document.

    Raises:
        NotXml: it is none, or has a document type, which nobody sends here in good faith.
    """
    data = text.encode() if isinstance(text, str) else text
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise NotXml("DOCTYPE is disallowed")
    try:
        return _node(ET.fromstring(data))  # noqa: S314 - see above: no entities can be declared
    except (ET.ParseError, ValueError, RecursionError, LookupError) as error:
        raise NotXml(str(error)) from error


def _node(element: ET.Element) -> Node:
    namespace, _, name = element.tag.rpartition("}")
    return Node(
        name, tuple(_node(child) for child in element), element.text or "", namespace.lstrip("{")
    )


def fragment(node: Node, indent: str = "") -> str:
    """Write an element without its namespace."""
    if not node.children:
        return f"{indent}<{node.name}>{escape(node.text)}</{node.name}>\n"
    inner = "".join(fragment(child, indent + _INDENT) for child in node.children)
    return f"{indent}<{node.name}>\n{inner}{indent}</{node.name}>\n"


def document(node: Node) -> str:
    """Write a whole file."""
    inner = "".join(fragment(child, _INDENT) for child in node.children)
    return f'{_HEAD}<{node.name} xmlns="{NAMESPACE}">\n{inner}</{node.name}>\n'


def tree(name: str, *children: Node | tuple[str, str]) -> Node:
    """Build an element; a pair stands for a child with a text."""
    return Node(name, tuple(c if isinstance(c, Node) else Node(c[0], text=c[1]) for c in children))

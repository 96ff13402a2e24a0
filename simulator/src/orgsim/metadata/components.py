"""The components that an org has."""

from dataclasses import dataclass
from datetime import datetime

from orgsim.metadata.xml_text import Node, parse
from orgsim.orgs.book import Book
from orgsim.orgs.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One component; `text` is its file.

    `installed_by` is the package version (`04t`) that brought it; `key_prefix` is
    what IDs of a custom object's records start with.
    """

    org_id: str
    kind: str
    full_name: str
    component_id: str
    text: str
    about: str | None = None
    namespace: str | None = None
    installed_by: str | None = None
    key_prefix: str | None = None
    created_at: datetime
    created_by: str
    modified_at: datetime
    modified_by: str

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return f"{self.org_id}:{self.kind}:{self.full_name.lower()}"

    def node(self) -> Node:
        """Return the file's XML, read."""
        return parse(self.text)


class ComponentBook:
    """All components of all orgs."""

    def __init__(self, store: Store) -> None:
        self._book = Book("component", Component, key=lambda kept: kept.key, store=store)

    def of(self, org_id: str, kind: str | None = None) -> list[Component]:
        """Return an org's components, or those of one kind, by name."""
        found = [c for c in self._book if c.org_id == org_id and kind in (None, c.kind)]
        return sorted(found, key=lambda kept: (kept.kind, kept.full_name))

    def get(self, org_id: str, kind: str, full_name: str) -> Component | None:
        """Find a component; names are compared without case."""
        return self._book.get(f"{org_id}:{kind}:{full_name.lower()}")

    def put(self, component: Component) -> Component:
        """Keep a component."""
        return self._book.put(component)

    def remove(self, component: Component) -> None:
        """Forget a component."""
        self._book.remove(component.key)

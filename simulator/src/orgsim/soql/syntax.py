"""What a query says, as a tree. Every node knows its place `at`, counted from 0, for errors."""

from dataclasses import dataclass
from typing import Literal

LiteralKind = Literal["string", "number", "boolean", "null", "date", "datetime", "date_literal"]
Operator = Literal["=", "!=", "<", "<=", ">", ">=", "LIKE", "IN", "NOT IN", "INCLUDES", "EXCLUDES"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A field, through relationships where there is more than one part."""

    parts: tuple[str, ...]
    at: int

    @property
    def written(self) -> str:
        """The path as text."""
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function of a field; `COUNT()` has none."""

    name: str
    argument: "Path | Function | None"
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldGroup:
    """`FIELDS(ALL)`, `FIELDS(STANDARD)` or `FIELDS(CUSTOM)`."""

    group: Literal["ALL", "STANDARD", "CUSTOM"]
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A literal; `count` is the number behind the colon of a date literal."""

    kind: LiteralKind
    text: str
    at: int
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A field beside a value, a list of them, or a query that gives them."""

    left: Path | Function
    operator: Operator
    right: "Value | tuple[Value, ...] | Query"
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """The opposite of a condition."""

    inner: "Condition"


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Conditions that must all hold, or of which one must."""

    word: Literal["AND", "OR"]
    parts: "tuple[Condition, ...]"


Condition = Comparison | Not | Joined


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """One item of the SELECT list."""

    item: "Path | Function | FieldGroup | Query"
    alias: str | None
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One item of ORDER BY; `nulls_first` None leaves it to the direction."""

    by: Path | Function
    descending: bool
    nulls_first: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A whole statement, or a subquery in brackets."""

    select: tuple[Selected, ...]
    source: str
    at: int
    alias: str | None = None
    where: Condition | None = None
    group_by: tuple[Path | Function, ...] = ()
    having: Condition | None = None
    order_by: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    offset_at: int = 0
    all_rows: bool = False

    @property
    def counts_rows(self) -> bool:
        """Whether the statement is `SELECT COUNT()`, whose answer has no records."""
        match self.select:
            case (Selected(item=Function(name="COUNT", argument=None)),):
                return True
            case _:
                return False

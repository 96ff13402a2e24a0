"""From text to `syntax.Query`, by recursive descent.

Spec: SOQL and SOSL Reference, "SOQL SELECT Syntax".
"""

from typing import Literal

from orgsim.soql.dates import known_date_literal, takes_count
from orgsim.soql.errors import QueryFault, malformed, unexpected_token
from orgsim.soql.syntax import (
    Comparison,
    Condition,
    FieldGroup,
    Function,
    Joined,
    Not,
    Operator,
    Order,
    Path,
    Query,
    Selected,
    Value,
)
from orgsim.soql.tokens import Token, tokens_of, unescape

AGGREGATES = frozenset({"COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX"})
DATE_FUNCTIONS = frozenset(
    {
        "CALENDAR_YEAR", "CALENDAR_QUARTER", "CALENDAR_MONTH", "DAY_IN_MONTH", "DAY_IN_WEEK",
        "DAY_IN_YEAR", "DAY_ONLY", "HOUR_IN_DAY", "WEEK_IN_YEAR", "FISCAL_YEAR", "FISCAL_QUARTER",
        "FISCAL_MONTH", "WEEK_IN_MONTH",
    }
)  # fmt: skip
FUNCTIONS = AGGREGATES | DATE_FUNCTIONS | {"TOLABEL"}
_CLAUSES = frozenset(
    {
        "FROM", "WHERE", "WITH", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "FOR", "ALL",
        "USING", "UPDATE", "ASC", "DESC", "NULLS", "AND", "OR", "NOT", "LIKE", "IN",
    }
)  # fmt: skip
_SIGNS: dict[str, Operator] = {
    "=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
}  # fmt: skip
_JOINING: tuple[Literal["AND", "OR"], ...] = ("AND", "OR")
_FIELD_GROUPS: tuple[Literal["ALL", "STANDARD", "CUSTOM"], ...] = ("ALL", "STANDARD", "CUSTOM")
_DEEPEST = 50


def parse(text: str) -> Query:
    """Read a whole query.

    Raises:
        QueryFault, QueryRefused: it is not SOQL.
    """
    return _Parser(text).whole()


class _Parser:
    """Reads tokens from left to right."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens_of(text)
        self._next = 0
        self._depth = 0

    # -- moving -----------------------------------------------------------------------------

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._token
        if token.kind != "end":
            self._next += 1
        return token

    def _sees(self, *words: str) -> bool:
        """Tell whether these keywords or signs come next."""
        coming = self._tokens[self._next : self._next + len(words)]
        return len(coming) == len(words) and all(
            word in (token.word, token.text if token.kind == "sign" else None)
            for word, token in zip(words, coming, strict=True)
        )

    def _skip(self, *words: str) -> bool:
        """Go past these keywords if they come next."""
        if not self._sees(*words):
            return False
        self._next += len(words)
        return True

    def _expect(self, *words: str) -> None:
        for word in words:
            if not self._skip(word):
                raise self._unexpected()

    def _unexpected(self) -> QueryFault:
        return unexpected_token(self._token.text, at=self._token.at)

    def _name(self) -> Token:
        if self._token.kind != "name":
            raise self._unexpected()
        return self._take()

    def _integer(self) -> int:
        token = self._token
        if token.kind != "number" or not token.text.isdigit():
            raise self._unexpected()
        self._take()
        return int(token.text[:18])

    # -- statement --------------------------------------------------------------------------

    def whole(self) -> Query:
        """Read to the end."""
        query = self._query()
        if self._token.kind != "end":
            raise self._unexpected()
        return query

    def _query(self) -> Query:
        self._expect("SELECT")
        select = [self._selected()]
        while self._skip(","):
            select.append(self._selected())
        self._expect("FROM")
        source = self._name()
        written = source.text
        while self._skip("."):
            written += "." + self._name().text
        self._skip("AS")
        named = self._token.kind == "name" and self._token.word not in _CLAUSES
        alias = self._take().text if named else None
        if self._skip("USING"):
            self._expect("SCOPE")
            self._name()
        where = self._condition() if self._skip("WHERE") else None
        self._security()
        grouping = self._grouping() if self._skip("GROUP", "BY") else ()
        having = self._condition() if self._skip("HAVING") else None
        ordering = self._ordering() if self._skip("ORDER", "BY") else ()
        limit = self._integer() if self._skip("LIMIT") else None
        offset_at = self._token.at
        offset = self._integer() if self._skip("OFFSET") else 0
        self._locking()
        return Query(
            select=tuple(select),
            source=written,
            at=source.at,
            alias=alias,
            where=where,
            group_by=grouping,
            having=having,
            order_by=ordering,
            limit=limit,
            offset=offset,
            offset_at=offset_at,
            all_rows=self._skip("ALL", "ROWS"),
        )

    def _security(self) -> None:
        if self._skip("WITH") and not (
            self._skip("SECURITY_ENFORCED") or self._skip("USER_MODE") or self._skip("SYSTEM_MODE")
        ):
            raise self._unexpected()

    def _locking(self) -> None:
        if self._skip("FOR") and not (
            self._skip("VIEW") or self._skip("REFERENCE") or self._skip("UPDATE")
        ):
            raise self._unexpected()

    def _selected(self) -> Selected:
        at = self._token.at
        if self._skip("("):
            query = self._inside()
            self._expect(")")
            return Selected(item=query, alias=None, at=at)
        if self._sees("FIELDS", "("):
            return Selected(item=self._field_group(), alias=None, at=at)
        item = self._operand()
        self._skip("AS")
        named = self._token.kind == "name" and self._token.word not in _CLAUSES
        return Selected(item=item, alias=self._take().text if named else None, at=at)

    def _inside(self) -> Query:
        """Read a query inside another; too many of them are refused."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise malformed("query is too deeply nested", at=self._token.at)
        query = self._query()
        self._depth -= 1
        return query

    def _field_group(self) -> FieldGroup:
        at = self._take().at
        self._expect("(")
        for group in _FIELD_GROUPS:
            if self._skip(group):
                self._expect(")")
                return FieldGroup(group=group, at=at)
        raise self._unexpected()

    def _operand(self) -> Path | Function:
        first = self._name()
        if first.word in _CLAUSES:
            raise unexpected_token(first.text, at=first.at)
        if self._sees("(") and first.word in FUNCTIONS:
            return self._function(first)
        parts = [first.text]
        while self._skip("."):
            parts.append(self._name().text)
        return Path(parts=tuple(parts), at=first.at)

    def _function(self, name: Token) -> Function:
        self._expect("(")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._unexpected()
        argument = None
        if not (name.word == "COUNT" and self._sees(")")):
            argument = self._operand()
        self._expect(")")
        self._depth -= 1
        return Function(name=name.word, argument=argument, at=name.at)

    def _grouping(self) -> tuple[Path | Function, ...]:
        groups = [self._operand()]
        while self._skip(","):
            groups.append(self._operand())
        return tuple(groups)

    def _ordering(self) -> tuple[Order, ...]:
        orders = [self._order()]
        while self._skip(","):
            orders.append(self._order())
        return tuple(orders)

    def _order(self) -> Order:
        by = self._operand()
        descending = self._skip("DESC")
        if not descending:
            self._skip("ASC")
        nulls_first = None
        if self._skip("NULLS"):
            nulls_first = self._skip("FIRST")
            if not nulls_first:
                self._expect("LAST")
        return Order(by=by, descending=descending, nulls_first=nulls_first)

    # -- conditions -------------------------------------------------------------------------

    def _condition(self) -> Condition:
        """Read conditions joined by one word.

        Mixing AND and OR needs brackets, and so does a NOT beside anything else.
        """
        if self._skip("NOT"):
            return Not(inner=self._single())
        parts = [self._single()]
        for word in _JOINING:
            if self._sees(word):
                while self._skip(word):
                    parts.append(self._single())
                if self._sees("AND") or self._sees("OR"):
                    raise self._unexpected()
                return Joined(word=word, parts=tuple(parts))
        return parts[0]

    def _single(self) -> Condition:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise malformed("query is too complicated", at=self._token.at)
        try:
            if self._skip("("):
                inner = self._condition()
                self._expect(")")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Comparison:
        left = self._operand()
        token = self._token
        if token.kind == "sign" and token.text in _SIGNS:
            self._take()
            return Comparison(
                left=left, operator=_SIGNS[token.text], right=self._value(), at=token.at
            )
        if self._skip("LIKE"):
            return Comparison(left=left, operator="LIKE", right=self._value(), at=token.at)
        for words, operator in _LIST_OPERATORS:
            if self._skip(*words):
                return Comparison(left=left, operator=operator, right=self._list(), at=token.at)
        raise self._unexpected()

    def _list(self) -> tuple[Value, ...] | Query:
        self._expect("(")
        if self._sees("SELECT"):
            query = self._inside()
            self._expect(")")
            return query
        values = [self._value()]
        while self._skip(","):
            values.append(self._value())
        self._expect(")")
        return tuple(values)

    def _value(self) -> Value:
        token = self._token
        match token.kind:
            case "string":
                return self._string()
            case "number" | "date" | "datetime":
                self._take()
                return Value(kind=token.kind, text=token.text, at=token.at)
            case "name":
                return self._word_value()
            case _:
                raise self._unexpected()

    def _string(self) -> Value:
        token = self._take()
        try:
            return Value(kind="string", text=unescape(token.text), at=token.at)
        except KeyError:
            raise malformed(
                f"Invalid string literal {token.text}. Illegal character sequence in string "
                "literal.",
                at=token.at,
            ) from None

    def _word_value(self) -> Value:
        token = self._token
        if token.word in {"TRUE", "FALSE"}:
            self._take()
            return Value(kind="boolean", text=token.word, at=token.at)
        if token.word == "NULL":
            self._take()
            return Value(kind="null", text=token.word, at=token.at)
        if not known_date_literal(token.word):
            raise self._unexpected()
        self._take()
        count = None
        if takes_count(token.word):
            self._expect(":")
            count = self._integer()
        return Value(kind="date_literal", text=token.word, at=token.at, count=count)


_LIST_OPERATORS: tuple[tuple[tuple[str, ...], Operator], ...] = (
    (("NOT", "IN"), "NOT IN"),
    (("IN",), "IN"),
    (("INCLUDES",), "INCLUDES"),
    (("EXCLUDES",), "EXCLUDES"),
)

"""A query's text in pieces."""

import re
from dataclasses import dataclass
from typing import Literal

from orgsim.soql.errors import QueryRefused

TokenKind = Literal["name", "string", "datetime", "date", "number", "sign", "end"]

LONGEST = 100_000  # characters; SOQL and SOSL Reference, "SOQL SELECT Syntax"

_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<datetime>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?
        (?:Z|[+-][0-9]{2}:?[0-9]{2}))
    | (?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})
    | (?P<number>[+-]?[0-9]+(?:\.[0-9]+)?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign><=|>=|!=|<>|[=<>(),.:])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_HALVES = range(0xD800, 0xE000)  # of signs that take two; alone they are no text
_KEPT = "%_"  # LIKE gives `\%` and `\_` their meaning


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One piece; `at` counts characters from 0, `text` is as written."""

    kind: TokenKind
    text: str
    at: int

    @property
    def word(self) -> str:
        """The text of a name, for comparing with keywords."""
        return self.text.upper() if self.kind == "name" else ""


def unescape(written: str) -> str:
    r"""Return what a string literal says; `\%` and `\_` stay as they are for LIKE.

    Raises:
        KeyError: a backslash before something that has no meaning after it.

    Spec: SOQL and SOSL Reference, "Quoted String Escape Sequences".
    """

    def replace(found: re.Match[str]) -> str:
        sign = found[1]
        if sign in _KEPT:
            return found[0]
        if len(sign) > 1:
            code = int(sign[1:], 16)
            if code in _HALVES:
                raise KeyError(sign)
            return chr(code)
        return _ESCAPES.get(sign) or _ESCAPES[sign.lower()]

    return re.sub(r"\\(u[0-9A-Fa-f]{4}|.)", replace, written[1:-1], flags=re.DOTALL)


def tokens_of(query: str) -> list[Token]:
    """Cut a query into tokens, the last of which is the end.

    Raises:
        QueryRefused: a sign that means nothing, or a string without its end.
    """
    if len(query) > LONGEST:
        raise QueryRefused("QUERY_TOO_COMPLICATED", "Query length exceeds the limit: 100000")
    found, at = [], 0
    while at < len(query):
        match = _TOKEN.match(query, at)
        if match is None:
            raise _unreadable(query, at)
        kind = match.lastgroup
        if kind != "space":
            found.append(Token(kind=_KINDS[kind or ""], text=match[0], at=at))
        at = match.end()
    return [*found, Token(kind="end", text="<EOF>", at=len(query))]


_KINDS: dict[str, TokenKind] = {
    "string": "string",
    "datetime": "datetime",
    "date": "date",
    "number": "number",
    "name": "name",
    "sign": "sign",
}


def _unreadable(query: str, at: int) -> QueryRefused:
    line = query.count("\n", 0, at) + 1
    column = at - (query.rfind("\n", 0, at) + 1)
    if query[at] == "'":
        end = len(query) - (query.rfind("\n") + 1)
        line = query.count("\n") + 1
        message = f"line {line}:{end} mismatched character '<EOF>' expecting '''"
    else:
        message = f"line {line}:{column} no viable alternative at character '{query[at]}'"
    return QueryRefused("MALFORMED_QUERY", message)

"""What is wrong with a query, printed as Salesforce prints it.

Spec: REST API Developer Guide, "Status Codes and Error Responses"; messages as real orgs were seen
to print them.
"""

_AROUND = 30  # characters shown before and after the place; whole words, seen on real orgs
_CUSTOM_FIELD = (
    "If you are attempting to use a custom field, be sure to append the '__c' after the custom "
    "field name. Please reference your WSDL or the describe call for the appropriate names."
)
_CUSTOM_OBJECT = (
    "If you are attempting to use a custom object, be sure to append the '__c' after the entity "
    "name. Please reference your WSDL or the describe call for the appropriate names."
)
_CUSTOM_RELATIONSHIP = (
    "If you are attempting to use a custom relationship, be sure to append the '__r' after the "
    "custom relationship name. Please reference your WSDL or the describe call for the appropriate "
    "names."
)


class QueryRefused(Exception):
    """A query is not answered; `code` and `message` are what the API prints."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


class QueryFault(Exception):
    """Something is wrong at a place of the query; `at` counts characters from 0."""

    def __init__(self, code: str, message: str, *, at: int) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.at = at

    def printed(self, query: str) -> QueryRefused:
        """Return the refusal with the place shown by a caret."""
        window, column = _window(query, self.at)
        line = query.count("\n", 0, self.at) + 1
        place = self.at - (query.rfind("\n", 0, self.at) + 1) + 1
        where = f"\n{window}\n{' ' * column}^\nERROR at Row:{line}:Column:{place}\n"
        return QueryRefused(self.code, where + self.message)


def _window(query: str, at: int) -> tuple[str, int]:
    """Return what is shown of a query, and how far inside it the place is."""
    begin, end = max(0, at - _AROUND), min(len(query), at + _AROUND)
    while begin > 0 and _in_word(query[begin - 1]):
        begin -= 1
    while end < len(query) and _in_word(query[end]):
        end += 1
    shown = query[begin:end].replace("\n", " ").replace("\r", " ")
    return shown, at - begin


def _in_word(sign: str) -> bool:
    return sign.isalnum() or sign in "_."


def unexpected_token(text: str, *, at: int) -> QueryFault:
    """Say that the grammar does not go on like this."""
    return QueryFault("MALFORMED_QUERY", f"unexpected token: '{text}'", at=at)


def malformed(message: str, *, at: int) -> QueryFault:
    """Say that the query is not put together right."""
    return QueryFault("MALFORMED_QUERY", message, at=at)


def no_such_column(name: str, entity: str, *, at: int) -> QueryFault:
    """Say that an object has no such field."""
    return QueryFault(
        "INVALID_FIELD", f"No such column '{name}' on entity '{entity}'. {_CUSTOM_FIELD}", at=at
    )


def no_such_object(name: str, *, at: int) -> QueryFault:
    """Say that there is no such object."""
    return QueryFault(
        "INVALID_TYPE", f"sObject type '{name}' is not supported. {_CUSTOM_OBJECT}", at=at
    )


def no_such_parent(name: str, *, at: int) -> QueryFault:
    """Say that a field path goes through a relationship that is not there."""
    return QueryFault(
        "INVALID_FIELD",
        f"Didn't understand relationship '{name}' in field path. {_CUSTOM_RELATIONSHIP}",
        at=at,
    )


def no_such_child(name: str, *, at: int) -> QueryFault:
    """Say that a subquery starts from a relationship that is not there."""
    return QueryFault(
        "INVALID_TYPE",
        f"Didn't understand relationship '{name}' in FROM part of query call. "
        f"{_CUSTOM_RELATIONSHIP}",
        at=at,
    )


def wrong_type(field: str, wanted: str, *, at: int) -> QueryFault:
    """Say that a literal is not of the field's type."""
    quotes = "should be" if wanted == "string" else "should not be"
    return QueryFault(
        "INVALID_FIELD",
        f"value of filter criterion for field '{field}' must be of type {wanted} and {quotes} "
        "enclosed in quotes",
        at=at,
    )


def wrong_operator(message: str, *, at: int) -> QueryFault:
    """Say that a comparison does not fit its field."""
    return QueryFault("INVALID_QUERY_FILTER_OPERATOR", message, at=at)

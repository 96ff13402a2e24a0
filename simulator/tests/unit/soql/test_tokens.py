"""A query's text in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgsim.soql import QueryRefused
from orgsim.soql.tokens import LONGEST, tokens_of, unescape


@given(st.text(max_size=60))
def test_any_text_gives_tokens_or_a_refusal(text):
    """Tokens lie one behind the other and say where they are."""
    code, tokens = "MALFORMED_QUERY", []
    try:
        tokens = tokens_of(text)
    except QueryRefused as refused:
        code = refused.code
    assert code == "MALFORMED_QUERY"
    assert not tokens or tokens[-1].kind == "end"
    assert all(text[token.at :].startswith(token.text) for token in tokens[:-1])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (r"'O\'Malley'", "O'Malley"),
        (r"'a\\b'", "a\\b"),
        (r"'line\nnext'", "line\nnext"),
        (r"'\u00fc'", "ü"),
        (r"'50\%'", "50\\%"),
    ],
)
def test_escapes_mean_what_they_stand_for(written, said):
    r"""`\%` stays for LIKE."""
    assert unescape(written) == said


@pytest.mark.parametrize("written", [r"'\q'", r"'\ud800'"])
def test_other_escapes_mean_nothing(written):
    """Unknown ones and halves of a sign are refused."""
    with pytest.raises(KeyError):
        unescape(written)


def test_a_text_without_end_is_said_as_the_lexer_says_it():
    """Line and column, no window."""
    with pytest.raises(QueryRefused) as caught:
        tokens_of("SELECT Id FROM Account WHERE Name = 'x")
    assert caught.value.message == "line 1:38 mismatched character '<EOF>' expecting '''"


def test_a_query_has_a_longest_length():
    """100,000 characters, as documented."""
    tokens_of(" " * LONGEST)
    with pytest.raises(QueryRefused):
        tokens_of(" " * (LONGEST + 1))

"""Metadata documents, written and read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_builder.metadata.xml import NotMetadata, document, read_document

TEXTS = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cn"])).filter(
    lambda text: text == text.strip()
)


def test_a_document_has_one_form() -> None:
    """Elements in alphabetical order, four spaces deep, words for truth, nothing for None."""
    text = document("Thing", {"b": True, "a": [{"c": 1}, {"c": "x & y"}], "left": None})
    assert text == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Thing xmlns="http://soap.sforce.com/2006/04/metadata">\n'
        "    <a>\n        <c>1</c>\n    </a>\n"
        "    <a>\n        <c>x &amp; y</c>\n    </a>\n"
        "    <b>true</b>\n"
        "</Thing>\n"
    )


@given(TEXTS)
def test_what_is_written_is_read(text: str) -> None:
    """Whatever the text."""
    assert read_document(document("Thing", {"a": text})).said("a") == text


def test_nodes_know_their_line() -> None:
    """So that a complaint has one."""
    root = read_document(document("Thing", {"a": "1", "b": ["2", "3"]}))
    assert (root.name, root.line) == ("Thing", 2)
    assert [(node.text, node.line) for node in root.all("b")] == [("2", 4), ("3", 5)]
    assert root.said("c") is None


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("<Thing>", "XML namespace", 1),
        ("no", "not XML", 1),
        ('<?xml version="1.0"?>\n<!DOCTYPE Thing [<!ENTITY a "b">]>\n<Thing/>', "entities", 2),
        (document("Thing", {"a": 1}).replace("</a>", "</b>"), "not XML", 3),
        (document("Thing", {"a": 1}).replace("<a>", '<a xmlns="x">'), "XML namespace", 3),
    ],
)
def test_other_texts_are_refused_with_a_line(text: str, said: str, line: int) -> None:
    """Entities too: a document of Salesforce's declares none."""
    with pytest.raises(NotMetadata, match=said) as refusal:
        read_document(text)
    assert refusal.value.line == line

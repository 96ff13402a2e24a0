"""Metadata XML, read and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgsim.metadata.xml_text import NotXml, document, parse, tree


@given(st.text(alphabet="<>&'\"]ü a", max_size=20).filter(lambda text: text.strip()))
def test_what_was_written_is_read_back(text):
    """Whatever signs are in it."""
    node = tree("Flow", ("label", text))
    assert parse(document(node)).find("label").text == text


@pytest.mark.parametrize(
    "text",
    ["", "<a>", "no xml", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "<a>\x00</a>", "<a/><b/>"],
)
def test_what_is_no_document_is_refused(text):
    """A document type too, which could make a small file large."""
    with pytest.raises(NotXml):
        parse(text)


def test_values_replace_those_of_the_same_name_in_order():
    """As Salesforce writes files: by name."""
    node = tree("X", ("b", "1"), ("a", "2"), ("a", "3")).with_values([("a", "4"), ("c", "5")])
    assert [(child.name, child.text) for child in node.children] == [
        ("a", "4"),
        ("b", "1"),
        ("c", "5"),
    ]

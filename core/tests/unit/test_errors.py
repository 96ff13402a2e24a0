"""The root of the errors and the words for what mends them."""

from __future__ import annotations

from keyturn_core.errors import CoreError, Remedy, Who


def test_the_words_are_those_of_the_api():
    """Remedy and who are spelt as the REST API documents them."""
    assert {remedy.value for remedy in Remedy} == {
        "retry",
        "reauthorize",
        "ask_admin",
        "reconfigure",
        "report",
    }
    assert {who.value for who in Who} == {"vendor", "admin", "user", "salesforce", "operator"}


def test_an_error_nobody_described_is_the_vendors_to_report():
    """The root has a stable code, a remedy and somebody to act."""
    error = CoreError("out of shape")

    assert (error.code, error.remedy, error.who) == ("invalid", Remedy.REPORT, Who.VENDOR)
    assert str(error) == "out of shape"

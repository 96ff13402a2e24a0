"""The catalogue's entries about assertions."""

from __future__ import annotations

import pytest

from keyturn_core.errors import Remedy, Who
from keyturn_core.salesforce.assertion_catalogue import assertion_entries
from keyturn_core.salesforce.catalogue import CATALOGUE
from keyturn_core.salesforce.refusal import RefusalClass

ENTRIES = {entry.code: entry for entry in assertion_entries()}


def test_all_of_them_are_in_the_catalogue():
    """Under codes of their own."""
    assert len(ENTRIES) == len(list(assertion_entries())) == 7
    assert all(CATALOGUE[code] == entry for code, entry in ENTRIES.items())


@pytest.mark.parametrize(
    ("code", "kind", "who", "remedy"),
    [
        ("user_not_preauthorized", RefusalClass.ADMIN, Who.ADMIN, Remedy.ASK_ADMIN),
        ("certificate_refused", RefusalClass.OUR_FAULT, Who.VENDOR, Remedy.RECONFIGURE),
        ("refresh_scope_missing", RefusalClass.OUR_FAULT, Who.VENDOR, Remedy.RECONFIGURE),
        ("signing_key_missing", RefusalClass.OUR_FAULT, Who.VENDOR, Remedy.RECONFIGURE),
        ("certificate_expiring", RefusalClass.OUR_FAULT, Who.VENDOR, Remedy.RECONFIGURE),
        ("certificate_expired", RefusalClass.OUR_FAULT, Who.VENDOR, Remedy.RECONFIGURE),
        ("refresh_token_lost", RefusalClass.DEAD_GRANT, Who.USER, Remedy.REAUTHORIZE),
    ],
)
def test_each_names_who_has_to_act(code, kind, who, remedy):
    """None of them passes by itself."""
    entry = ENTRIES[code]
    assert (entry.refusal_class, entry.who, entry.remedy) == (kind, who, remedy)
    assert (entry.retry, entry.retry_after_seconds) == (False, None)

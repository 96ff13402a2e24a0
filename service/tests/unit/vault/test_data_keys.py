"""Data keys at rest, and what their wrapping binds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_service.domain.ids import ID_BYTES, new_id
from keyturn_service.vault.data_keys import (
    KEY_BYTES,
    ROOT_OF_HASHES,
    DataKeyId,
    WrappedDataKey,
    associated_data,
    is_sealing_id,
)

WRAPPED = WrappedDataKey(
    id=DataKeyId("dk_1"),
    workspace_id="ws_a",
    key_id="kek_1",
    wrapped=b"wrapped",
    created_at=datetime(2026, 11, 24, tzinfo=UTC),
)
names = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=6)


def test_the_bytes_name_key_and_workspace():
    """They never change: what was wrapped under other bytes would not open any more."""
    bound = b"keyturn-data-key-1\x00dk_1\x00ws_a"

    assert associated_data(DataKeyId("dk_1"), "ws_a") == bound
    assert WRAPPED.associated_data() == bound


@given(one=st.tuples(names, names), other=st.tuples(names, names))
def test_another_key_or_workspace_binds_other_bytes(one, other):
    """Ids and workspaces hold no zero byte, so none runs over."""
    same = associated_data(DataKeyId(one[0]), one[1]) == associated_data(
        DataKeyId(other[0]), other[1]
    )

    assert same is (one == other)


@given(random=st.binary(min_size=ID_BYTES, max_size=ID_BYTES))
def test_every_id_that_is_given_may_have_sealed_something(random):
    """Ids of data keys are made as all others are; without a digit there is no number."""
    assert is_sealing_id(new_id("dk", random)) is any(random)


@pytest.mark.parametrize(
    "name",
    [ROOT_OF_HASHES, "", "dk_", "dk_" + "x" * 62, "dk_a b", "dk_a\n", "🔑", b"dk_a", 7, None],
)
def test_what_no_program_of_ours_named_has_sealed_nothing(name):
    """Nor has the root of the hashes."""
    assert not is_sealing_id(name)


def test_keys_are_of_256_bits():
    """As AES-256 wants them."""
    assert KEY_BYTES == 32


def test_a_wrapped_key_cannot_be_changed():
    """A store hands out values, not records to edit."""
    with pytest.raises(AttributeError):
        WRAPPED.wrapped = b""

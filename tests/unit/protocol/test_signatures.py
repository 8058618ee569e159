"""A signature that was checked once is not checked again for the same bytes, and for no others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocol.keys import SIGNATURE_BYTES, verifies
from tests.unit.protocol import district as d

MESSAGE = b"open the sluice at six"


def test_what_was_good_once_is_good_for_nothing_else() -> None:
    signature = d.EMERGENCY.sign(MESSAGE)
    for _ in range(2):
        assert verifies(d.EMERGENCY.public, signature, MESSAGE)
        assert not verifies(d.PLAN.public, signature, MESSAGE)
        assert not verifies(d.EMERGENCY.public, signature, MESSAGE + b" ")
        assert not verifies(d.EMERGENCY.public, d.STRANGER.sign(MESSAGE), MESSAGE)


@given(place=st.integers(0, SIGNATURE_BYTES - 1), bit=st.integers(0, 7))
def test_no_altered_bit_passes_after_the_true_one(place: int, bit: int) -> None:
    true = d.EMERGENCY.sign(MESSAGE)
    assert verifies(d.EMERGENCY.public, true, MESSAGE)
    altered = bytearray(true)
    altered[place] ^= 1 << bit
    assert not verifies(d.EMERGENCY.public, bytes(altered), MESSAGE)


def test_long_messages_are_checked_too() -> None:
    message = MESSAGE * 2_000
    assert verifies(d.LIVE.public, d.LIVE.sign(message), message)
    assert not verifies(d.LIVE.public, d.LIVE.sign(message), message + b".")


def test_what_is_no_key_or_no_signature_is_simply_not_one() -> None:
    assert not verifies(b"", d.LIVE.sign(MESSAGE), MESSAGE)
    assert not verifies(d.LIVE.public, b"short", MESSAGE)

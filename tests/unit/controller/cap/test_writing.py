"""Alerts written and read again: the same values, schema-clean, whatever the texts."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings

from controller.cap import AlertKey, CapAlert, CapError, CapInfo, Verdict, sign_alert, write_alert
from tests.unit.controller.cap.cap_kit import FLOOD, NOW, identity, read_one
from tests.unit.controller.cap.cap_values import alerts

#: Flags that do not speak of the form but of the sense.
SENSE = {"expired", "stale", "no_info", "references_missing", "restriction_missing", "addresses_missing"}


@given(alerts)
@settings(max_examples=60)
def test_what_is_written_reads_back_the_same(alert: CapAlert) -> None:
    reading = read_one(write_alert(alert))
    assert reading.alert == alert
    assert set(reading.flags) <= SENSE
    assert write_alert(reading.alert) == write_alert(alert)


@given(alerts)
@settings(max_examples=25)
def test_signed_it_reads_back_the_same_and_valid(alert: CapAlert) -> None:
    who = SIGNER
    reading = read_one(sign_alert(write_alert(alert), who.key, who.certificate), (who.certificate,))
    assert (reading.signature, reading.alert) == (Verdict.VALID, alert)


SIGNER = identity()


def test_the_form() -> None:
    alert = read_one(FLOOD.encode()).alert
    assert alert is not None
    text = write_alert(alert).decode()
    assert text.startswith(
        "<?xml version='1.0' encoding='UTF-8'?>\n<alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\">\n"
    )
    assert "<sent>2026-10-17T09:30:00-00:00</sent>" in text
    assert "<circle>16.6,107 12.5</circle>" in text
    assert "<event>Lũ quét</event>" in text


def test_times_keep_their_zone() -> None:
    at = datetime(2026, 10, 17, 16, 30, tzinfo=timezone(timedelta(hours=7)))
    alert = CapAlert("a", "b", at, "Actual", "Alert")
    assert b"<sent>2026-10-17T16:30:00+07:00</sent>" in write_alert(alert)
    assert read_one(write_alert(alert)).alert == alert


@pytest.mark.parametrize(
    ("alert", "code"),
    [
        (CapAlert("a b", "c", NOW, "Actual", "Alert"), "bad_reference"),
        (CapAlert("", "c", NOW, "Actual", "Alert"), "bad_reference"),
        (CapAlert("a", "c,d", NOW, "Actual", "Alert"), "bad_reference"),
        (CapAlert("a", "c", NOW, "Actual", "Update", references=(AlertKey("x y", "z", NOW),)), "bad_reference"),
        (CapAlert("a", "c", datetime(2026, 1, 1), "Actual", "Alert"), "bad_time"),  # noqa: DTZ001
        (CapAlert("a", "c", NOW, "Actual", "Alert", note="\x07"), "bad_text"),
        (CapAlert("a", "c", NOW, "Actual", "Alert", infos=(CapInfo(event="a\x00"),)), "bad_text"),
    ],
)
def test_what_cannot_be_written(alert: CapAlert, code: str) -> None:
    with pytest.raises(CapError) as caught:
        write_alert(alert)
    assert caught.value.code == code

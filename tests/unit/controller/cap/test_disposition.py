"""What may sound: status, scope, message types, references, duplicates, time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings

from controller.cap import AlertKey, CapAlert, Disposition, Effect, Reading, Seen, dispose, write_alert
from tests.unit.controller.cap.cap_kit import FLOOD, NOW, edited, identity, read_one
from tests.unit.controller.cap.cap_values import alerts, moments

EARLIER = AlertKey("kttv@example.vn", "VN-QT-0", datetime(2026, 10, 17, 9, tzinfo=UTC))
REFERENCES = "<references>kttv@example.vn,VN-QT-0,2026-10-17T16:00:00+07:00</references>"


def read(*changes: tuple[str, str]) -> Reading:
    return read_one(edited(*changes))


def about_earlier(msg_type: str, *changes: tuple[str, str]) -> Reading:
    return read(("<msgType>Alert", f"<msgType>{msg_type}"), ("</scope>", f"</scope>{REFERENCES}"), *changes)


def test_an_alert_sounds() -> None:
    assert dispose(read(), now=NOW) == Disposition(Effect.SOUNDS, "alert", infos=(0,))


def test_an_update_sounds_and_ends_what_it_replaces() -> None:
    assert dispose(about_earlier("Update"), now=NOW) == Disposition(Effect.SOUNDS, "update", (0,), (EARLIER,))


def test_a_cancel_ends_and_is_shown() -> None:
    assert dispose(about_earlier("Cancel"), now=NOW) == Disposition(Effect.SHOWN, "cancel", ends=(EARLIER,))


@pytest.mark.parametrize("status", ["Test", "Exercise", "Draft", "System", "actual", "Live"])
@pytest.mark.parametrize("msg_type", ["Alert", "Update", "Cancel"])
def test_nothing_but_actual_ever_sounds_or_ends(status: str, msg_type: str) -> None:
    reading = about_earlier(msg_type, ("<status>Actual", f"<status>{status}"))
    verdict = dispose(reading, now=NOW)
    assert (verdict.effect, verdict.ends, verdict.infos) == (Effect.SHOWN, (), ())
    assert verdict.code == (status.lower() if status not in {"actual", "Live"} else "status_unknown")


@pytest.mark.parametrize(("msg_type", "code"), [("Ack", "ack"), ("Error", "error"), ("Alarm", "msg_type_unknown")])
def test_talk_between_machines(msg_type: str, code: str) -> None:
    assert dispose(about_earlier(msg_type), now=NOW) == Disposition(Effect.SHOWN, code)


@pytest.mark.parametrize("scope", ["Restricted", "Private", "public"])
def test_not_for_everybody(scope: str) -> None:
    assert dispose(read(("<scope>Public", f"<scope>{scope}")), now=NOW) == Disposition(Effect.SHOWN, "not_public")


def test_quarantine_and_refusal() -> None:
    assert dispose(read(("<severity>Extreme</severity>", "")), now=NOW) == Disposition(Effect.SHOWN, "quarantined")
    unclear = about_earlier("Cancel", (REFERENCES, "<references>x</references>"))
    assert dispose(unclear, now=NOW) == Disposition(Effect.SHOWN, "quarantined")
    assert dispose(read(("<scope>Public</scope>", "")), now=NOW) == Disposition(Effect.IGNORED, "missing_scope")


def test_duplicates_once_however_the_time_is_written() -> None:
    first = read()
    assert first.alert is not None
    seen = Seen(received={first.alert.key})
    again = read(("2026-10-17T16:30:00+07:00", "2026-10-17T09:30:00-00:00"))
    assert dispose(again, now=NOW, seen=seen) == Disposition(Effect.IGNORED, "duplicate")
    later = read(("2026-10-17T16:30:00+07:00", "2026-10-17T16:30:01+07:00"))
    assert dispose(later, now=NOW, seen=seen).effect is Effect.SOUNDS


def test_a_cancel_that_was_faster_than_its_alert() -> None:
    alert = read()
    assert alert.alert is not None
    seen = Seen(ended=[alert.alert.key])
    assert dispose(alert, now=NOW, seen=seen) == Disposition(Effect.IGNORED, "superseded")


def test_another_senders_reference_only_resembles() -> None:
    other = AlertKey("KTTV", EARLIER.identifier, EARLIER.sent)
    assert other != EARLIER
    assert other.resembles(EARLIER)
    assert not other.resembles(AlertKey("KTTV", "VN-QT-9", EARLIER.sent))


def test_expired_and_not_yet() -> None:
    reading = about_earlier("Update")
    later = NOW + timedelta(hours=5)
    assert dispose(reading, now=later) == Disposition(Effect.SHOWN, "expired", ends=(EARLIER,))
    assert dispose(reading, now=NOW - timedelta(hours=1)).code == "sent_in_the_future"
    tomorrow = read(
        ("<expires>2026-10-17T20", "<effective>2026-10-18T00:00:00+07:00</effective><expires>2026-10-18T20")
    )
    assert dispose(tomorrow, now=NOW).code == "not_yet_effective"
    assert dispose(tomorrow, now=NOW + timedelta(hours=9)).effect is Effect.SOUNDS


def test_without_an_end_it_lasts_a_day() -> None:
    endless = read(("    <expires>2026-10-17T20:30:00+07:00</expires>\n", ""))
    assert dispose(endless, now=NOW + timedelta(hours=23)).effect is Effect.SOUNDS
    assert dispose(endless, now=NOW + timedelta(hours=24)) == Disposition(Effect.SHOWN, "expired")


def test_only_the_languages_in_force() -> None:
    info = FLOOD[FLOOD.index("  <info>") : FLOOD.index("</alert>")]
    over = info.replace("<language>vi", "<language>bru").replace("2026-10-17T20:30", "2026-10-17T16:31")
    reading = read(("  <info>", over + "  <info>"))
    assert dispose(reading, now=NOW).infos == (1,)


def test_no_info() -> None:
    text = FLOOD[: FLOOD.index("  <info>")] + "</alert>"
    assert dispose(read_one(text.encode()), now=NOW) == Disposition(Effect.SHOWN, "no_info")


def test_a_broken_signature_never_sounds() -> None:
    from controller.cap import sign_alert  # noqa: PLC0415

    who = identity()
    signed = sign_alert(FLOOD.encode(), who.key, who.certificate)
    assert dispose(read_one(signed), now=NOW).effect is Effect.SOUNDS
    altered = read_one(signed.replace(b"Extreme", b"Minor"))
    assert dispose(altered, now=NOW) == Disposition(Effect.SHOWN, "signature_invalid")


@given(alerts, moments)
@settings(max_examples=80)
def test_what_sounds_is_actual_public_and_in_force(alert: CapAlert, now: datetime) -> None:
    reading = read_one(write_alert(alert), now=now)
    verdict = dispose(reading, now=now)
    if verdict.effect is Effect.SOUNDS:
        assert (alert.status, alert.scope) == ("Actual", "Public")
        assert alert.msg_type in {"Alert", "Update"}
        assert not reading.quarantine
        assert verdict.infos
        for at in verdict.infos:
            expires = alert.infos[at].expires
            assert expires is None or expires > now
    if verdict.ends:
        assert (alert.status, alert.scope) == ("Actual", "Public")
        assert alert.msg_type in {"Update", "Cancel"}
        assert set(verdict.ends) <= set(alert.references)
    seen = Seen(received={alert.key}, ended=verdict.ends)
    assert dispose(reading, now=now, seen=seen) == Disposition(Effect.IGNORED, "duplicate")


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_whatever_comes_first_the_cancel_wins(order: tuple[int, ...]) -> None:
    """An alert, its update and the cancel of both, in every order: at the end nothing goes on."""
    named = "kttv@example.vn,VN-QT-1,2026-10-17T16:30:00+07:00"
    both = f"{named} kttv@example.vn,VN-QT-2,2026-10-17T16:30:00+07:00"
    readings = [
        read(),
        read(
            ("VN-QT-1", "VN-QT-2"),
            ("<msgType>Alert", "<msgType>Update"),
            ("</scope>", f"</scope><references>{named}</references>"),
        ),
        read(
            ("VN-QT-1", "VN-QT-3"),
            ("<msgType>Alert", "<msgType>Cancel"),
            ("</scope>", f"</scope><references>{both}</references>"),
        ),
    ]
    received: set[AlertKey] = set()
    ended: set[AlertKey] = set()
    sounding: set[AlertKey] = set()
    for at in order:
        alert = readings[at].alert
        assert alert is not None
        verdict = dispose(readings[at], now=NOW, seen=Seen(received, ended))
        if verdict.effect is Effect.SOUNDS:
            sounding.add(alert.key)
        received.add(alert.key)
        ended |= set(verdict.ends)
        sounding -= ended
    assert sounding == set()

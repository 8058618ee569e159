"""A source's policy never asks less of an alert than the rules of CAP: what they hold back is only shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.cap import CapAlert, Effect, Verdict, dispose, write_alert
from controller.services.warnings.notice import notice_of
from controller.services.warnings.policy import Action, Case, Mode, WarningPolicy, judge
from tests.unit.controller.cap.cap_kit import read_one
from tests.unit.controller.cap.cap_values import alerts

NEAR = datetime(2026, 10, 17, 9, tzinfo=UTC)
hours = st.integers(-30, 30).map(lambda n: NEAR + timedelta(hours=n))
#: People may be asked about what is not in force yet; they see when it was sent and for when it is.
ASKED_ALL_THE_SAME = {"sent_in_the_future", "not_yet_effective"}


@given(alerts, hours, st.lists(hours | st.none(), min_size=3, max_size=3), st.booleans())
@settings(max_examples=80)
def test_what_cap_holds_back_is_only_shown(
    alert: CapAlert, sent: datetime, ends: list[datetime | None], altered: bool
) -> None:
    infos = tuple(replace(info, effective=None, expires=end) for info, end in zip(alert.infos, ends, strict=False))
    reading = read_one(write_alert(replace(alert, sent=sent, infos=infos)), now=NEAR)
    if altered:
        reading = replace(reading, signature=Verdict.INVALID)
    assert reading.alert is not None
    notice = notice_of(reading.alert, signature=str(reading.signature), quarantine=reading.quarantine)
    judged = judge(notice, WarningPolicy(mode=Mode.PROPOSE), Case(reached=1, template=True, demoted=False), now=NEAR)
    verdict = dispose(reading, now=NEAR)
    if judged.action is not Action.SHOW:
        assert verdict.effect is Effect.SOUNDS or verdict.code in ASKED_ALL_THE_SAME
    if verdict.effect is Effect.SOUNDS:
        assert judged.action is Action.PROPOSE

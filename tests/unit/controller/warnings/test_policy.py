"""What a warning may do by itself: the rules as a pure function."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.cap import Effect, dispose, read_alerts
from controller.services.warnings.notice import Notice, NoticeInfo, notice_of
from controller.services.warnings.policy import (
    Action,
    Case,
    Issued,
    Mode,
    WarningPolicy,
    WarningRule,
    expires_at,
    in_force,
    judge,
    judge_cancel,
)

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
RULE = WarningRule(name="lũ quét", senders=("kttv",), events=("Flash flood", "FFW"))
AUTOMATIC = WarningPolicy(mode=Mode.AUTOMATIC, rules=(RULE,))
PROPOSE = WarningPolicy(mode=Mode.PROPOSE)
GOOD = Case(reached=3, template=True, demoted=False)
INFO = NoticeInfo(
    "vi", "Flash Flood", severity="Extreme", urgency="Immediate", certainty="Observed", expires=NOW + timedelta(hours=3)
)
NOTICE = Notice("kttv", "1", NOW - timedelta(minutes=5), "Actual", "Alert", "Public", (INFO,), signature="valid")
CORPUS = Path(__file__).parents[4] / "../shared/corpus/cap"


def told(notice: Notice, policy: WarningPolicy = AUTOMATIC, case: Case = GOOD) -> tuple[Action, tuple[str, ...]]:
    judgement = judge(notice, policy, case, now=NOW)
    return judgement.action, judgement.reasons


def test_everything_at_once_is_automatic() -> None:
    judgement = judge(NOTICE, AUTOMATIC, GOOD, now=NOW)
    assert (judgement.action, judgement.rule, judgement.reasons) == (Action.ISSUE, RULE, ())


def test_an_event_code_names_the_event_too() -> None:
    coded = replace(NOTICE, infos=(replace(INFO, event="Cảnh báo", codes=("ffw",)),))
    assert told(coded)[0] is Action.ISSUE


@pytest.mark.parametrize(
    ("notice", "case", "reason"),
    [
        (replace(NOTICE, signature="none"), GOOD, "signature_none"),
        (replace(NOTICE, signature="untrusted"), GOOD, "signature_untrusted"),
        (replace(NOTICE, sender="KTTV"), GOOD, "rule_sender"),
        (replace(NOTICE, infos=(replace(INFO, event="Heat"),)), GOOD, "rule_event"),
        (replace(NOTICE, infos=(replace(INFO, severity="Moderate"),)), GOOD, "rule_severity"),
        (replace(NOTICE, infos=(replace(INFO, severity="extreme"),)), GOOD, "rule_severity"),
        (replace(NOTICE, infos=(replace(INFO, urgency="Future"),)), GOOD, "rule_urgency"),
        (replace(NOTICE, infos=(replace(INFO, certainty="Possible"),)), GOOD, "rule_certainty"),
        (replace(NOTICE, infos=(replace(INFO, expires=None),)), GOOD, "no_expiry"),
        (replace(NOTICE, infos=(replace(INFO, responses=("AllClear",)),)), GOOD, "all_clear"),
        (replace(NOTICE, sent=NOW + timedelta(hours=1)), GOOD, "from_the_future"),
        (replace(NOTICE, sent=NOW - timedelta(hours=7)), GOOD, "stale"),
        (replace(NOTICE, infos=(replace(INFO, effective=NOW + timedelta(hours=1)),)), GOOD, "not_yet_effective"),
        (NOTICE, replace(GOOD, template=False), "no_template"),
        (NOTICE, replace(GOOD, demoted=True), "demoted"),
    ],
)
def test_whatever_is_missing_leaves_it_to_people(notice: Notice, case: Case, reason: str) -> None:
    assert told(notice, case=case) == (Action.PROPOSE, (reason,))


@pytest.mark.parametrize(
    ("notice", "case", "reason"),
    [
        *(
            (replace(NOTICE, status=one), GOOD, f"status_{one.lower()}")
            for one in ("Test", "Exercise", "Draft", "Nope")
        ),
        *((replace(NOTICE, msg_type=one), GOOD, f"message_{one.lower()}") for one in ("Ack", "Error")),
        (replace(NOTICE, scope="Restricted"), GOOD, "not_public"),
        (replace(NOTICE, quarantine=True), GOOD, "quarantine"),
        (replace(NOTICE, signature="invalid"), GOOD, "signature_invalid"),
        (replace(NOTICE, infos=()), GOOD, "no_info"),
        (replace(NOTICE, infos=(replace(INFO, expires=NOW),)), GOOD, "expired"),
        (NOTICE, replace(GOOD, superseded=True), "superseded"),
        (NOTICE, replace(GOOD, acted=True), "acted_already"),
        (NOTICE, replace(GOOD, reached=0), "no_cluster"),
    ],
)
def test_some_are_only_ever_shown(notice: Notice, case: Case, reason: str) -> None:
    for policy in (AUTOMATIC, PROPOSE):
        action, reasons = told(notice, policy, case)
        assert (action, reason in reasons) == (Action.SHOW, True)


def test_a_rule_wants_one_part_that_reaches_all_three_words() -> None:
    parts = (replace(INFO, severity="Minor"), replace(INFO, language="en", certainty="Unlikely"))
    assert told(replace(NOTICE, infos=parts)) == (Action.PROPOSE, ("rule_severity",))


def test_a_rule_may_want_a_language() -> None:
    policy = WarningPolicy(mode=Mode.AUTOMATIC, rules=(RULE.model_copy(update={"languages": ("bru",)}),))
    assert told(NOTICE, policy) == (Action.PROPOSE, ("rule_language",))
    assert told(replace(NOTICE, infos=(INFO, replace(INFO, language="bru-VN"))), policy)[0] is Action.ISSUE


def test_a_policy_may_want_signatures_and_severity_before_it_proposes() -> None:
    strict = WarningPolicy(mode=Mode.PROPOSE, require_signature=True, propose_from="Severe")
    assert told(NOTICE, strict)[0] is Action.PROPOSE
    assert told(replace(NOTICE, signature="untrusted"), strict) == (Action.SHOW, ("signature_required",))
    assert told(replace(NOTICE, infos=(replace(INFO, severity="Minor"),)), strict) == (Action.SHOW, ("below_severity",))


def test_automatic_without_a_rule_is_no_policy() -> None:
    with pytest.raises(ValueError, match="rule"):
        WarningPolicy(mode=Mode.AUTOMATIC)


def test_a_cancel_acts_by_itself_only_on_what_acted_by_itself() -> None:
    cancel = replace(NOTICE, msg_type="Cancel", infos=())
    sent = Issued("al_1", "kttv", automatic=True)
    assert judge_cancel(cancel, AUTOMATIC, issued=[sent]).action is Action.ISSUE
    for notice, policy, issued, reason in (
        (cancel, PROPOSE, sent, "policy_propose"),
        (replace(cancel, signature="none"), AUTOMATIC, sent, "signature_none"),
        (replace(cancel, sender="other"), AUTOMATIC, sent, "other_sender"),
        (cancel, AUTOMATIC, replace(sent, automatic=False), "sent_by_people"),
    ):
        judgement = judge_cancel(notice, policy, issued=[issued])
        assert (judgement.action, judgement.reasons) == (Action.PROPOSE, (reason,))
    assert judge_cancel(cancel, AUTOMATIC, issued=[]).action is Action.SHOW
    assert judge_cancel(replace(cancel, status="Test"), AUTOMATIC, issued=[sent]).action is Action.SHOW


def test_what_does_not_say_when_it_ends_ends_after_a_day() -> None:
    assert expires_at(NOTICE) == INFO.expires
    assert expires_at(replace(NOTICE, infos=(replace(INFO, expires=None),))) == NOTICE.sent + timedelta(hours=24)


def test_parts_that_are_over_say_nothing_any_more() -> None:
    over = replace(INFO, expires=NOW - timedelta(minutes=1), severity="Extreme")
    minor = replace(INFO, severity="Minor")
    assert in_force(replace(NOTICE, infos=(over, minor)), NOW).infos == (minor,)
    assert in_force(replace(NOTICE, infos=(over,)), NOW).infos == (over,)
    last = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    assert expires_at(replace(NOTICE, sent=last, infos=(replace(INFO, expires=None),))) == last


words = st.sampled_from(
    ["Extreme", "Severe", "Moderate", "Immediate", "Past", "Observed", "Likely", "Unknown", "", "x"]
)


notices = st.builds(
    lambda words, event, **more: Notice(
        identifier="1",
        sent=NOW,
        infos=(replace(INFO, event=event, severity=words[0], urgency=words[1], certainty=words[2]),),
        **more,
    ),
    words=st.tuples(words, words, words),
    event=st.sampled_from(["Flash flood", "Heat", ""]),
    sender=st.sampled_from(["kttv", "other"]),
    status=st.sampled_from(["Actual", "Test", "Exercise", "Draft", "System", "", "actual"]),
    msg_type=st.sampled_from(["Alert", "Update", "Cancel", "Ack", "Error", "?"]),
    scope=st.sampled_from(["Public", "Private", "Restricted", ""]),
    signature=st.sampled_from(["none", "valid", "invalid", "untrusted"]),
    quarantine=st.booleans(),
)
cases = st.builds(
    Case,
    reached=st.integers(0, 2),
    template=st.booleans(),
    demoted=st.booleans(),
    superseded=st.booleans(),
    acted=st.booleans(),
)


@given(notice=notices, case=cases, policy=st.sampled_from([AUTOMATIC, PROPOSE, WarningPolicy()]))
def test_nothing_sounds_by_itself_unless_all_of_it_holds(notice: Notice, case: Case, policy: WarningPolicy) -> None:
    info = notice.infos[0]
    whole = (
        policy is AUTOMATIC
        and (notice.status, notice.scope, notice.signature) == ("Actual", "Public", "valid")
        and notice.msg_type in {"Alert", "Update"}
        and not notice.quarantine
        and info.severity in {"Extreme", "Severe"}
        and info.urgency == "Immediate"
        and info.certainty in {"Observed", "Likely"}
        and (notice.sender, info.event) == ("kttv", "Flash flood")
        and case.reached > 0
        and case.template
        and not (case.demoted or case.superseded or case.acted)
    )
    assert (judge(notice, policy, case, now=NOW).action is Action.ISSUE) == whole


@given(notice=notices, case=cases, policy=st.sampled_from([AUTOMATIC, PROPOSE]))
def test_tests_and_altered_warnings_never_get_beyond_shown(notice: Notice, case: Case, policy: WarningPolicy) -> None:
    if notice.status != "Actual" or notice.signature == "invalid" or notice.quarantine:
        assert judge(notice, policy, case, now=NOW).action is Action.SHOW
        assert judge_cancel(notice, policy, issued=[Issued("al_1", "kttv", automatic=True)]).action is Action.SHOW


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not beside the repository")
def test_the_corpus_gets_no_further_than_cap_allows() -> None:
    """With everything else in its favour, a real alert is proposed only where CAP's own rules let it sound."""
    seen = 0
    for file in sorted(CORPUS.rglob("*.xml")):
        for reading in read_alerts(file.read_bytes(), now=NOW):
            if reading.alert is None:
                continue
            at = reading.alert.sent + timedelta(minutes=1)
            notice = notice_of(reading.alert, signature=str(reading.signature), quarantine=reading.quarantine)
            action = judge(notice, PROPOSE, GOOD, now=at).action
            effect = dispose(reading, now=at)
            if effect.effect is not Effect.SOUNDS and effect.code not in {"not_yet_effective", "sent_in_the_future"}:
                assert action is Action.SHOW, (file.name, effect)
            seen += 1
    assert seen >= 17

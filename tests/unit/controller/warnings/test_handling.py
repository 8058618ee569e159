"""Warnings end to end on a real database: what is shown, proposed, sent, linked, and what never is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.cap import AlertKey
from controller.services.alerts import AlertKind, AlertState, Category, Where
from controller.services.context import SYSTEM, Role
from controller.services.errors import ConflictError, ForbiddenError, InvalidError, TooManyError
from controller.services.orders import Scope
from controller.services.warnings import Changes, Mode, State, WarningEntry, WarningFilter, WarningPolicy
from controller.services.warnings.intake import PER_MINUTE
from tests.unit.controller.desk import START
from tests.unit.controller.warnings.warning_kit import (
    SENDER,
    World,
    about,
    automatic_policy,
    circle,
    coded,
    flood,
    geocodes,
    info,
    open_world,
    pem,
    xml,
)

PROPOSE = WarningPolicy(mode=Mode.PROPOSE)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def test_a_warning_is_proposed_filled_in_for_the_clusters_it_reaches(world: World) -> None:
    source = await world.source(policy=PROPOSE)
    entry = await world.taken(source, flood())
    assert entry.state is State.PROPOSED
    assert entry.clusters == tuple(sorted((world.clusters["A Vao"], world.clusters["Tà Rụt"])))
    proposal = entry.proposal
    assert proposal["title"] == "Cảnh báo lũ quét huyện Đakrông"
    assert proposal["category"] == "flash_flood"
    assert proposal["communes"] == ["A Vao", "Tà Rụt"]
    assert proposal["words"] == [
        {
            "language": "vi",
            "text": "Cảnh báo lũ quét huyện Đakrông. Nước sông Đakrông lên nhanh. Bà con rời xa bờ sông.",
        }
    ]
    assert proposal["lacking"] == {world.clusters["A Vao"]: ["bru"]}
    assert proposal["spoken"] == ["vi-VN", "en"]
    assert not world.alerts.kept
    assert "warning.propose" in await world.audited()


async def test_accepting_composes_in_the_name_of_the_person_and_follows_the_alert(world: World) -> None:
    officer = await world.desk.user("lan", (Role.DUTY_OFFICER, world.district))
    source = await world.source(policy=PROPOSE)
    entry = await world.taken(source, flood())
    made = await world.people.accept(officer, entry.id, Changes())
    assert made.code == "ABCD"
    alert = world.alerts.kept[made.alert_id]
    assert alert.composed.by.user_id == officer.user_id
    assert alert.draft.kind is AlertKind.TEXT
    assert alert.draft.category is Category.FLASH_FLOOD
    assert alert.draft.origin.reference == entry.id
    assert alert.clusters == frozenset(entry.clusters)
    assert [one.language for one in alert.draft.cancel_words] == ["vi"]
    with pytest.raises(ConflictError, match="accepted") as caught:
        await world.people.accept(officer, entry.id, Changes())
    assert caught.value.code == "already_decided"
    world.handler.alert_changed(world.alerts.give(made.alert_id))
    await world.handler.step()
    after = await world.book.get(entry.id)
    assert (after.state, after.alert_id, after.decided_by) == (State.ISSUED, made.alert_id, officer.user_id)


async def test_an_alert_nobody_confirmed_gives_the_warning_back(world: World) -> None:
    source = await world.source(policy=PROPOSE)
    entry = await world.taken(source, flood())
    made = await world.people.accept(SYSTEM, entry.id, Changes())
    world.alerts.kept[made.alert_id] = replace(world.alerts.kept[made.alert_id], state=AlertState.EXPIRED)
    world.desk.clock.advance(minutes=11)
    await world.handler.step()
    after = await world.book.get(entry.id)
    assert (after.state, after.reasons, after.alert_id) == (State.PROPOSED, ("not_confirmed",), None)
    assert (await world.people.accept(SYSTEM, entry.id, Changes())).alert_id != made.alert_id


async def test_a_proposal_is_told_to_those_who_may_decide_once(world: World) -> None:
    officer = await world.desk.user("lan", (Role.DUTY_OFFICER, world.areas["Tà Rụt"]))
    elsewhere = await world.desk.user("tu", (Role.DUTY_OFFICER, world.areas["Ba Nang"]))
    source = await world.source(policy=PROPOSE)
    entry = await world.taken(source, flood())
    await world.take(source, xml(flood()))
    [notice] = world.notices.of(officer)
    assert (notice.kind, notice.subject) == ("warning_proposed", entry.id)
    assert world.notices.of(elsewhere) == []


async def test_declining_keeps_the_reason(world: World) -> None:
    officer = await world.desk.user("lan", (Role.DUTY_OFFICER, None))
    stranger = await world.desk.user("tu", (Role.VIEWER, None))
    source = await world.source(policy=PROPOSE)
    entry = await world.taken(source, flood())
    with pytest.raises(ForbiddenError):
        await world.people.decline(stranger, entry.id, "no")
    declined = await world.people.decline(officer, entry.id, "Nước đã rút")
    assert (declined.state, declined.reason) == (State.DECLINED, "Nước đã rút")
    with pytest.raises(ConflictError):
        await world.people.accept(officer, entry.id, Changes())


async def test_twice_is_once_and_the_answer_says_so(world: World) -> None:
    source = await world.source(policy=PROPOSE)
    first = await world.take(source, xml(flood()))
    again = await world.take(source, b"\n" + xml(flood()))
    other = await world.take(source, xml(flood(infos=(info(headline="Khác hẳn"),))))
    assert [kept[0].code for kept in (first, again, other)] == ["received", "duplicate", "duplicate_differs"]
    assert {kept[0].id for kept in (first, again, other)} == {first[0].id}
    rows, _ = await world.people.listed(SYSTEM, WarningFilter(), before=None, limit=10)
    assert len(rows) == 1


async def test_a_forgery_that_comes_first_does_not_keep_the_signed_one_out(world: World) -> None:
    source = await world.automatic()
    forged = await world.taken(source, flood(infos=(info(headline="Không có lũ"),)))
    assert forged.state in {State.SHOWN, State.PROPOSED}
    genuine = await world.taken(source, flood(), signed=True)
    assert (genuine.state, genuine.signature) == (State.ISSUED, "valid")
    closed = await world.book.get(forged.id)
    assert (closed.state, closed.superseded_by) == (State.CANCELLED, genuine.id)
    codes = [(await world.take(source, xml(flood(), signed=signed)))[0].code for signed in (True, False)]
    assert codes == ["duplicate", "duplicate"]


async def test_a_forgery_that_comes_later_is_a_duplicate(world: World) -> None:
    source = await world.automatic()
    genuine = await world.taken(source, flood(), signed=True)
    [forged] = await world.take(source, xml(flood(infos=(info(headline="Không có lũ"),))))
    assert (forged.code, forged.id) == ("duplicate_differs", genuine.id)


async def test_an_alert_composed_from_a_forgery_is_disarmed_by_the_signed_one(world: World) -> None:
    officer = await world.desk.user("lan", (Role.DUTY_OFFICER, None))
    source = await world.source(policy=PROPOSE, certificates=(pem(),))
    forged = await world.taken(source, flood(infos=(info(headline="Không có lũ"),)))
    made = await world.people.accept(officer, forged.id, Changes())
    genuine = await world.taken(source, flood(), signed=True)
    assert genuine.state is State.PROPOSED
    assert (await world.book.get(forged.id)).state is State.CANCELLED
    assert not world.alerts.kept[made.alert_id].state.waiting


@pytest.mark.parametrize("status", ["Test", "Exercise", "Draft", "System"])
async def test_what_is_not_actual_is_shown_and_can_never_be_accepted(world: World, status: str) -> None:
    source = await world.automatic()
    entry = await world.taken(source, flood(status=status), signed=True)
    assert entry.state is State.SHOWN
    assert f"status_{status.lower()}" in entry.reasons
    with pytest.raises(InvalidError) as caught:
        await world.people.accept(SYSTEM, entry.id, Changes())
    assert caught.value.code == "never_sounds"
    assert not world.alerts.kept


async def test_automatic_needs_everything_at_once(world: World) -> None:
    source = await world.automatic()
    entry = await world.taken(source, flood(), signed=True)
    assert (entry.state, entry.rule, entry.signature) == (State.ISSUED, "lũ quét", "valid")
    alert = world.alerts.kept[entry.alert_id or ""]
    assert alert.draft.template == "tp_flash"
    assert alert.draft.origin.kind == "policy"
    lacking = {
        "signature_none": await world.taken(source, flood(identifier="2")),
        "rule_sender": await world.taken(source, flood(identifier="3", sender="other@example"), signed=True),
        "rule_event": await world.taken(source, flood(identifier="4", infos=(info(event="Heat"),)), signed=True),
        "rule_severity": await world.taken(source, flood(identifier="5", infos=(info(severity="Minor"),)), signed=True),
        "no_expiry": await world.taken(source, flood(identifier="6", infos=(info(expires=None),)), signed=True),
        "stale": await world.taken(source, flood(identifier="7", sent=flood().sent - timedelta(hours=7)), signed=True),
    }
    for reason, shown in lacking.items():
        assert shown.state is State.PROPOSED, reason
        assert reason in shown.reasons, shown.reasons
    assert len(world.alerts.kept) == 1


async def test_a_rule_sounds_only_where_and_what_it_was_met_for(world: World) -> None:
    templates = {"Flash flood": "tp_flash", "Heat": "tp_heat"}
    source = await world.automatic(templates=templates, geocodes=geocodes(world))
    heat = info(event="Heat", severity="Minor", areas=(coded("19567"),))
    mixed = flood(infos=(heat, info(areas=(circle(16.45, 106.95, 1),))))
    entry = await world.taken(source, mixed, signed=True)
    assert (entry.state, entry.reasons) == (State.ISSUED, ("clusters_left_out",))
    alert = world.alerts.kept[entry.alert_id or ""]
    assert (alert.draft.template, alert.clusters) == ("tp_flash", frozenset({world.clusters["A Vao"]}))
    assert entry.clusters == (world.clusters["A Vao"],)


async def test_severe_in_one_part_and_named_in_another_is_for_people(world: World) -> None:
    source = await world.automatic(templates={"Flash flood": "tp_flash", "Heat": "tp_heat"})
    entry = await world.taken(source, flood(infos=(info(severity="Minor"), info(event="Heat"))), signed=True)
    assert (entry.state, entry.reasons) == (State.PROPOSED, ("rule_severity",))
    both = automatic_policy().rules[0].model_copy(update={"events": ("Flash flood", "Heat")})
    wide = await world.automatic(
        name="Khác",
        templates={"Flash flood": "tp_flash", "Heat": "tp_heat"},
        policy=WarningPolicy(mode=Mode.AUTOMATIC, rules=(both,)),
    )
    two = await world.taken(wide, flood(identifier="2", infos=(info(), info(event="Heat"))), signed=True)
    assert (two.state, two.reasons) == (State.PROPOSED, ("several_templates",))
    nowhere = flood(identifier="3", infos=(info(areas=(coded("0"),)), info(event="Storm")))
    assert (await world.taken(wide, nowhere, signed=True)).reasons == ("rule_no_cluster",)
    assert not world.alerts.kept


async def test_an_altered_warning_is_only_shown(world: World) -> None:
    source = await world.automatic()
    altered = xml(flood(), signed=True).replace("Đakrông lên".encode(), "Đakrông rút".encode())
    kept = await world.take(source, altered)
    entry = await world.book.get(kept[0].id or "")
    assert (entry.state, entry.signature, entry.reasons[0]) == (State.SHOWN, "invalid", "signature_invalid")
    with pytest.raises(InvalidError):
        await world.people.accept(SYSTEM, entry.id, Changes())


async def test_a_flood_of_automatic_alerts_demotes_the_source(world: World) -> None:
    source = await world.automatic(policy=automatic_policy(most_automatic_per_hour=2))
    states = [(await world.taken(source, flood(identifier=str(n)), signed=True)).state for n in range(4)]
    assert states == [State.ISSUED, State.ISSUED, State.PROPOSED, State.PROPOSED]
    demoted = world.sources.find(source.id)
    assert demoted is not None
    assert demoted.demoted
    assert "warning_source.demote" in await world.audited()
    world.desk.clock.advance(hours=2)
    await world.sources.restore(SYSTEM, source.id)
    fresh = flood(identifier="9", sent=world.desk.clock.now())
    assert (await world.taken(source, fresh, signed=True)).state is State.ISSUED


async def test_a_refused_automatic_alert_becomes_a_proposal(world: World) -> None:
    source = await world.automatic()
    world.alerts.refuse = ConflictError("the same order a minute ago", code="duplicate_order")
    entry = await world.taken(source, flood(), signed=True)
    assert (entry.state, entry.reasons) == (State.PROPOSED, ("automatic_refused", "duplicate_order"))


async def test_a_cancel_takes_back_what_waits(world: World) -> None:
    source = await world.source(policy=PROPOSE)
    first = await world.taken(source, flood())
    cancel = await world.taken(source, about(flood(), "Cancel", "VN-QTR-2"))
    after = await world.book.get(first.id)
    assert (after.state, after.superseded_by) == (State.CANCELLED, cancel.id)
    assert (cancel.state, cancel.reasons) == (State.SHOWN, ("nothing_to_cancel",))


async def test_a_cancel_of_what_people_sent_is_proposed_to_people(world: World) -> None:
    source = await world.automatic(policy=automatic_policy())
    entry = await world.taken(source, flood())  # not signed: people send it
    made = await world.people.accept(SYSTEM, entry.id, Changes())
    world.handler.alert_changed(world.alerts.give(made.alert_id))
    await world.handler.step()
    cancel = await world.taken(source, about(flood(), "Cancel", "VN-QTR-2"), signed=True)
    assert (cancel.state, cancel.proposal["kind"]) == (State.PROPOSED, "cancel")
    assert "sent_by_people" in cancel.reasons
    assert world.alerts.kept[made.alert_id].state is AlertState.CONFIRMED
    await world.people.accept(SYSTEM, cancel.id, Changes())
    assert world.alerts.kept[made.alert_id].state is AlertState.CANCELLED


async def test_a_cancel_disarms_what_waits_for_its_second_person(world: World) -> None:
    source = await world.source(policy=PROPOSE)
    entry = await world.taken(source, flood())
    made = await world.people.accept(SYSTEM, entry.id, Changes())
    await world.taken(source, about(flood(), "Cancel", "VN-QTR-2"))
    assert world.alerts.kept[made.alert_id].state is AlertState.CANCELLED
    assert (await world.book.get(entry.id)).state is State.CANCELLED


async def test_a_signed_cancel_silences_what_the_policy_sent(world: World) -> None:
    source = await world.automatic()
    entry = await world.taken(source, flood(), signed=True)
    cancel = await world.taken(source, about(flood(), "Cancel", "VN-QTR-2"), signed=True)
    assert (cancel.state, cancel.alert_id) == (State.ISSUED, entry.alert_id)
    assert world.alerts.kept[entry.alert_id or ""].state is AlertState.CANCELLED


async def test_an_unsigned_cancel_acts_on_nothing_that_was_signed(world: World) -> None:
    source = await world.automatic()
    entry = await world.taken(source, flood(), signed=True)
    cancel = await world.taken(source, about(flood(), "Cancel", "VN-QTR-2"))
    assert (cancel.state, cancel.reasons) == (State.SHOWN, ("nothing_to_cancel", "weaker_signature"))
    assert world.alerts.kept[entry.alert_id or ""].state is AlertState.CONFIRMED


async def test_a_test_cancel_or_another_sources_cancel_acts_on_nothing(world: World) -> None:
    source, other = await world.source(policy=PROPOSE), await world.source(name="Nguồn khác", policy=PROPOSE)
    first = await world.taken(source, flood())
    await world.taken(source, about(flood(), "Cancel", "T", status="Test"))
    foreign = await world.taken(other, about(flood(), "Cancel", "VN-QTR-2"))
    assert foreign.reasons == ("nothing_to_cancel", "reference_unknown")
    assert (await world.book.get(first.id)).state is State.PROPOSED


async def test_a_message_about_itself_acts_on_nothing(world: World) -> None:
    source = await world.source(policy=PROPOSE)
    itself = flood(msg_type="Cancel", references=(AlertKey(SENDER, "VN-QTR-1", flood().sent),))
    entry = await world.taken(source, itself)
    assert (entry.state, entry.reasons) == (State.SHOWN, ("nothing_to_cancel", "reference_missing"))


async def test_a_cancel_that_overtakes_its_alert_holds(world: World) -> None:
    source = await world.automatic()
    await world.taken(source, about(flood(), "Cancel", "VN-QTR-2"), signed=True)
    late = await world.taken(source, flood(), signed=True)
    assert late.state is State.SHOWN
    assert "superseded" in late.reasons
    assert not world.alerts.kept


async def test_an_update_takes_the_place_of_what_waits(world: World) -> None:
    source = await world.source(policy=PROPOSE)
    first = await world.taken(source, flood())
    update = await world.taken(source, about(flood(), "Update", "VN-QTR-1b"))
    assert (await world.book.get(first.id)).state is State.CANCELLED
    assert update.state is State.PROPOSED
    assert update.proposal["replaces"] == []


async def given(world: World, entry: WarningEntry) -> str:
    """Accepted by one person, confirmed by another."""
    made = await world.people.accept(SYSTEM, entry.id, Changes())
    world.handler.alert_changed(world.alerts.give(made.alert_id))
    await world.handler.step()
    return made.alert_id


async def test_an_update_takes_the_place_of_what_sounds_and_a_cancel_finds_what_took_it(world: World) -> None:
    source = await world.source(policy=PROPOSE)
    first = await given(world, await world.taken(source, flood()))
    update = await world.taken(source, about(flood(), "Update", "VN-QTR-2"))
    assert (update.state, update.proposal["replaces"]) == (State.PROPOSED, [first])
    assert world.alerts.kept[first].state.given  # until people have confirmed what takes its place
    second = await given(world, update)
    assert world.alerts.kept[second].draft.replaces == (first,)
    assert world.alerts.kept[first].state is AlertState.REPLACED
    cancel = await world.taken(source, about(flood(), "Cancel", "VN-QTR-3"))  # names the first alone
    assert (cancel.state, cancel.proposal["replaces"]) == (State.PROPOSED, [second])
    await world.people.accept(SYSTEM, cancel.id, Changes())
    assert world.alerts.kept[second].state is AlertState.CANCELLED


async def test_a_cancel_ends_all_that_still_sounds_of_what_it_names(world: World) -> None:
    source = await world.automatic()
    first = await world.taken(source, flood(), signed=True)
    second = await world.taken(source, flood(identifier="VN-QTR-2"), signed=True)
    both = tuple(AlertKey(SENDER, name, flood().sent) for name in ("VN-QTR-1", "VN-QTR-2"))
    cancel = await world.taken(source, about(flood(), "Cancel", "VN-QTR-3", references=both), signed=True)
    assert cancel.state is State.ISSUED
    for entry in (first, second):
        assert world.alerts.kept[entry.alert_id or ""].state is AlertState.CANCELLED


async def test_an_automatic_update_takes_the_place_of_automatic_alerts_alone(world: World) -> None:
    source = await world.automatic()
    first = await world.taken(source, flood(), signed=True)
    second = await world.taken(source, about(flood(), "Update", "VN-QTR-2"), signed=True)
    assert second.state is State.ISSUED
    assert world.alerts.kept[first.alert_id or ""].state is AlertState.REPLACED
    people = await given(world, await world.taken(source, flood(identifier="VN-QTR-5")))  # not signed: people send it
    third = await world.taken(source, about(flood(identifier="VN-QTR-5"), "Update", "VN-QTR-6"), signed=True)
    assert (third.state, third.reasons) == (State.ISSUED, ("sent_by_people",))
    assert world.alerts.kept[people].state.given


async def test_the_same_words_by_two_sources_are_proposed_once(world: World) -> None:
    one, two = await world.source(policy=PROPOSE), await world.source(name="Nguồn khác", policy=PROPOSE)
    first, second = await world.taken(one, flood()), await world.taken(two, flood())
    different = await world.taken(two, flood(identifier="VN-QTR-1x"))
    assert [row.state for row in (first, second, different)] == [State.PROPOSED, State.SHOWN, State.PROPOSED]
    assert second.reasons == ("acted_already",)


async def test_clusters_without_coordinates_are_reached_by_geocode(world: World) -> None:
    source = await world.source(policy=PROPOSE, geocodes=geocodes(world))
    entry = await world.taken(source, flood(infos=(info(areas=(coded("19567"), coded("404"))),)))
    assert entry.clusters == (world.clusters["Ba Nang"],)
    assert entry.proposal["unplaced"] == ["Xã Ba Nang"]


async def test_what_reaches_nobody_is_shown(world: World) -> None:
    source = await world.source(policy=PROPOSE)
    entry = await world.taken(source, flood(infos=(info(areas=(circle(10.0, 100.0, 5.0),)),)))
    assert (entry.state, entry.reasons) == (State.SHOWN, ("no_cluster",))
    with pytest.raises(InvalidError) as caught:
        await world.people.accept(SYSTEM, entry.id, Changes())
    assert caught.value.code == "no_cluster"
    made = await world.people.accept(SYSTEM, entry.id, Changes(clusters=(world.clusters["Tà Rụt"],), template="tp_x"))
    assert world.alerts.kept[made.alert_id].draft.template == "tp_x"
    again = await world.taken(source, flood(identifier="2", infos=(info(areas=(circle(10.0, 100.0, 5.0),)),)))
    made = await world.people.accept(SYSTEM, again.id, Changes(zones=("zn_river",), template="tp_x"))
    assert world.alerts.kept[made.alert_id].draft.where == Where(Scope(zones=("zn_river",)))


async def test_places_of_a_part_that_is_over_are_not_reached(world: World) -> None:
    source = await world.source(policy=PROPOSE)
    over = info(expires=START - timedelta(minutes=1))
    lasting = info(areas=(circle(16.40, 107.02, 2.0),), headline="Vẫn còn")
    entry = await world.taken(source, flood(infos=(over, lasting)))
    assert entry.clusters == (world.clusters["Tà Rụt"],)
    assert entry.proposal["title"] == "Vẫn còn"


async def test_a_warning_of_the_year_9999_is_kept_as_well_as_any(world: World) -> None:
    source = await world.automatic()
    last = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    entry = await world.taken(source, flood(sent=last, infos=(info(expires=None),)), signed=True)
    assert (entry.state, "from_the_future" in entry.reasons) == (State.PROPOSED, True)


async def test_a_source_speaks_only_for_its_own_area(world: World) -> None:
    source = await world.source(policy=PROPOSE, area_id=world.areas["Tà Rụt"])
    entry = await world.taken(source, flood())
    assert entry.clusters == (world.clusters["Tà Rụt"],)
    assert entry.proposal["outside"] == 1


async def test_what_is_over_expires(world: World) -> None:
    source = await world.source(policy=PROPOSE)
    entry = await world.taken(source, flood())
    world.desk.clock.advance(hours=7)
    await world.handler.step()
    assert (await world.book.get(entry.id)).state is State.EXPIRED
    with pytest.raises(ConflictError) as caught:
        await world.people.accept(SYSTEM, entry.id, Changes())
    assert caught.value.code == "expired"


async def test_a_source_that_is_too_fast_is_told_to_wait(world: World) -> None:
    source = await world.source()
    document = xml(flood())
    for _ in range(PER_MINUTE):
        await world.intake.take(source, source.kind, document)
    with pytest.raises(TooManyError) as caught:
        await world.intake.take(source, source.kind, document)
    assert 0 < caught.value.retry_after <= 61
    assert world.intake.health[source.id].fault_code == "source_too_fast"
    world.desk.clock.advance(minutes=2)
    assert (await world.intake.take(source, source.kind, document))[0].code == "duplicate"


async def test_a_restart_judges_what_waited_and_sends_nothing_twice(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        source = await world.automatic()
        kept = await world.intake.take(source, source.kind, xml(flood(), signed=True))
        alerts, areas = world.alerts, world.areas
    async with open_world(tmp_path) as again:
        again.areas = areas
        assert again.book.pending == 1
        await again.handler.step()
        entry = await again.book.get(kept[0].id or "")
        assert entry.state is State.ISSUED
        assert again.book.pending == 0
        # Killed after the alert was sent and before the book knew: it is found again, not sent again.
        await again.book.settle(SYSTEM, entry.id, {"state": "received", "alert_id": None}, expected=(State.ISSUED,))
        await again.handler.step()
        assert (await again.book.get(entry.id)).alert_id == entry.alert_id
        assert len(again.alerts.kept) == 1
    assert not alerts.kept
    assert SENDER

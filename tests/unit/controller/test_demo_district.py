"""The demo's district on paper: every hour of the day has a week that may be broadcast, and ill boxes are the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from controller.cap import Verdict, read_alerts
from controller.demo.district import COMMUNES, seed_clusters
from controller.demo.flood import SOURCE_NAME, flash_flood
from controller.demo.life import cast_of
from controller.demo.scenario import moved_quiet_hours
from controller.demo.week import USUAL_QUIET, WEEK, Busy, place, quiet_hours
from controller.keys.cap_identity import ensure_identity
from schedules.recurrence import Recurrence, expand

NOW = datetime(2026, 11, 29, 3, 7, tzinfo=UTC)
LOCAL = NOW.replace(tzinfo=None)


@pytest.mark.parametrize("hour", range(24))
def test_at_every_hour_the_week_keeps_clear_of_quiet_hours_and_of_the_beginning(hour: int) -> None:
    local = LOCAL.replace(hour=hour)
    quiet = quiet_hours(local) or moved_quiet_hours(local)
    begin, end = (int(each[:2]) * 60 + int(each[3:]) for each in quiet)
    placed = place(WEEK, local, quiet)
    assert [slot for slot, _ in placed] == list(WEEK)
    for slot, start in placed:
        minute = start.hour * 60 + start.minute
        assert not Busy(begin, end).meets(minute, slot.length), (slot.title, start)
        day = start.replace(year=local.year, month=local.month, day=local.day)
        assert abs(day - local) > timedelta(minutes=49), (slot.title, start)
        first = next(iter(expand(Recurrence(start, "Asia/Ho_Chi_Minh", slot.rrule), limit=1)))
        assert first.replace(tzinfo=None) == start


def test_by_day_the_quiet_hours_are_the_usual_ones_and_so_are_the_times() -> None:
    noon = LOCAL.replace(hour=13)
    assert quiet_hours(noon) == USUAL_QUIET
    assert [(slot.hour, slot.minute) for slot, at in place(WEEK, noon, USUAL_QUIET)] == [
        (at.hour, at.minute) for _, at in place(WEEK, noon, USUAL_QUIET)
    ]
    assert quiet_hours(LOCAL.replace(hour=21)) is None


@pytest.mark.parametrize(("minute", "length", "meets"), [(1290, 10, True), (1285, 10, True), (1280, 10, False),
                                                         (0, 5, True), (284, 1, True), (285, 5, False)])  # fmt: skip
def test_hours_that_pass_midnight(minute: int, length: int, meets: bool) -> None:
    assert Busy(1290, 285).meets(minute, length) is meets


def test_the_district_has_all_its_clusters_each_with_a_place_and_somebody_to_telephone() -> None:
    seeds = seed_clusters(141)
    assert len({seed.name for seed in seeds}) == len({(seed.latitude, seed.longitude) for seed in seeds}) == 141
    assert len({seed.contact_phone for seed in seeds}) == 141
    assert {seed.commune for seed in seeds} == {commune.name for commune in COMMUNES}
    assert all(16.2 < seed.latitude < 16.9 and 106.6 < seed.longitude < 107.3 for seed in seeds)


def test_boxes_are_ill_only_where_the_demo_goes_on_and_there_are_enough_of_them() -> None:
    clusters = [f"cl_{number}" for number in range(141)]
    cast = cast_of(clusters, once=False)
    assert sorted((*cast.well, *cast.mute, *cast.gone, *cast.bare)) == sorted(clusters)
    assert len(cast.well) == 138
    assert cast_of(clusters, once=True).well == tuple(clusters)
    assert cast_of(clusters[:5], once=False).well == tuple(clusters[:5])


def test_the_warning_is_a_signed_one_that_reaches_the_south(tmp_path_factory: pytest.TempPathFactory) -> None:
    identity = ensure_identity(tmp_path_factory.mktemp("sender"), SOURCE_NAME, now=NOW)
    [reading] = read_alerts(flash_flood(NOW, identity), now=NOW, trust=[identity.certificate])
    assert reading.signature is Verdict.VALID
    assert reading.alert is not None
    assert reading.flags == ()
    [area] = reading.alert.infos[0].areas
    reached = {seed.commune for seed in seed_clusters(141) if area.contains(seed.latitude, seed.longitude)}
    assert reached >= {"Tà Rụt", "A Ngo", "A Bung", "A Vao"}
    assert "Krông Klang" not in reached

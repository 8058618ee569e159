"""What people see before they confirm, where figures on the map lead, and what each village hears."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from controller.services.alerts.model import AlertKind, Message, Repetition, SpokenClip, Where, Words
from controller.services.alerts.sounding import BREATH, groups, lacking
from controller.services.alerts.wording import Tongue, cautions_of, sentence_of
from controller.services.errors import ConflictError, InvalidError
from controller.services.orders import Scope
from schedules.instants import Frames, frames_of
from schedules.model import Clip, Pause
from tests.unit.controller.air_kit import ADMIN
from tests.unit.controller.alerts.siren_hall import Talker, open_hall

TONE = Clip("a" * 64, Frames(48_000))
VI = SpokenClip("vi", "Lũ về", Clip("b" * 64, Frames(96_000)))
BRU = SpokenClip("bru", "…", Clip("c" * 64, Frames(48_000)))


def test_every_village_hears_its_languages_and_nobody_hears_nothing() -> None:
    message = Message(TONE, (VI, BRU))
    languages: dict[str, tuple[str, ...]] = {"both": ("bru", "vi"), "vi": ("vi",), "other": ("hmn",), "same": ("vi",)}
    heard = {cluster: group for group in groups(message, languages, times=2, gap=timedelta(seconds=5))
             for cluster in group.clusters}  # fmt: skip
    assert [clip.sha256[0] for clip in heard["both"].sound.clips] == ["a", "c", "b"] * 2
    assert heard["other"].spoken == (VI,)
    assert heard["vi"] is heard["same"]
    assert lacking(message.languages, languages) == {"hmn": ("other",)}
    pauses = [piece.frames for piece in heard["vi"].sound.pieces if isinstance(piece, Pause)]
    assert pauses == [BREATH, frames_of(timedelta(seconds=5)), BREATH]


async def test_the_sentence_names_everything_that_matters(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        far = await hall.stage.area("A Vao", hall.area)
        await hall.stage.cluster(far, "Xa", ("bru", "vi"))
        review = hall.desk.review(
            hall.lan, hall.draft(repetition=Repetition(3, timedelta(seconds=10), timedelta(hours=2)))
        )
        for piece in ("CẢNH BÁO THẬT", "“Cảnh báo lũ”", "4 cụm loa", "Tà Rụt (3)", "A Vao (1)",
                      "1 cụm hiện mất liên lạc", "Lũ đang về", "3 lượt", "nhắc lại"):  # fmt: skip
            assert piece in sentence_of(review)
        assert "đọc 3 lượt liền nhau, dài " in sentence_of(review)
        assert "nhắc lại mỗi 2 giờ đến khi hủy" in sentence_of(review)
        english = sentence_of(review, Tongue.EN)
        for piece in ("REAL ALERT “Cảnh báo lũ”", "4 clusters", "Tà Rụt (3)", "A Vao (1)", "1 is offline now",
                      "Lũ đang về", "3 times in a row, for ", "again every 2 hours until cancelled"):  # fmt: skip
            assert piece in english
        assert figures(english) == figures(sentence_of(review))
        assert len(review.offline) == 1
        assert review.lacking == {"bru": review.offline}
        assert {each.code for each in cautions_of(review)} >= {"offline", "language_lacking", "not_in_stock"}
        hall.stage.clock.advance(hours=13)  # eleven at night
        night = hall.desk.review(hall.lan, hall.draft())
        assert len(night.quiet) == 4
        assert "quiet_hours" in {each.code for each in cautions_of(night)}


async def test_words_that_are_not_spoken_yet_are_shown_and_are_not_called_a_live_voice(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        hall.desk._composer._speaker._engine = Talker()
        written = hall.draft(kind=AlertKind.TEXT, template=None, title="Vỡ đập", words=(Words("vi", "Đập vỡ"),))
        review = hall.desk.review(hall.lan, written)
        assert "“Đập vỡ” (tiếng Việt), độ dài sẽ biết khi đọc xong" in sentence_of(review)
        assert (review.languages, review.first_words) == (("vi",), {"vi": "Đập vỡ"})
        voice = hall.desk.review(hall.lan, replace(written, kind=AlertKind.VOICE, words=()))
        assert "lời nói trực tiếp" in sentence_of(voice)
        assert "live voice" in sentence_of(voice, Tongue.EN)
        assert "its length is known once it is spoken" in sentence_of(review, Tongue.EN)


@pytest.mark.parametrize("tongue", Tongue)
async def test_all_that_should_give_pause_is_said_in_every_language(tmp_path: Path, tongue: Tongue) -> None:
    async with open_hall(tmp_path) as hall:
        review = hall.desk.review(hall.lan, hall.draft())
    some = ("cl_a", "cl_b")
    worst = replace(review, offline=some, lacking={"bru": some}, quiet=some, unstocked=some, unplaced=2, disabled=2)
    said = cautions_of(worst, tongue)
    assert [each.code for each in said] == [
        "offline", "language_lacking", "quiet_hours", "not_in_stock", "no_coordinates", "disabled",
    ]  # fmt: skip
    assert all(re.match(r"2 (cụm|clusters) ", each.text) for each in said)
    assert cautions_of(replace(worst, offline=(), lacking={}, quiet=(), unstocked=(), unplaced=0, disabled=0)) == ()
    many = replace(worst, areas=worst.areas * 10, length=timedelta(seconds=3725), everywhere=True)
    assert ("TOÀN BỘ" if tongue is Tongue.VI else "WHOLE") in sentence_of(many, tongue)
    assert ("1 giờ 2 phút 5 giây" if tongue is Tongue.VI else "1 hour 2 minutes 5 seconds") in sentence_of(many, tongue)


def figures(sentence: str) -> list[str]:
    """Every number in it, in order."""
    return re.findall(r"\d+", sentence)


async def test_figures_on_the_map_mean_the_clusters_inside_and_say_who_has_no_place(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        directory = hall.stage.base.directory
        for number, cluster in enumerate(hall.clusters[:2]):
            entry = replace(directory.clusters[cluster], latitude=16.0 + number, longitude=107.0)
            directory.put_cluster(entry)
        circle = Where(circles=("16.0,107.0 5",))
        assert hall.desk.review(hall.lan, hall.draft(where=circle)).clusters == (hall.clusters[0],)
        square = Where(polygons=("15.5,106 15.5,108 17.5,108 17.5,106 15.5,106",))
        review = hall.desk.review(hall.lan, hall.draft(where=square))
        assert set(review.clusters) == set(hall.clusters[:2])
        assert "no_coordinates" in {each.code for each in cautions_of(review)}
        both = Where(Scope(clusters=(hall.clusters[2],)), circles=circle.circles)
        assert len(hall.desk.review(hall.lan, hall.draft(where=both)).clusters) == 2
        for bad, code in ((Where(polygons=("1,2",)), "bad_shape"), (Where(), "no_target"),
                          (Where(circles=("0,0 1",)), "no_target")):  # fmt: skip
            with pytest.raises(InvalidError) as refused:
                hall.desk.review(hall.lan, hall.draft(where=bad))
            assert refused.value.code == code


async def test_what_makes_no_sense_is_refused_before_anybody_confirms(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        every, soon = timedelta(hours=1), hall.stage.clock.now() + timedelta(hours=2)
        text = hall.draft(kind=AlertKind.TEXT, template=None, title="x", words=(Words("vi", "…"),))
        for draft, code in (
            (hall.draft(repetition=Repetition(0)), "bad_repeat"),
            (hall.draft(repetition=Repetition(1, until=soon)), "bad_repeat"),
            (hall.draft(repetition=Repetition(1, every=timedelta(seconds=5))), "bad_repeat"),
            (hall.draft(repetition=Repetition(1, every=every, until=soon + timedelta(days=1))), "bad_repeat"),
            (hall.draft(repetition=Repetition(10, timedelta(minutes=30))), "too_long"),
            (hall.draft(valid=timedelta(days=2)), "bad_valid"),
            (hall.draft(kind=AlertKind.VOICE, template=None), "no_title"),
            (text, "no_text"),
            (replace(text, title=""), "no_title"),
        ):
            with pytest.raises(InvalidError) as refused:
                hall.desk.review(hall.lan, draft)
            assert (
                refused.value.code in {code, "no_text"} if draft.kind is AlertKind.TEXT else refused.value.code == code
            )


async def test_a_template_without_its_twin_or_its_approval_is_not_activated(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        with pytest.raises(InvalidError) as refused:
            await hall.flood(cancel_words=())
        assert refused.value.code == "no_cancel_twin"
        heard = await hall.stage.recording(hall.area, b"chua duyet", approved=False)
        with pytest.raises(InvalidError) as unheard:
            await hall.flood(words=(Words("vi", "x", heard.id),))
        assert unheard.value.code == "not_approved"


async def test_a_rejected_recording_takes_the_template_out_of_use_and_an_armed_alert_with_it(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        assert hall.template is not None
        assert hall.template.ready is not None
        (spoken,) = hall.template.ready.message.spoken
        recordings = hall.stage.air.recordings
        with pytest.raises(ConflictError) as used:
            await recordings.archive(ADMIN, spoken.recording or "")
        assert used.value.code == "recording_in_use"
        composed = await hall.armed()
        await recordings.decide(ADMIN, spoken.recording or "", spoken.clip.sha256, approved=False, reason="sai xã")
        with pytest.raises(ConflictError) as refused:
            await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        assert refused.value.code == "template_rejected"
        assert hall.stage.gateway.commands == []


async def test_the_active_version_stays_in_force_until_the_next_is_activated(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        assert hall.template is not None
        templates, spec = hall.stage.air.alarms.templates, hall.template.latest.spec
        changed = await templates.change(ADMIN, hall.template.id, replace(spec, title="Lũ lớn"))
        assert (changed.latest.version, changed.ready and changed.ready.spec.title) == (2, "Cảnh báo lũ")
        with pytest.raises(ConflictError) as old:
            await templates.activate(ADMIN, hall.template.id, 1)
        assert old.value.code == "changed_since"
        active = await templates.activate(ADMIN, hall.template.id, 2)
        assert active.ready is not None
        assert active.ready.spec.title == "Lũ lớn"
        await templates.retire(ADMIN, hall.template.id)
        with pytest.raises(ConflictError):
            hall.desk.review(hall.lan, hall.draft())
    async with open_hall(tmp_path, furnish=False) as restarted:
        assert restarted.stage.air.alarms.book.entries[active.id].state == "retired"

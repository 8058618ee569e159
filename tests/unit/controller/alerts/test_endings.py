"""How alerts end: who heard that it is over, and a live voice's alert that ends with the voice."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.api.alert_shapes import Boards, alert_view
from controller.services.alerts.board import unaware
from controller.services.alerts.call_sheet import as_text, make_sheet
from controller.services.alerts.model import STOP, AlertKind, AlertState, Category
from controller.services.context import SYSTEM
from controller.services.errors import ConflictError
from controller.services.live import LiveState
from protocol.messages import ProgressStage
from tests.unit.controller.air_kit import ADMIN, until
from tests.unit.controller.alerts.siren_hall import open_hall
from tests.unit.controller.alerts.test_desk import audit_actions, heard_live


async def test_after_a_cancel_the_board_says_who_heard_that_it_is_over(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        composed = await hall.armed()
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        play = hall.sent()[-1]
        warned, told, asleep = hall.clusters
        for cluster in (warned, told):
            hall.tells(cluster, (play.term, play.seq), ProgressStage.STARTED, rule_id=given.rules[0], start_error_us=9)
        board = hall.desk.board(given.id)
        assert board is not None
        assert hall.desk.farewell(given) is None
        over = await hall.desk.cancel(hall.lan, given.id)
        end = hall.desk.farewell(over)
        assert end is not None
        assert over.farewell is not None
        assert over.farewell.words == "Đã hủy"
        twin = hall.sent()[-1]
        number = (twin.term, twin.seq)
        hall.tells(told, number, ProgressStage.STARTED, rule_id=over.farewell.rule, start_error_us=9)
        assert end.sounded() == 1
        assert unaware(board, end) == {warned}  # who never heard the alert needs no end of it
        hall.stage.clock.advance(seconds=20)
        assert {row.cluster_id for row in end.red(hall.stage.clock.now())} == {warned, asleep}
        sheet = as_text(make_sheet(over, [row for row in end.rows() if row.cluster_id == warned],
                                   hall.stage.base.directory, hall.stage.clock.now()))  # fmt: skip
        assert "ĐÃ KẾT THÚC: Cảnh báo lũ" in sheet
        assert "Nội dung cần báo: Đã hủy" in sheet
        view = alert_view(over, Boards(board, end), hall.stage.base.directory, None, hall.stage.clock.now())
        assert view.sounded == 2  # that it was cancelled does not make it unheard
        assert view.farewell is not None
        assert (view.farewell.clusters, view.farewell.sounded, view.farewell.unaware) == (3, 1, 1)
        hall.stage.clock.advance(hours=2)
        await hall.stage.air.alarms.tender.tick()
        assert (end.closed, end.counts()["missed"]) == (True, 2)


async def test_the_all_clear_has_a_title_of_its_own_and_is_followed_too(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        composed = await hall.armed()
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        with pytest.raises(ConflictError) as refused:
            await hall.desk.cancel(hall.lan, given.id, all_clear=True)
        assert refused.value.code == "no_all_clear"
        await hall.flood(category=Category.ALL_CLEAR, title="Báo an toàn")
        over = await hall.desk.cancel(hall.lan, given.id, all_clear=True)
        assert hall.plays()[-1].item.title == "Báo an toàn: Cảnh báo lũ"
        assert over.state is AlertState.CLEARED
        assert over.farewell is not None
        assert over.farewell.words == "Lũ đang về, bà con lên chỗ cao"  # what the template of the all-clear says here


@pytest.mark.parametrize(
    ("code", "state", "by", "reason"),
    [
        ("ended_by_speaker", AlertState.EXPIRED, "lan", "ended_by_speaker"),
        ("time_is_up", AlertState.EXPIRED, SYSTEM.name, "time_is_up"),
        ("stopped", AlertState.CANCELLED, SYSTEM.name, STOP),
    ],
)
async def test_a_voice_that_is_over_ends_its_alert(
    tmp_path: Path, code: str, state: AlertState, by: str, reason: str
) -> None:
    async with open_hall(tmp_path) as hall:
        composed = await hall.armed(kind=AlertKind.VOICE, template=None, title="Vỡ đập")
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        (session,) = hall.stage.air.live.sessions(ADMIN)
        await heard_live(hall, given.id, session)
        session.stop(code)
        await until(lambda: session.state is LiveState.ENDED)
        await hall.stage.air.alarms.tender.tick()
        over, board = hall.desk.get(hall.lan, given.id), hall.desk.board(given.id)
        assert over.ended is not None
        assert (over.state, over.ended.by.name, over.ended.reason) == (state, by, reason)
        assert board is not None
        assert board.closed
        await hall.drained()
        assert ("alert.stop" if code == "stopped" else "alert.expire") in await audit_actions(hall)


async def test_a_voice_nobody_spoke_in_is_an_alert_nobody_heard(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        composed = await hall.armed(kind=AlertKind.VOICE, template=None, title="Vỡ đập")
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        (session,) = hall.stage.air.live.sessions(ADMIN)
        session.stop("nobody_spoke")
        await until(lambda: session.state is LiveState.ENDED)
        await hall.stage.air.alarms.tender.tick()
        over = hall.desk.get(hall.lan, given.id)
        assert over.state is AlertState.MISSED


async def test_after_a_restart_the_end_is_still_followed_and_a_voice_is_over(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        composed = await hall.armed()
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        over = await hall.desk.cancel(hall.lan, given.id)
        assert over.farewell is not None
        twin = hall.sent()[-1]
        hall.tells(hall.clusters[0], (twin.term, twin.seq), ProgressStage.STARTED, rule_id=over.farewell.rule)
        composed = await hall.armed(kind=AlertKind.VOICE, template=None, title="Vỡ đập")
        voice = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        await hall.drained()
    async with open_hall(tmp_path, furnish=False) as restarted:
        end = restarted.desk.farewell(restarted.desk.get(ADMIN, given.id))
        assert end is not None
        assert end.sounded() == 1
        await restarted.stage.air.alarms.tender.tick()
        ended = restarted.desk.get(ADMIN, voice.id).ended
        assert ended is not None
        assert ended.reason == "restarted"

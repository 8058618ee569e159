"""What warnings need of the alert desk holds for the real one and for the fake that their tests use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from controller.services.alerts import AlertDraft, AlertKind, AlertState, Origin, Where
from controller.services.context import SYSTEM
from controller.services.errors import NotFoundError
from controller.services.orders import Scope
from controller.services.warnings import Alerts
from tests.unit.controller.alerts.siren_hall import open_hall
from tests.unit.controller.warnings.warning_kit import open_world


@dataclass(frozen=True, slots=True)
class Side:
    """A desk, and a draft that it takes."""

    desk: Alerts
    draft: AlertDraft


@asynccontextmanager
async def real(folder: Path) -> AsyncIterator[Side]:
    async with open_hall(folder) as hall:
        yield Side(hall.desk, hall.draft())


@asynccontextmanager
async def fake(folder: Path) -> AsyncIterator[Side]:
    async with open_world(folder) as world:
        where = Where(Scope(areas=(world.district,)))
        yield Side(world.alerts, AlertDraft(where=where, kind=AlertKind.TEMPLATE, template="tp_1", title="Lũ"))


@pytest.fixture(params=[real, fake], ids=["real", "fake"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    async with request.param(tmp_path) as opened:
        yield opened


def from_warning(draft: AlertDraft, kind: str) -> AlertDraft:
    return replace(draft, origin=Origin(kind, "wa_1", "KTTV"))


async def test_a_composed_alert_waits_and_keeps_where_it_came_from(side: Side) -> None:
    composed = await side.desk.compose(SYSTEM, from_warning(side.draft, "cap"))
    alert = side.desk.get(SYSTEM, composed.alert.id)
    assert composed.code
    assert alert.state.waiting
    assert (alert.given, alert.draft.origin.reference) == (None, "wa_1")
    assert side.desk.alerts(SYSTEM)[0].id == alert.id


async def test_an_automatic_alert_is_given_at_once(side: Side) -> None:
    alert = await side.desk.issue_automatic(from_warning(side.draft, "policy"), "KTTV / lũ")
    kept = side.desk.get(SYSTEM, alert.id)
    assert kept.state.given
    assert kept.given is not None
    assert kept.clusters
    assert (kept.draft.origin.kind, kept.draft.origin.reference) == ("policy", "wa_1")


async def test_cancelling_ends_what_waits_and_what_sounds(side: Side) -> None:
    waiting = (await side.desk.compose(SYSTEM, side.draft)).alert.id
    assert (await side.desk.cancel(SYSTEM, waiting, reason="rút")).state is AlertState.CANCELLED
    sounding = (await side.desk.issue_automatic(side.draft, "x")).id
    ended = await side.desk.cancel(SYSTEM, sounding, reason="rút", idempotency_key="k")
    assert ended.state is AlertState.CANCELLED
    assert side.desk.get(SYSTEM, sounding).ended is not None


async def test_what_is_not_there_is_said(side: Side) -> None:
    with pytest.raises(NotFoundError):
        side.desk.get(SYSTEM, "al_nowhere")

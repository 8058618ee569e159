"""Recordings of what went on air: the packets themselves, in air time; crashes, full disks, busy databases, age."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio import ogg
from audio.codec import OggOpusReader, OpusEncoder
from controller.services import tapes as tapes_module
from controller.services.chunks import PACKET_US, Chunk
from controller.services.context import Actor, Role, RoleGrant
from controller.services.errors import ForbiddenError, NotFoundError
from controller.services.tapes import TapeLabel, Tapes
from controller.store import StoreBusyError
from schedules.instants import MediaUs
from tests.unit.controller.air_kit import ADMIN, Stage, open_stage

SECOND = 1_000_000


def packets(seconds: float) -> tuple[bytes, ...]:
    encoder = OpusEncoder()
    t = np.arange(960) / 48_000
    tone = (0.3 * np.sin(2 * np.pi * 500 * t)).astype(np.float32)
    return tuple(encoder.encode(tone) for _ in range(round(seconds * 50)))


def label(*clusters: str, kind: str = "live") -> TapeLabel:
    return TapeLabel(kind, "Thông báo", 50, frozenset(clusters), "lv_one", "us_admin admin")


@asynccontextmanager
async def recorder(folder: Path, **more: Any) -> AsyncIterator[tuple[Stage, Tapes, str]]:
    async with open_stage(folder, tasks=False) as stage:
        cluster = await stage.cluster(await stage.area(), "A")
        said: dict[str, Any] = {"reserve": 0, "days": 30, "most": 1 << 30}
        made = Tapes(
            folder=folder / "air",
            db=stage.base.db,
            directory=stage.base.directory,
            clock=stage.clock,
            **(said | more),
        )
        yield stage, made, cluster


async def test_the_file_is_air_time_silences_included(tmp_path: Path) -> None:
    async with recorder(tmp_path) as (_, tapes, cluster):
        tape = tapes.begin(label(cluster))
        tape.write(Chunk(MediaUs(0), packets(1.0), discontinuity=True))
        await tapes.flush()
        row, path = await tapes.get(ADMIN, tape.id)
        assert row.state == "recording"
        tape.write(Chunk(MediaUs(3 * SECOND), packets(1.0), discontinuity=True))
        tape.close()
        tape.close()
        tape.write(Chunk(MediaUs(4 * SECOND), packets(1.0), discontinuity=False))
        await tapes.flush()
        row, path = await tapes.get(ADMIN, tape.id)
        assert (row.state, row.frames, row.bytes) == ("whole", 4 * 48_000, path.stat().st_size)
        assert oct(path.stat().st_mode & 0o777) == "0o600"
        with OggOpusReader(path) as reader:
            sound = reader.read(0, reader.frames)
        loud = [float(np.sqrt(np.mean(sound[at : at + 40_000] ** 2))) > 0.1 for at in range(4_000, 190_000, 48_000)]
        assert loud == [True, False, False, True]


async def test_nothing_sent_leaves_nothing(tmp_path: Path) -> None:
    async with recorder(tmp_path) as (_, tapes, cluster):
        tape = tapes.begin(label(cluster))
        tape.close()
        await tapes.flush()
        assert tapes._tapes == {}
        with pytest.raises(NotFoundError):
            await tapes.get(ADMIN, tape.id)


async def test_a_crash_leaves_a_file_that_plays_and_is_closed_at_the_next_start(tmp_path: Path) -> None:
    async with recorder(tmp_path) as (stage, tapes, cluster):
        tape = tapes.begin(label(cluster, kind="relay"))
        tape.write(Chunk(MediaUs(0), packets(3.0), discontinuity=True))
        await tapes.flush()
        again = Tapes(
            folder=tapes.folder,
            db=stage.base.db,
            directory=stage.base.directory,
            clock=stage.clock,
            reserve=0,
            days=30,
            most=1 << 30,
        )
        await again._find_cut_off()
        row, path = await again.get(ADMIN, tape.id)
        assert (row.state, row.frames) == ("cut_off", 2 * 48_000)  # the third second waited for its page
        assert row.ended_at == row.started_at + timedelta(seconds=2)
        with path.open("rb") as file:
            assert sum(1 for _ in ogg.scan(file)) == 4


async def test_a_recorder_that_begins_again_goes_on_with_what_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with recorder(tmp_path) as (_, tapes, cluster):
        tape = tapes.begin(label(cluster, kind="relay"))
        tape.write(Chunk(MediaUs(0), packets(2.0), discontinuity=True))
        await tapes.flush()

        async def broken() -> None:
            raise RuntimeError("a fault of ours")

        monkeypatch.setattr(tapes, "sweep", broken)
        with pytest.raises(RuntimeError, match="a fault of ours"):
            await tapes.run()
        await tapes._find_cut_off()
        assert (await tapes.get(ADMIN, tape.id))[0].state == "recording"
        tape.write(Chunk(MediaUs(2 * SECOND), packets(2.0), discontinuity=False))
        tape.close()
        await tapes.flush()
        row, _path = await tapes.get(ADMIN, tape.id)
        assert (row.state, row.frames) == ("whole", 4 * 48_000)


async def test_a_full_disk_is_told_and_the_tape_says_that_it_is_not_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with recorder(tmp_path) as (_, tapes, cluster):
        tape = tapes.begin(label(cluster))
        monkeypatch.setattr(tapes, "_reserve", 1 << 60)
        tape.write(Chunk(MediaUs(0), packets(2.0), discontinuity=True))
        await tapes.flush()
        assert "cannot be recorded" in (tapes.fault or "")
        monkeypatch.setattr(tapes, "_reserve", 0)
        tape.write(Chunk(MediaUs(2 * SECOND), packets(2.0), discontinuity=False))
        tape.close()
        await tapes.flush()
        assert tapes.fault is None
        row, _ = await tapes.get(ADMIN, tape.id)
        assert row.state == "cut_off"


async def test_what_waits_is_bounded_and_a_busy_database_only_delays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with recorder(tmp_path) as (stage, tapes, cluster):
        monkeypatch.setattr(tapes_module, "WAITING", 10_000)
        tape = tapes.begin(label(cluster))
        for number in range(20):
            tape.write(Chunk(MediaUs(number * 50 * PACKET_US), packets(1.0), discontinuity=False))
        assert len(tape._waiting) <= 10_000
        assert tape.lost > 0
        real = stage.base.db.transaction

        def busy(*_: object) -> None:
            raise StoreBusyError("locked")

        monkeypatch.setattr(stage.base.db, "transaction", busy)
        tape.close()
        await tapes.flush()
        assert tape.id in tapes._tapes
        monkeypatch.setattr(stage.base.db, "transaction", real)
        await tapes.flush()
        row, _ = await tapes.get(ADMIN, tape.id)
        assert (row.state, tapes._tapes) == ("cut_off", {})


async def test_the_old_and_the_too_many_go(tmp_path: Path) -> None:
    async with recorder(tmp_path, most=12_000) as (stage, tapes, cluster):
        kept = []
        for _ in range(3):
            tape = tapes.begin(label(cluster))
            tape.write(Chunk(MediaUs(0), packets(1.0), discontinuity=True))
            tape.close()
            await tapes.flush()
            kept.append(tape.id)
            stage.clock.advance(days=1)
        sizes = [row.bytes for row in await tapes.listed(ADMIN)]
        assert sum(sizes) > 12_000 > sum(sizes[:2])
        await tapes.sweep()
        assert [row.id for row in await tapes.listed(ADMIN)] == kept[:0:-1]
        stage.clock.advance(days=40)
        await tapes.sweep()
        assert await tapes.listed(ADMIN) == []
        assert list((tmp_path / "air").rglob("*.opus")) == []


async def test_who_may_hear_it(tmp_path: Path) -> None:
    async with recorder(tmp_path) as (stage, tapes, cluster):
        tape = tapes.begin(label(cluster))
        tape.write(Chunk(MediaUs(0), packets(0.2), discontinuity=True))
        tape.close()
        await tapes.flush()
        area = stage.base.directory.clusters[cluster].area_id
        near = Actor("us_a", "a", (RoleGrant(Role.OPERATOR, area),))
        far = Actor("us_b", "b", (RoleGrant(Role.OPERATOR, await stage.area("Đakrông")),))
        assert [row.id for row in await tapes.listed(near)] == [tape.id]
        assert await tapes.listed(far) == []
        with pytest.raises(ForbiddenError):
            await tapes.get(far, tape.id)

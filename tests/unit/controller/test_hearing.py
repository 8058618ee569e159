"""Forced listening: what a server can know of it, and that browsers are held to it while programs vouch."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controller.services.errors import ConflictError
from controller.services.hearing import MOST, PARTS, Hearings
from schedules.instants import MonoUs
from tests.unit.controller.air_kit import ADMIN, open_stage
from tests.unit.controller.browser import Browser, open_browser
from tests.unit.controller.staff import PASSWORD, open_staff
from tests.unit.controller.test_air_api import settled, upload, voice

_ALL = slice(None)


def s(seconds: float) -> MonoUs:
    return MonoUs(round(seconds * 1_000_000))


def test_every_byte_and_the_time_it_takes() -> None:
    known = Hearings()
    known.fetched("lan", "aa", slice(0, 400), 1000, s(5))
    known.fetched("lan", "aa", slice(600, None), 1000, s(6))
    assert not known.heard("lan", "aa", 1000, 60, s(500))  # the middle was jumped over
    known.fetched("lan", "aa", slice(-700, None), 1000, s(7))
    assert not known.heard("lan", "aa", 1000, 60, s(5 + 39.5))  # 59.4 s at one and a half times the speed: 39.6 s
    assert known.heard("lan", "aa", 1000, 60, s(5 + 39.7))
    assert not known.heard("hung", "aa", 1000, 60, s(500))
    assert not known.heard("lan", "bb", 1000, 60, s(500))


@pytest.mark.parametrize("part", [slice(0, 0), slice(1000, None), slice(5, 2)])
def test_no_bytes_are_no_hearing(part: slice) -> None:
    known = Hearings()
    known.fetched("lan", "aa", part, 1000, s(0))
    assert not known.heard("lan", "aa", 1000, 1, s(500))


def test_a_flood_of_pieces_or_of_sounds_is_bounded() -> None:
    known = Hearings()
    for at in range(0, 4 * PARTS, 2):
        known.fetched("lan", "aa", slice(at, at + 1), 4 * PARTS, s(0))
    assert not known.heard("lan", "aa", 4 * PARTS, 1, s(500))
    known.fetched("lan", "aa", _ALL, 4 * PARTS, s(0))  # whole all the same
    assert known.heard("lan", "aa", 4 * PARTS, 1, s(500))
    for number in range(MOST):
        known.fetched("lan", f"other-{number}", _ALL, 10, s(0))
    assert not known.heard("lan", "aa", 4 * PARTS, 1, s(500))
    assert known.heard("lan", f"other-{MOST - 1}", 10, 1, s(500))


async def test_an_approval_held_to_it_waits_until_it_was_heard(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        recordings = stage.air.recordings
        entry = await stage.recording(await stage.area(), b"hello", approved=False)
        assert entry.sha256 is not None
        for part in (slice(0, 0), slice(0, 2), _ALL):
            await recordings.sound(ADMIN, entry.id, part=part)
            with pytest.raises(ConflictError) as caught:
                await recordings.decide(ADMIN, entry.id, entry.sha256, approved=True, must_have_heard=True)
            assert caught.value.code == "not_heard"
        assert entry.frames == 5 * 48_000
        stage.clock.advance(seconds=3.2)
        decided = await recordings.decide(ADMIN, entry.id, entry.sha256, approved=True, must_have_heard=True)
        assert decided.approval is not None


@pytest.mark.slow
async def test_a_browser_is_held_to_it_and_a_program_vouches(tmp_path: Path) -> None:
    async with open_staff(tmp_path / "data", disk_reserve_mib=0) as staff:
        area = await staff.made("/api/v1/areas", {"name": "Tà Rụt", "kind": "xã"})
        await staff.made("/api/v1/users", {"name": "duyet", "password": PASSWORD, "grants": [{"role": "approver"}]})
        data = voice(tmp_path / "voice.wav").read_bytes()
        status, made = await upload(staff, {"area_id": area, "title": "Bản tin"}, data)
        assert status == 201
        sha256 = (await settled(staff, made["id"]))["sha256"]
        one = f"/api/v1/recordings/{made['id']}"
        verdict = {"sha256": sha256, "decision": "approved"}
        async with open_browser(staff) as browser:
            await browser.sign_in("duyet", PASSWORD)
            status, refused = await browser.call("POST", f"{one}/decision", verdict)
            assert (status, refused["code"]) == (409, "not_heard")
            back = {"sha256": sha256, "decision": "rejected", "reason": "nói nhỏ quá"}
            assert (await browser.call("POST", f"{one}/decision", back))[0] == 200  # who returns it may have stopped
            assert await caching(browser, f"{one}/sound") == "no-store"
            async with asyncio.timeout(10):
                while True:
                    status, refused = await browser.call("POST", f"{one}/decision", verdict)
                    if status == 200:
                        break
                    assert refused["code"] == "not_heard"
                    await asyncio.sleep(0.05)
        assert (await staff.call("POST", f"{one}/decision", verdict))[0] == 200
        _, log = await staff.call("GET", "/api/v1/audit?limit=50")
        heard = [entry["details"].get("heard") for entry in log["items"] if entry["action"] == "recording.approve"]
        assert sorted(heard) == [False, True]


async def caching(browser: Browser, path: str) -> str:
    async with browser.http.get(browser.url + path, headers={"Cookie": browser.cookie_header}) as answer:
        assert answer.status == 200
        await answer.read()
        return answer.headers["Cache-Control"]

"""A box is replaced, a cluster is held silent and let go, tests itself, and is heard from the desk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from audio.pcm import Samples, write_wav
from tests.browser.conftest import Come
from tests.browser.people import LOUDEST
from tests.browser.village import Village
from tests.system.boxes import RATE, Box, provision, tone_part
from tests.system.processes import BIN, run, wait_until

HERTZ = 620


@dataclass(frozen=True, slots=True)
class Hamlet:
    """A cluster of its own with a real box that writes what it sounds."""

    cluster: str
    box: Box


@pytest.fixture
def hamlet(village: Village, tmp_path: Path) -> Iterator[Hamlet]:
    with ExitStack() as stack:
        cluster = village.spare("A Vao", "Thôn Kỳ Neh", stack)
        (card,) = provision(village.desk, [cluster], tmp_path / "cards")
        box = stack.enter_context(Box(tmp_path, "old"))
        box.start("--provisioning", card)
        wait_until(lambda: list(_boxes(village, cluster).values()) == [True], 20, "the box is online")
        yield Hamlet(cluster, box)
        with village.desk.api() as api:
            for agent in _boxes(village, cluster):
                api.post(f"/api/v1/agents/{agent}/revoke")


def _boxes(village: Village, cluster: str) -> dict[str, bool]:
    """The boxes of a cluster, and whether each is online."""
    with village.desk.api() as api:
        agents = api.get("/api/v1/agents")["items"]
    return {one["id"]: one["online"] for one in agents if one["cluster_id"] == cluster and one["state"] == "approved"}


def _tone(folder: Path, seconds: float) -> Path:
    t = np.arange(round(seconds * RATE)) / RATE
    write_wav(folder / "tone.wav", np.asarray(0.3 * np.sin(2 * np.pi * HERTZ * t), np.float32))
    return folder / "tone.wav"


def _heard(box: Box) -> bool:
    """A second of the tone, between the chimes."""
    samples, _ = box.ear.sound()
    blocks = samples[: len(samples) // 960 * 960].reshape(-1, 960)
    loud: Samples = blocks[np.sqrt(np.mean(blocks**2, axis=1)) > 0.02].reshape(-1)
    return any(tone_part(loud[at : at + RATE], HERTZ) > 0.9 for at in range(0, len(loud) - RATE, RATE // 4))


def test_a_new_box_takes_the_place_of_an_old_one(come: Come, village: Village, hamlet: Hamlet, tmp_path: Path) -> None:
    (old,) = _boxes(village, hamlet.cluster)
    recording = village.desk.recording(village.communes["A Vao"], _tone(tmp_path, 3), "Tiếng thử")
    person = come("kythuat")
    page = person.go(f"cluster/{hamlet.cluster}?part=boxes")
    page.get_by_role("link", name="Thay thiết bị").click()
    steps = page.get_by_role("listitem")
    expect(steps.filter(has_text="Cắm điện và mạng")).to_have_attribute("aria-current", "step")
    with Box(tmp_path, "new").start("--controller", village.desk.agent_url) as box:
        digits = box.wait(lambda said: said.get("digits"), 20, "shows its digits")["digits"].replace(" ", "")
        page.get_by_role("button", name="Nhận thiết bị").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_label("Cho cụm loa")).to_have_value(hamlet.cluster)
        dialog.get_by_label("Tám chữ số").fill(digits)
        person.shot("replace-compare")
        dialog.get_by_role("button", name="Nhận thiết bị").click()
        assert run([BIN / "loa-agent", "confirm", digits, "--data", box.data]).returncode == 0
        page.get_by_role("button", name="Thu hồi thiết bị cũ ngay").click()
        expect(page.get_by_text("Việc thay thiết bị đã xong.")).to_be_visible()
        wait_until(lambda: list(_boxes(village, hamlet.cluster).values()) == [True], 20, "the new box is online")
        assert old not in _boxes(village, hamlet.cluster)
        expect(page.get_by_role("button", name="Thu hồi")).to_have_count(1)
        person.shot("replace-done")
        assert person.barriers() == []

        with village.desk.api() as api:
            assert api.get(f"/api/v1/agents/{old}")["state"] == "revoked"
            api.post("/api/v1/orders/play", {"recordings": [recording], "clusters": [hamlet.cluster], "title": "Thử"})
        wait_until(lambda: _heard(box), 15, "the new box speaks for the cluster")
        assert not _heard(hamlet.box), "the old key is worth nothing any more"


def test_a_cluster_is_held_silent_and_let_go(come: Come, village: Village) -> None:
    cluster = village.clusters["A Vao 2"]
    person = come("truc1")
    page = person.go(f"cluster/{cluster}")
    page.get_by_label("Giữ im lặng trong").select_option("600")
    page.get_by_role("button", name="Giữ im lặng", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("KỂ CẢ CẢNH BÁO KHẨN CẤP")
    person.shot("cluster-hold")
    assert person.barriers() == []
    dialog.get_by_role("button", name="Giữ im lặng").click()
    expect(page.get_by_text("Bị giữ im lặng theo lệnh DỪNG").first).to_be_visible()
    person.shot("cluster-held")
    page.get_by_role("button", name="Cho phát lại").click()
    page.get_by_role("dialog").get_by_role("button", name="Cho phát lại").click()
    expect(page.get_by_role("button", name="Giữ im lặng", exact=True)).to_be_visible()
    expect(page.get_by_text("Bị giữ im lặng theo lệnh DỪNG")).to_have_count(0)


def test_a_cluster_tests_itself(come: Come, village: Village) -> None:
    person = come("truc1")
    page = person.go(f"cluster/{village.clusters['A Vao 1']}")
    page.get_by_role("button", name="Tự kiểm tra (không ra tiếng)").click()
    expect(page.get_by_text("Đạt", exact=True)).to_be_visible(timeout=20_000)  # told on the spot
    person.shot("cluster-tested")


def test_a_cluster_is_heard_from_the_desk(come: Come, village: Village, hamlet: Hamlet, tmp_path: Path) -> None:
    recording = village.desk.recording(village.communes["A Vao"], _tone(tmp_path, 8), "Tiếng dài")
    person = come("kythuat")
    person.page.add_init_script(LOUDEST)
    page = person.go(f"cluster/{hamlet.cluster}")
    page.get_by_role("button", name="Nghe thử Thôn Kỳ Neh").click()
    expect(page.get_by_text("Đang nghe trực tiếp")).to_be_visible()
    with village.desk.api() as api:
        api.post("/api/v1/orders/play", {"recordings": [recording], "clusters": [hamlet.cluster], "title": "Tiếng dài"})
    wait_until(lambda: page.evaluate("window.loudest") > 0.05, 10, "the hamlet is heard")
    expect(page.get_by_text(re.compile("Tiếng dài")).first).to_be_visible()
    person.shot("cluster-heard")
    assert person.barriers() == []
    page.get_by_role("button", name="Thôi nghe").click()
    expect(page.get_by_role("button", name="Nghe thử Thôn Kỳ Neh")).to_be_visible()

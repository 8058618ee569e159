"""Listening in: a tone at a village's loudspeaker, heard at the desk; real processes, real Ogg."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from audio.codec import SoundSource
from audio.pcm import Samples, write_wav
from tests.system.boxes import Box, no_traceback, online, provision, tone_part
from tests.system.desk import Desk, rows
from tests.system.icecast import Icecast
from tests.system.processes import BIN, wait_until

pytestmark = [pytest.mark.system, pytest.mark.slow]

HERTZ = 880
SECONDS = 30


@dataclass
class Village:
    desk: Desk
    clusters: list[str]
    boxes: list[Box]
    recording: str


@pytest.fixture(scope="module")
def village(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Village]:
    """Two clusters: one with a box of its own, one whose box pays for its data."""
    folder = tmp_path_factory.mktemp("v")
    tone = (0.3 * np.sin(2 * np.pi * HERTZ * np.arange(SECONDS * 48_000) / 48_000)).astype(np.float32)
    write_wav(folder / "tone.wav", tone)
    boxes = [Box(folder, "box0", wav=False), Box(folder, "box1", wav=False)]
    with Desk(folder) as desk:
        try:
            area = desk.area()
            clusters = [desk.cluster(area, name) for name in ("Tà Rụt 1", "Tà Rụt 2")]
            first, second = provision(desk, clusters, folder / "cards")
            boxes[0].start("--provisioning", first)
            boxes[1].start("--provisioning", second, "--metered")
            recording = desk.recording(area, folder / "tone.wav", "Tone")
            online(desk, 2)
            yield Village(desk, clusters, boxes, recording)
        finally:
            for box in boxes:
                box.close()


def play(village: Village) -> None:
    with village.desk.api() as api:
        body = {"everywhere": True, "recordings": [village.recording], "chime_before": None, "again": True}
        api.post("/api/v1/orders/play", body)


def listen(village: Village, *words: str, file: Path | None = None) -> subprocess.Popen[bytes]:
    target = ["-o", str(file)] if file is not None else []
    return subprocess.Popen(
        [str(BIN / "loa-controller"), "listen", *words, *target],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "HOME": str(village.desk.folder), **village.desk.cli_env},
    )


def decoded(data: bytes) -> Samples:
    """As any player does it."""
    with SoundSource(BytesIO(data)) as source:
        return np.concatenate([block.planes[0] for block in source.blocks()])


def test_a_tone_at_the_loudspeaker_is_heard_at_the_desk(village: Village, tmp_path: Path) -> None:
    play(village)
    village.boxes[0].wait(lambda said: said["status"].get("sounding"), 20, "sounds")
    file = tmp_path / "heard.ogg"
    to_file = listen(village, "Tà Rụt 1", "--seconds", "6", file=file)
    to_pipe = listen(village, "Tà Rụt 1", "--seconds", "4")
    piped, _ = to_pipe.communicate(timeout=40)
    _, said = to_file.communicate(timeout=40)
    assert to_file.returncode == 0, said.decode()
    for data in (file.read_bytes(), piped):
        sound = decoded(data)
        assert len(sound) > 2.5 * 48_000
        middle = sound[24_000:-9_600]
        assert tone_part(middle, HERTZ) > 0.9
        assert 0.03 < float(np.sqrt(np.mean(middle**2))) < 0.4
    audited = rows(village.desk, "SELECT action, subject FROM audit WHERE action = 'listen.cluster'")
    assert audited == [("listen.cluster", village.clusters[0])] * 2
    wait_until(lambda: no_more_frames(village), 10, "nobody listens any more, and the agent sends nothing")
    with village.desk.api() as api:
        api.post("/api/v1/orders/stop", {"everywhere": True})
    village.boxes[0].wait(lambda said: not said["status"].get("sounding"), 10, "is silent")
    time.sleep(0.5)  # what its output still held
    no_traceback(village.boxes[0].said())


def frames(village: Village) -> float:
    """Tap frames that the controller got, by its own count."""
    with village.desk.api() as api:
        text = api.download("/metrics").decode()
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith("loa_gateway_tap_frames_total")))


def no_more_frames(village: Village) -> bool:
    before = frames(village)
    time.sleep(1.2)
    return before > 0 and frames(village) == before


def test_silence_is_silence_and_a_browser_needs_a_ticket(village: Village) -> None:
    with village.desk.api() as api:
        made = api.post("/api/v1/listening", {"cluster_id": village.clusters[0]})
    url = village.desk.url + made["url"]
    with urllib.request.urlopen(url, timeout=20) as response:
        assert response.headers["Content-Type"] == "audio/ogg"
        data = b""
        while len(data) < 900:
            data += response.read1(4096)
    assert data.startswith(b"OggS")
    assert float(np.abs(decoded(data)).max()) < 0.001
    with pytest.raises(urllib.error.HTTPError) as used:
        urllib.request.urlopen(url, timeout=20)
    assert used.value.code == 404
    assert json.loads(used.value.read())["code"] == "bad_ticket"


def test_a_metered_link_is_refused_with_its_price_unless_somebody_pays(village: Village) -> None:
    refused = listen(village, "Tà Rụt 2", "--seconds", "1")
    out, said = refused.communicate(timeout=40)
    assert (refused.returncode, out) == (1, b"")
    assert "0.15 MB a minute" in said.decode()
    paid = listen(village, "Tà Rụt 2", "--seconds", "1.5", "--anyway")
    out, said = paid.communicate(timeout=40)
    assert paid.returncode == 0, said.decode()
    assert out.startswith(b"OggS")


def test_what_a_source_sends_is_heard_though_nobody_relays_it(village: Village, tmp_path: Path) -> None:
    with Icecast(tmp_path, "mp3", 660) as station:
        with village.desk.api() as api:
            area = api.get(f"/api/v1/clusters/{village.clusters[0]}")["area_id"]
            api.post("/api/v1/sources", {"area_id": area, "title": "VOV1", "url": station.url})
        heard = listen(village, "--source", "VOV1", "--seconds", "5")
        out, said = heard.communicate(timeout=40)
        assert heard.returncode == 0, said.decode()
        sound = decoded(out)
        assert tone_part(sound[48_000:-9_600], 660) > 0.8

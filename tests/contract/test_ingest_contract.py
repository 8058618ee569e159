"""What the intake relies on, held by the real ingestor and by the fake of the tests alike."""

from __future__ import annotations

import hashlib
import wave
from pathlib import Path

import pytest

from audio.ingest import Ingestor, RefusedError
from controller.services.intake import Ingests
from tests.unit.controller.air_kit import FakeIngestor


@pytest.fixture(params=["real", "fake"])
async def ingestor(request: pytest.FixtureRequest, tmp_path: Path) -> Ingests:
    return Ingestor(work_dir=tmp_path / "work") if request.param == "real" else FakeIngestor()


def sound(folder: Path) -> Path:
    path = folder / "sound"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", ""))
        file.writeframes(bytes(range(256)) * 20)
    return path


async def test_a_sound_becomes_a_file_that_is_named_by_its_hash(ingestor: Ingests, tmp_path: Path) -> None:
    told: list[float] = []
    made = await ingestor.ingest(sound(tmp_path), tmp_path / "made", on_progress=told.append)
    data = made.path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == made.sha256
    assert made.bytes == len(data)
    assert made.path.parent == tmp_path / "made"
    assert made.frames > 0
    assert made.report.ok
    assert all(0 <= share <= 1 for share in told)


async def test_what_is_no_sound_is_refused_with_a_report(ingestor: Ingests, tmp_path: Path) -> None:
    path = tmp_path / "page"
    path.write_bytes(b"BAD <html>" * 100)
    with pytest.raises(RefusedError) as caught:
        await ingestor.ingest(path, tmp_path / "made")
    assert caught.value.code == caught.value.report.code
    assert not caught.value.report.ok
    assert caught.value.report.reason
    assert list((tmp_path / "made").glob("*")) == []

"""Ingest: what files become, and what hostile ones cannot do."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio.codec import LoudnessMeter, OggOpusReader, encode_mp3
from audio.ingest import IngestLimits, Ingestor, MediaReport, RefusedError
from audio.pcm import silence
from tests.unit.audio.sounds import babble, noise, tone, wav

CORPUS = Path(__file__).parents[3] / "../shared/corpus"


async def _check(path: Path, **limits: Any) -> MediaReport:
    return await Ingestor(replace(IngestLimits(), **limits)).check(path)


async def test_a_recording_becomes_a_programme(tmp_path: Path) -> None:
    source = wav(tmp_path / "bản tin.wav", babble(6.0, 0.05))
    heard: list[float] = []
    done = await Ingestor(work_dir=tmp_path / "work").ingest(source, tmp_path / "media", on_progress=heard.append)
    assert done.path == tmp_path / "media" / f"{done.sha256}.opus"
    assert hashlib.sha256(done.path.read_bytes()).hexdigest() == done.sha256
    assert done.bytes == done.path.stat().st_size
    assert done.frames == 288_000
    meter = LoudnessMeter()
    with OggOpusReader(done.path) as reader:
        assert reader.frames == done.frames
        meter.push(reader.read(0, done.frames))
    sounded = meter.result()
    assert sounded.integrated is not None
    assert sounded.true_peak is not None
    assert sounded.integrated == pytest.approx(-16.0, abs=0.5)
    assert sounded.true_peak <= -1.0
    assert done.report.lufs_out == pytest.approx(sounded.integrated, abs=0.1)
    assert done.report.true_peak_out == pytest.approx(sounded.true_peak, abs=0.1)
    assert done.report.duration_s == pytest.approx(6.0)
    assert heard
    assert all(0.0 <= part <= 1.0 for part in heard)
    assert list((tmp_path / "work").iterdir()) == []


async def test_the_same_file_again_is_the_same_programme(tmp_path: Path) -> None:
    source = wav(tmp_path / "a.wav", noise(1.0))
    ingestor = Ingestor()
    first = await ingestor.ingest(source, tmp_path / "media")
    second = await ingestor.ingest(source, tmp_path / "media")
    assert first == second
    assert [entry.name for entry in (tmp_path / "media").iterdir()] == [f"{first.sha256}.opus"]


@pytest.mark.parametrize("level", [0.006, 0.05, 0.9])
@pytest.mark.parametrize("kind", ["noise", "babble"])
async def test_loudness_and_peak_hold_for_quiet_and_loud(tmp_path: Path, kind: str, level: float) -> None:
    sound = noise(5.0, level / 3) if kind == "noise" else babble(5.0, level)
    report = await _check(wav(tmp_path / "x.wav", sound))
    # Bursts of pure noise are the worst there is for a coder: its peaks are chance, and the peak limit goes first.
    assert report.lufs_out == pytest.approx(-16.0, abs=0.5 if kind == "noise" else 1.0)
    assert report.true_peak_out is not None
    assert report.true_peak_out <= -1.0


async def test_warnings_say_what_is_odd(tmp_path: Path) -> None:
    ten = 480
    cases = {
        "silent": (silence(48_000),),
        "very_short": (noise(0.01),),
        "clipped": (np.clip(tone(2.0, 300.0, 3.0), -1.0, 1.0),),
        "dc_offset": (noise(2.0, 0.05) + np.float32(0.2),),
        "out_of_phase": (noise(2.0), -noise(2.0)),
        "many_channels": (noise(2.0),) * 3,
    }
    for code, channels in cases.items():
        report = await _check(wav(tmp_path / f"{code}.wav", *channels))
        assert report.ok, code
        assert code in report.warnings, (code, report)
        assert report.reason
        if code in {"silent", "very_short"}:
            assert (report.lufs_in, report.lufs_out) == (None, None)
        else:
            assert report.lufs_out == pytest.approx(-16.0, abs=0.5)
    assert len(noise(0.01)) == ten
    fine = await _check(wav(tmp_path / "fine.wav", noise(2.0), noise(2.0, seed=5), rate=44_100))
    assert (fine.warnings, fine.code, fine.reason) == ((), "ok", "")
    assert (fine.codec, fine.sample_rate, fine.channels) == ("pcm_s16le", 44_100, 2)


async def test_damage_in_the_middle_does_not_lose_the_rest(tmp_path: Path) -> None:
    data = bytearray(b"".join(encode_mp3(noise(6.0), 64_000)))
    data[len(data) // 3 : len(data) // 2] = bytes(range(256)) * ((len(data) // 2 - len(data) // 3) // 256)
    (tmp_path / "scratched.mp3").write_bytes(data)
    report = await _check(tmp_path / "scratched.mp3")
    assert report.ok
    assert report.warnings
    assert report.duration_s is not None
    assert 3.0 < report.duration_s < 6.1
    (tmp_path / "cut.mp3").write_bytes(data[: len(data) // 4 + 13])
    assert (await _check(tmp_path / "cut.mp3")).duration_s == pytest.approx(1.5, abs=0.1)


async def test_refusals_have_codes_and_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty.mp3").touch()
    (tmp_path / "text.mp3").write_text("Kính gửi bà con " * 2_000)
    (tmp_path / "zeros.wav").write_bytes(bytes(100_000))
    long = wav(tmp_path / "long.wav", noise(3.0))
    os.mkfifo(tmp_path / "pipe.wav")
    expected = {
        tmp_path / "none.mp3": "not_found",
        tmp_path / "empty.mp3": "empty",
        tmp_path / "text.mp3": "not_audio",
        tmp_path / "zeros.wav": "not_audio",
        tmp_path: "not_a_file",
        tmp_path / "pipe.wav": "not_a_file",
        tmp_path / "nul\0.mp3": "unreadable",
    }
    for path, code in expected.items():
        report = await _check(path)
        assert (report.ok, report.code) == (False, code)
        assert len(report.reason) > 20
    assert (await _check(long, max_duration=timedelta(seconds=2))).code == "too_long"
    assert (await _check(long, max_bytes=1_000)).code == "too_large"
    with pytest.raises(RefusedError) as caught:
        await Ingestor(IngestLimits(max_duration=timedelta(seconds=2))).ingest(long, tmp_path / "media")
    assert caught.value.report.code == caught.value.code == "too_long"
    assert not (tmp_path / "media").exists()


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{path}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {path}\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{path}</BaseURL></MPD>',
        "[playlist]\nFile1={path}\nNumberOfEntries=1\n",
    ],
)
async def test_a_list_of_other_files_is_no_sound(tmp_path: Path, text: str) -> None:
    secret = wav(tmp_path / "secret.wav", noise(1.0))
    (tmp_path / "list.mp3").write_text(text.format(path=secret))
    report = await _check(tmp_path / "list.mp3")
    assert (report.ok, report.code) == (False, "not_audio")


async def test_a_worker_that_dies_or_hangs_is_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = wav(tmp_path / "good.wav", noise(1.0))
    assert (await _check(good, timeout_s=0.001)).code == "timeout"
    assert (await _check(good, stall_s=0.001)).code == "timeout"
    (tmp_path / "python").write_text("#!/bin/sh\nread job\nkill -SEGV $$\n")
    (tmp_path / "python").chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr("sys.executable", str(tmp_path / "python"))
        assert (await _check(good)).code == "crashed"
    assert (await _check(good)).ok


async def test_processor_time_is_limited(tmp_path: Path) -> None:
    long = wav(tmp_path / "long.wav", babble(120.0, rate=8_000), rate=8_000)
    report = await _check(long, cpu_grace_s=0.0, cpu_per_second=0.0)
    assert (report.ok, report.code) == (False, "timeout")


async def test_a_cancelled_ingest_leaves_nothing_behind(tmp_path: Path) -> None:
    long = wav(tmp_path / "long.wav", babble(120.0, rate=8_000), rate=8_000)
    begun = asyncio.Event()
    ingestor = Ingestor(work_dir=tmp_path / "work")
    task = asyncio.create_task(ingestor.ingest(long, tmp_path / "media", on_progress=lambda _part: begun.set()))
    async with asyncio.timeout(20):
        await begun.wait()
    workers = _workers()
    assert workers
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not (workers & _workers())
    assert list((tmp_path / "work").iterdir()) == []


def _workers() -> set[int]:
    """Ingest workers that are children of this very process."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            if b"audio.ingest.worker" in words and parent == os.getpid():
                found.add(int(entry.name))
    return found


@pytest.mark.slow
async def test_memory_stays_flat_for_a_long_recording(tmp_path: Path) -> None:
    """Five minutes would be 58 MB as floats; the worker may add 40."""
    path = wav(tmp_path / "long.wav", np.tile(tone(1.0, rate=8_000), 300), rate=8_000)
    report = await _check(path, memory_bytes=40 * 1024**2)
    assert report.ok, report
    assert report.duration_s == pytest.approx(300.0)
    assert (await _check(path, memory_bytes=1024)).code == "too_demanding"


def _corpus() -> list[dict[str, Any]]:
    path = CORPUS / "audio/facts.json"
    return json.loads(path.read_text()) if path.exists() else []


#: Words of the corpus and the warning each stands for.
_WHY = {
    "silent": "silent",
    "shorter than": "very_short",
    "peak > full scale": "clipped",
    "decode errors": "damaged",
    "channels": "many_channels",
    "header says": "duration_mismatch",
    "has video": "has_video",
}
#: The corpus calls these silent because its own resampler lost ten samples; there is sound in them.
_NOT_SILENT = {"audio/bad/scipy_test-1234Hz-le-1ch-10S-20bit-extra.wav"}


@pytest.mark.slow
@pytest.mark.skipif(not _corpus(), reason="the corpus of real files is not here")
async def test_every_file_of_the_corpus_gets_its_verdict() -> None:
    ingestor = Ingestor()
    facts = _corpus()
    reports = await asyncio.gather(*(ingestor.check(str(CORPUS / fact["file"])) for fact in facts))
    for fact, report in zip(facts, reports, strict=True):
        name = fact["file"]
        assert report.file == str(CORPUS / name)
        verdict = ("accept-with-warning" if report.warnings else "accept") if report.ok else "reject"
        assert verdict == fact["verdict"], (name, report)
        if not report.ok:
            assert report.code in {"not_audio", "no_audio_track", "unreadable"}
            continue
        assert report.duration_s == pytest.approx(fact["decoded_s"], abs=0.1), name
        expected = {code for why in fact["why"] for word, code in _WHY.items() if word in why}
        if name in _NOT_SILENT:
            expected.discard("silent")
        assert expected <= set(report.warnings), (name, report)
        if report.lufs_in is not None:
            assert report.lufs_out == pytest.approx(-16.0, abs=0.6), name
        if report.true_peak_out is not None:
            assert report.true_peak_out <= -1.0, name

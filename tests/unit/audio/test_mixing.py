"""Mixing: lengths to the sample, no clicks, chimes that are always the same."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import numpy as np
import pytest

from audio.codec import LoudnessMeter, OggOpusReader
from audio.errors import MixingError
from audio.mixing import MAX_FRAMES, ChimeKind, chime, fade, join, overlay, write_chime
from audio.pcm import silence
from tests.unit.audio.sounds import tone


def test_joined_sounds_keep_every_sample() -> None:
    a, b = tone(0.5), tone(0.25, 600.0)
    whole = join([a, b, a], gap=4_800)
    assert len(whole) == 2 * len(a) + len(b) + 2 * 4_800
    assert np.max(np.abs(whole[: len(a)] - a)) < 1 / 30_000
    assert not whole[len(a) : len(a) + 4_800].any()
    assert np.max(np.abs(whole[len(a) + 4_800 : len(a) + 4_800 + len(b)] - b)) < 1 / 30_000


def test_a_crossfade_overlaps() -> None:
    a = tone(0.5)
    assert len(join([a, a], crossfade=4_800)) == 2 * len(a) - 4_800


def test_fades_begin_and_end_in_silence() -> None:
    sound = fade(tone(1.0, level=0.9), fade_in=9_600, fade_out=9_600)
    assert len(sound) == 48_000
    assert np.max(np.abs(sound[:48])) < 0.02
    assert np.max(np.abs(sound[-48:])) < 0.02
    assert np.max(np.abs(sound[20_000:28_000])) == pytest.approx(0.9, abs=0.01)


def test_a_voice_over_a_bed() -> None:
    mixed = overlay(tone(1.0, level=0.2), tone(0.5, 900.0, 0.2), at=4_800, bed_gain_db=-12.0)
    assert len(mixed) == 48_000
    assert np.max(np.abs(mixed[:4_800])) == pytest.approx(0.2, abs=0.01)
    assert 0.2 < np.max(np.abs(mixed[6_000:20_000])) < 0.27


@pytest.mark.parametrize(
    ("code", "attempt"),
    [
        ("nothing_to_join", lambda: join([])),
        ("too_long", lambda: join([silence(MAX_FRAMES), silence(1)])),
        ("too_short", lambda: join([silence(10), silence(10)], crossfade=480)),
        ("gap_and_crossfade", lambda: join([silence(10)], gap=48, crossfade=48)),
        ("not_milliseconds", lambda: join([silence(480), silence(480)], gap=50)),
        ("too_short", lambda: fade(silence(480), fade_in=480, fade_out=48)),
        ("too_short", lambda: overlay(silence(480), silence(960))),
    ],
)
def test_what_cannot_be_mixed_is_refused(code: str, attempt: object) -> None:
    assert callable(attempt)
    with pytest.raises(MixingError) as caught:
        attempt()
    assert caught.value.code == code


def test_pydub_never_starts_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(args)

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert len(chime(ChimeKind.OPENING))


@pytest.mark.parametrize("kind", list(ChimeKind))
def test_a_chime_is_a_sound_of_the_house(kind: ChimeKind, tmp_path: Path) -> None:
    sound = chime(kind)
    assert 96_000 <= len(sound) <= 144_000
    assert np.array_equal(sound, chime(kind.value))
    assert np.max(np.abs(sound[:24])) < 0.05
    assert np.max(np.abs(sound[-480:])) < 0.01
    meter = LoudnessMeter()
    meter.push(sound)
    measured = meter.result()
    assert measured.integrated is not None
    assert measured.true_peak is not None
    assert -19.0 <= measured.integrated <= -15.9
    assert measured.true_peak <= -1.9
    digests = set()
    for name in ("a.opus", "b.opus"):
        assert write_chime(kind, tmp_path / name) == len(sound)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1
    with OggOpusReader(tmp_path / "a.opus") as reader:
        assert reader.frames == len(sound)


def test_the_opening_rises_and_the_closing_falls() -> None:
    def pitches(kind: ChimeKind) -> list[float]:
        sound = chime(kind)
        strokes = [sound[at + 2_000 : at + 24_000] for at in range(0, len(sound) - 60_000, 26_400)]
        return [float(np.argmax(np.abs(np.fft.rfft(part, 480_000)))) / 10 for part in strokes]

    up, down = pitches(ChimeKind.OPENING), pitches(ChimeKind.CLOSING)
    assert up[0] == pytest.approx(392.0, abs=3.0)
    assert down[0] == pytest.approx(659.3, abs=3.0)
    assert up == sorted(up)

"""Joining and fading short sounds, by pydub.

Rules kept here:

1. The only place of pydub. It is given raw 16-bit PCM and never a file name, so it never starts ffmpeg.
2. It holds everything in memory and copies at each step, so nothing longer than :data:`MAX_FRAMES` goes in.
3. It counts in milliseconds and rounds; lengths asked for in samples are whole milliseconds, or refused.

Not here: long programmes (they are played piece after piece), loudness (:mod:`audio.loudness`).
"""

from __future__ import annotations

from collections.abc import Sequence

from pydub import AudioSegment

from audio.errors import MixingError
from audio.pcm import Samples, from_s16, to_s16
from schedules.instants import SAMPLE_RATE, Frames

#: Ten minutes: 55 MB as pydub holds it.
MAX_FRAMES = Frames(10 * 60 * SAMPLE_RATE)

_A_MILLISECOND = SAMPLE_RATE // 1_000


def join(parts: Sequence[Samples], *, gap: int = 0, crossfade: int = 0) -> Samples:
    """Sounds one after the other, with ``gap`` samples of silence between them, or ``crossfade`` samples overlapping.

    Raises:
        MixingError: ``nothing_to_join``, ``too_long``, ``not_milliseconds``; ``too_short`` for the crossfade.
    """
    if not parts:
        raise MixingError("there is nothing to join", code="nothing_to_join")
    if gap and crossfade:
        raise MixingError("sounds are joined with a gap or with a crossfade, not with both", code="gap_and_crossfade")
    if crossfade and min(len(part) for part in parts) < crossfade:
        raise MixingError("a sound is shorter than the crossfade", code="too_short")
    if sum(len(part) for part in parts) + gap * (len(parts) - 1) > MAX_FRAMES:
        raise MixingError("joined, this is longer than ten minutes: schedule the parts one by one", code="too_long")
    gap_ms, crossfade_ms = _milliseconds(gap), _milliseconds(crossfade)
    whole = _segment(parts[0])
    for part in parts[1:]:
        if gap_ms:
            whole = whole.append(AudioSegment.silent(gap_ms, SAMPLE_RATE), crossfade=0)
        whole = whole.append(_segment(part), crossfade=crossfade_ms)
    return _samples(whole)


def fade(sound: Samples, *, fade_in: int = 0, fade_out: int = 0) -> Samples:
    """``sound`` rising over its first ``fade_in`` samples and falling over its last ``fade_out``.

    Raises:
        MixingError: ``too_long``, ``not_milliseconds``; ``too_short`` when the fades do not fit.
    """
    if len(sound) > MAX_FRAMES:
        raise MixingError("this is longer than ten minutes", code="too_long")
    if fade_in + fade_out > len(sound):
        raise MixingError("the fades are longer than the sound", code="too_short")
    segment = _segment(sound)
    if fade_in:
        segment = segment.fade_in(_milliseconds(fade_in))
    if fade_out:
        segment = segment.fade_out(_milliseconds(fade_out))
    return _samples(segment)


def overlay(bed: Samples, voice: Samples, *, at: int = 0, bed_gain_db: float = 0.0) -> Samples:
    """``voice`` laid over ``bed`` from sample ``at`` on; the bed changes by ``bed_gain_db`` while the voice sounds.

    The result is as long as the bed.

    Raises:
        MixingError: ``too_long``, ``not_milliseconds``; ``too_short`` when the voice does not fit on the bed.
    """
    if len(bed) > MAX_FRAMES:
        raise MixingError("this is longer than ten minutes", code="too_long")
    if at + len(voice) > len(bed):
        raise MixingError("what is laid over is longer than what it is laid on", code="too_short")
    mixed = _segment(bed).overlay(_segment(voice), position=_milliseconds(at), gain_during_overlay=bed_gain_db or None)
    return _samples(mixed)


def _segment(sound: Samples) -> AudioSegment:
    return AudioSegment(data=to_s16(sound), sample_width=2, frame_rate=SAMPLE_RATE, channels=1)


def _samples(segment: AudioSegment) -> Samples:
    return from_s16(bytes(segment.raw_data))


def _milliseconds(frames: int) -> int:
    whole, rest = divmod(frames, _A_MILLISECOND)
    if rest or frames < 0:
        raise MixingError("gaps and fades are whole milliseconds: multiples of 48 samples", code="not_milliseconds")
    return whole

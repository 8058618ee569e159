"""The process that decodes strangers' files: ``python -m audio.ingest.worker``, one file a process.

It reads one job (a line of JSON) on stdin and writes lines of JSON on stdout: ``{"progress": 0..1}`` some times a
second, then ``{"report": {…}, "frames": n, "sha256": …}``, or the refusal in the report. A line that never comes
means that the file brought the decoder down; the parent says so.

Order matters: the jail is entered before numpy and FFmpeg are imported (a namespace needs a single thread), and
sealed after the two files are open and before a byte of the source is looked at.

Not here: the clock's limits, names, moving the result into place (:mod:`audio.ingest.ingestor`).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import time
import wave
from typing import Any, BinaryIO, cast

from audio import jail
from audio.errors import AudioError
from audio.ingest.report import WARNING_TEXT, IngestLimits, MediaReport, MediaWarning

_SPEAK_EVERY_S = 0.25
_HASH_BYTES = 1 << 20
_DISK_FULL = (28, 122)  # ENOSPC, EDQUOT


class _Nowhere(io.RawIOBase):
    """A file for a check, which writes nothing."""

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return offset if whence == io.SEEK_SET else 0

    def truncate(self, size: int | None = None) -> int:
        return size or 0


class _Voice:
    """Tells the parent how far we are, and earns processor time for sound that came out."""

    def __init__(self, limits: IngestLimits) -> None:
        self._limits = limits
        self._spoke = 0.0
        self._earlier = 0.0  # seconds of sound in the passes that are over
        self._last = 0.0

    def __call__(self, part: float, seconds: float) -> None:
        now = time.monotonic()
        if seconds < self._last:
            self._earlier += self._last
        self._last = seconds
        if now - self._spoke >= _SPEAK_EVERY_S:
            self._spoke = now
            jail.allow_cpu(self._limits.cpu_grace_s + self._limits.cpu_per_second * (self._earlier + seconds))
            say({"progress": round(min(part, 1.0), 3), "seconds": round(seconds, 1)})


def say(line: dict[str, Any]) -> None:
    """One line to the parent."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Do one job. Returns 0 when a report was given, whatever it says."""
    job = json.loads(sys.stdin.readline())
    jail.enter(int(job["parent"]))
    limits = IngestLimits.from_dict(job["limits"])
    named: str = job["file"]
    try:
        with open(job["source"], "rb", buffering=0) as source, _output(job["output"]) as out:  # noqa: PTH123 - may be bytes that are no text
            answer = _work(source, out, named, job, limits)
    except OSError as error:
        full = error.errno in _DISK_FULL
        reason = "the disk is full: make room and try again" if full else f"the file cannot be read: {error.strerror}"
        answer = {"report": MediaReport.refused(named, "disk_full" if full else "unreadable", reason).as_dict()}
    except MemoryError:
        reason = "decoding it needs more memory than a programme may: save it as plain MP3 or WAV"
        answer = {"report": MediaReport.refused(named, "too_demanding", reason).as_dict()}
    except AudioError as error:
        answer = {"report": MediaReport.refused(named, error.code, str(error)).as_dict()}
    say(answer)
    return 0


def _output(path: str | None) -> BinaryIO:
    if path is None:
        return cast("BinaryIO", _Nowhere())
    return open(path, "r+b")  # noqa: PTH123 - the caller closes it


def _work(source: BinaryIO, out: BinaryIO, named: str, job: dict[str, Any], limits: IngestLimits) -> dict[str, Any]:
    from audio.ingest.analysis import Recording, analyse  # noqa: PLC0415 - after the jail was entered
    from audio.ingest.rendering import render  # noqa: PLC0415

    _warm_up()
    recording = Recording(source, max(1, os.fstat(source.fileno()).st_size))
    jail.seal(limits.memory_bytes, limits.max_bytes)
    jail.allow_cpu(limits.cpu_grace_s)
    voice = _Voice(limits)
    target = float(job["target_lufs"])
    found = analyse(recording, limits.max_duration.total_seconds(), voice)
    rendering = render(recording, out, found, target, voice)
    warnings = found.warnings
    if rendering.misses(target):
        warnings = (*warnings, MediaWarning.PEAK_LIMITED)
    report = MediaReport(
        file=named,
        ok=True,
        code="ok",
        reason="; ".join(WARNING_TEXT[warning] for warning in warnings),
        warnings=tuple(warning.value for warning in warnings),
        duration_s=round(found.seconds, 6),
        codec=found.codec,
        sample_rate=found.sample_rate,
        channels=found.channels,
        lufs_in=found.loudness.integrated,
        lufs_out=rendering.sounded.integrated,
        true_peak_out=rendering.sounded.true_peak,
    )
    answer: dict[str, Any] = {"report": report.as_dict(), "frames": rendering.frames, "attempts": rendering.attempts}
    if job["output"] is not None:
        out.flush()
        os.fsync(out.fileno())
        answer["sha256"] = _digest(out)
    return answer


def _warm_up() -> None:
    """Run everything once on a quarter of a second of silence: what imports late must do so before the seal."""
    from audio.ingest.analysis import Recording, analyse  # noqa: PLC0415 - after the jail was entered
    from audio.ingest.rendering import render  # noqa: PLC0415

    sample = io.BytesIO()
    with wave.open(sample, "wb") as file:
        file.setparams((2, 2, 44_100, 0, "NONE", ""))
        file.writeframes(bytes(44_100))
    recording = Recording(sample, sample.tell())
    found = analyse(recording, 1.0, lambda _part, _seconds: None)
    render(recording, cast("BinaryIO", _Nowhere()), found, -16.0, lambda _part, _seconds: None)


def _digest(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while data := file.read(_HASH_BYTES):
        digest.update(data)
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())

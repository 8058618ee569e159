"""Ingest against the ffmpeg command doing the same: decode, two-pass loudness to −16 LUFS, Ogg Opus 48 kHz mono.

Each round runs both, one after the other, on the same files; the better of the rounds counts for each. Processor
time is that of all processes started. Loudness and true peak are measured on what each wrote, decoded.
"""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from audio.codec import LoudnessMeter, OggOpusReader
from audio.ingest import IngestLimits, Ingestor
from audio.mixing import chime, join
from audio.pcm import Samples, read_wav, write_wav
from audio.speech import EspeakEngine
from benchmarks.report import Case, against, arguments, at_most, report

_ROUNDS = 2
_GOAL = 1.1
_PEER = "ffmpeg"
_TEXT = (
    "Đây là đài truyền thanh huyện Đakrông. Sau đây là thông báo của Ủy ban nhân dân xã về việc tiêm phòng cho đàn gia "
    "súc, lịch cắt điện trong tuần, và tin dự báo thời tiết. Ngày mai có mưa to đến rất to, bà con chú ý đề phòng lũ "
    "quét và sạt lở đất ở ven sông, ven suối. "
)


@dataclass(frozen=True, slots=True)
class _Job:
    name: str
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Cost:
    wall: float
    cpu: float
    loudness_error: float  # the worst of the files, LU
    true_peak: float  # the worst of the files, dBTP


def main() -> int:
    """Run all cases."""
    options = arguments(__doc__)
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        print("the peer is missing: run `make bench-setup`, which installs ffmpeg", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="loa-bench-") as folder:
        return report(_measure(ffmpeg, Path(folder)), as_json=options.json)


def _measure(ffmpeg: str, folder: Path) -> Iterator[Case]:
    for case in _cases(ffmpeg, folder):
        ours: list[_Cost] = []
        peers: list[_Cost] = []
        for number in range(_ROUNDS):
            out = folder / f"out-{number}-{len(case.files)}-{case.files[0].stem}"
            out.mkdir()
            peers.append(_cost(partial(_run_peer, ffmpeg, case, out)))
            ours.append(_cost(partial(_run_ours, case, out)))
        mine, theirs = min(ours, key=lambda cost: cost.wall), min(peers, key=lambda cost: cost.wall)
        yield against(
            "ingest", case.name, "wall clock", mine.wall, "s", peer=_PEER, peer_value=theirs.wall, bound=_GOAL
        )
        yield against("ingest", case.name, "processor", mine.cpu, "s", peer=_PEER, peer_value=theirs.cpu, bound=None)
        yield at_most("ingest", case.name, "distance from -16 LUFS", mine.loudness_error, "LU", 0.5)
        yield at_most("ingest", case.name, "true peak", mine.true_peak, "dBTP", -1.0)
        # Decibels have no ratio: the peer's levels are lines of their own.
        yield Case("ingest", case.name, f"distance from -16 LUFS, {_PEER}", theirs.loudness_error, "LU")
        yield Case("ingest", case.name, f"true peak, {_PEER}", theirs.true_peak, "dBTP")


def _cases(ffmpeg: str, folder: Path) -> Iterator[_Job]:
    speech = folder / "speech.wav"
    asyncio.run(EspeakEngine().speak(_TEXT * 2, speech))
    spoken = read_wav(speech)
    bulletin = folder / "bulletin.wav"
    write_wav(bulletin, _fill(join([chime("opening"), spoken, chime("closing")]), 150))
    yield _Job("bulletin, MP3, 150 s", (_as(ffmpeg, bulletin, "mp3", "-ac", "2", "-ar", "44100", "-b:a", "128k"),))
    market = folder / "market.wav"
    noise = np.random.default_rng(1).normal(0.0, 0.02, 48_000 * 90).astype(np.float32)
    write_wav(market, np.asarray(_fill(spoken, 90) * np.float32(0.4) + noise, np.float32))
    yield _Job("interview with noise, WAV, 90 s", (_as(ffmpeg, market, "stereo.wav", "-ac", "2", "-ar", "44100"),))
    notes = []
    for number in range(6):
        path = folder / f"note{number}.wav"
        write_wav(path, _fill(spoken, 10 + number % 2))
        notes.append(_as(ffmpeg, path, "m4a", "-ar", "16000", "-b:a", "24k"))
    yield _Job("six voice notes, M4A, 10 s each", tuple(notes))


def _fill(sound: Samples, seconds: int) -> Samples:
    """``sound`` over and over for ``seconds``."""
    return np.tile(sound, -(-seconds * 48_000 // len(sound)))[: seconds * 48_000]


def _as(ffmpeg: str, path: Path, suffix: str, *options: str) -> Path:
    out = path.with_suffix(f".{suffix}")
    subprocess.run([ffmpeg, "-v", "error", "-y", "-i", path, *options, out], check=True, timeout=120)
    return out


def _cost(run: Callable[[], list[Path]]) -> _Cost:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    written = run()
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    heard = [_listen(path) for path in written]
    return _Cost(wall, cpu, max(error for error, _ in heard), max(peak for _, peak in heard))


def _run_ours(case: _Job, out: Path) -> list[Path]:
    return asyncio.run(_ingest(case, out))


async def _ingest(case: _Job, out: Path) -> list[Path]:
    ingestor = Ingestor(IngestLimits(workers=1), out / "work")
    return [(await ingestor.ingest(path, out)).path for path in case.files]


def _run_peer(ffmpeg: str, case: _Job, out: Path) -> list[Path]:
    return [_peer_file(ffmpeg, path, out / f"{path.stem}.opus") for path in case.files]


def _peer_file(ffmpeg: str, path: Path, out: Path) -> Path:
    """The two passes that ffmpeg's own documentation gives for loudnorm."""
    wanted = "loudnorm=I=-16:TP=-1:LRA=11"
    first: list[str | Path] = [ffmpeg, "-hide_banner", "-nostdin", "-i", path, "-vn"]
    first += ["-af", f"aformat=channel_layouts=mono,{wanted}:print_format=json", "-f", "null", "-"]
    told = subprocess.run(first, capture_output=True, text=True, check=True, timeout=600).stderr
    found = json.loads(told[told.rindex("{") : told.rindex("}") + 1])
    measured = ":".join(
        f"measured_{name}={found[f'input_{key}']}"
        for name, key in (("I", "i"), ("TP", "tp"), ("LRA", "lra"), ("thresh", "thresh"))
    )
    second: list[str | Path] = [ffmpeg, "-v", "error", "-nostdin", "-y", "-i", path, "-vn"]
    chain = f"aformat=channel_layouts=mono,{wanted}:{measured}:offset={found['target_offset']}:linear=true"
    second += ["-af", chain, "-ar", "48000", "-c:a", "libopus", "-b:a", "32k", "-frame_duration", "20", out]
    subprocess.run(second, check=True, timeout=600)
    return out


def _listen(path: Path) -> tuple[float, float]:
    """Distance from −16 LUFS, and true peak, of what a file sounds like."""
    meter = LoudnessMeter()
    with OggOpusReader(path) as reader:
        for at in range(0, reader.frames, 480_000):
            meter.push(reader.read(at, 480_000))
    heard = meter.result()
    if heard.integrated is None or heard.true_peak is None:
        raise SystemExit(f"{path.name} came out silent")
    return abs(heard.integrated + 16.0), heard.true_peak


if __name__ == "__main__":
    sys.exit(main())

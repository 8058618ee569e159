"""Any sound file as blocks of samples, whatever it is called and however its headers lie.

Rules kept here:

1. What a file is, is decided by its bytes; its name is never shown to FFmpeg.
2. FFmpeg gets one open file and nothing else: only real containers are on the list (no playlists, no concat, no
   session descriptions), and no protocol is allowed, so a file cannot make it open another file or a connection.
3. A packet that cannot be decoded is counted and left out; the rest of the file still sounds.
4. Memory is flat: a quarter of a second at a time, at the file's own rate and in its own channels.

Not here: limits of time and size, and the separate process (:mod:`audio.ingest`); mixing down to mono
(:mod:`audio.codec.downmix`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Self

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from numpy.typing import NDArray

from audio.errors import CodecError

#: Containers and raw streams that people hand in. Deliberately without hls, concat, dash, sdp, image and device inputs.
FILE_FORMATS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dss,dts,dtshd,eac3,flac,flv,iff,ircam,loas,matroska,mov,mp3,"
    "mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nut,ogg,oma,qcp,rm,shn,sox,tak,truehd,tta,voc,w64,wav,wtv,wv,xwma"
)

#: What radio stations send over HTTP, the files of HLS included (MPEG-TS, fragmented MP4).
RADIO_FORMATS = "aac,flac,loas,mov,mp3,mpegts,ogg"

#: More than this is no programme but an attack or a mistake.
MAX_CHANNELS = 64

_MIN_RATE, _MAX_RATE = 1_000, 768_000
_BLOCKS_A_SECOND = 4
_READ_BYTES = 262_144


class Tape(io.RawIOBase):
    """An open file without its name, for FFmpeg to read, that knows how far it was read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """As the file."""
        return self._file.seekable()

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes; nothing at the end."""
        data = self._file.read(size)
        self.position += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to another place."""
        self.position = self._file.seek(offset, whence)
        return self.position

    def tell(self) -> int:
        """The place reached."""
        return self.position


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of decoded sound as the file has it: one row of floats per channel."""

    planes: NDArray[np.float32]
    rate: int
    channels: tuple[str, ...]  # FL, FR, FC …; empty names when the file does not say which loudspeaker is which


class SoundSource:
    """One open sound file.

    Args:
        file: open for reading in binary; stays the caller's.
        formats: FFmpeg's names of the containers that may be found in it.
        probe_bytes: how much may be read to find out what it is; None leaves FFmpeg's 5 MB.

    Raises:
        CodecError: ``not_audio`` (not a sound or video file), ``no_audio_track`` (video without sound) or
            ``unreadable`` (a sound track in an encoding nobody here can decode).
    """

    def __init__(self, file: BinaryIO, *, formats: str = FILE_FORMATS, probe_bytes: int | None = None) -> None:
        options = {"format_whitelist": formats, "protocol_whitelist": "none"}
        if probe_bytes is not None:
            options |= {"probesize": str(probe_bytes), "analyzeduration": "1000000"}
        self._tape = Tape(file)
        try:
            self._container: InputContainer = av.open(
                self._tape, "r", options=options, metadata_errors="replace", buffer_size=_READ_BYTES
            )
        except (av.FFmpegError, ValueError) as error:
            raise CodecError("this is not a sound or video file that can be read", code="not_audio") from error
        try:
            self._stream = self._choose()
        except BaseException:
            self._container.close()
            raise
        #: Packets that could not be decoded, and samples that were no numbers.
        self.faults = 0

    @property
    def container(self) -> str:
        """FFmpeg's name of the container."""
        return self._container.format.name

    @property
    def codec(self) -> str:
        """FFmpeg's name of the encoding (``mp3``, ``aac``, ``pcm_s16le`` …)."""
        return self._context.codec.canonical_name

    @property
    def has_video(self) -> bool:
        """There are pictures beside the sound (a film, or a cover)."""
        return bool(self._container.streams.video)

    @property
    def claimed_seconds(self) -> float | None:
        """The length the headers claim. Never believed, only compared."""
        micros = self._container.duration
        return micros / 1_000_000 if micros is not None and micros > 0 else None

    @property
    def bytes_read(self) -> int:
        """The place in the file that decoding has reached."""
        return self._tape.position

    def blocks(self) -> Iterator[Block]:
        """The sound from its start to its end, in blocks of at most a quarter of a second.

        Raises:
            CodecError: more channels or another rate than any programme has (``unreadable``).
        """
        gather: AudioResampler | None = None
        shape: tuple[str, int, str] | None = None
        for frame in self._frames():
            if (frame.format.name, frame.sample_rate, frame.layout.name) != shape:
                yield from self._drain(gather)
                gather = self._gatherer(frame)
                shape = (frame.format.name, frame.sample_rate, frame.layout.name)
            frame.pts = None  # a jump in time stamps is no silence and no cut: only decoded samples count
            assert gather is not None  # noqa: S101 - made for the first frame
            for full in gather.resample(frame):
                yield self._block(full)
        yield from self._drain(gather)

    def close(self) -> None:
        """Let FFmpeg's memory go; the file stays open."""
        self._container.close()

    @property
    def _context(self) -> AudioCodecContext:
        return self._stream.codec_context

    def _choose(self) -> AudioStream:
        streams = self._container.streams
        if not streams.audio:
            raise CodecError("there are pictures in this file, but no sound", code="no_audio_track")
        best = streams.best("audio")
        candidates = [best, *streams.audio] if isinstance(best, AudioStream) else list(streams.audio)
        for stream in candidates:
            if stream.codec_context is not None:
                stream.codec_context.thread_count = 1
                return stream
        raise CodecError("the sound in this file is in an encoding that cannot be decoded", code="unreadable")

    def _frames(self) -> Iterator[AudioFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, ValueError):
                self.faults += 1
                packet = None
            try:
                # None: the file broke off here; what the decoder still holds is sound all the same.
                yield from self._context.decode(packet) if packet is None else self._stream.decode(packet)
            except (av.FFmpegError, ValueError):
                self.faults += 1
            if packet is None:
                return

    def _gatherer(self, frame: AudioFrame) -> AudioResampler:
        count = frame.layout.nb_channels
        if count > MAX_CHANNELS or not _MIN_RATE <= frame.sample_rate <= _MAX_RATE:
            raise CodecError(
                f"{count} channels at {frame.sample_rate} Hz is no programme: save it as mono or stereo at 48 000 Hz",
                code="unreadable",
            )
        size = max(1, frame.sample_rate // _BLOCKS_A_SECOND)
        return AudioResampler(format="fltp", layout=frame.layout, rate=frame.sample_rate, frame_size=size)

    def _drain(self, gather: AudioResampler | None) -> Iterator[Block]:
        if gather is not None:
            for frame in gather.resample(None):
                yield self._block(frame)

    def _block(self, frame: AudioFrame) -> Block:
        planes = np.asarray(frame.to_ndarray(), np.float32)
        if not np.isfinite(planes).all():
            self.faults += 1
            planes = np.nan_to_num(planes, nan=0.0, posinf=1.0, neginf=-1.0)
        return Block(planes, frame.sample_rate, tuple(channel.name for channel in frame.layout.channels))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

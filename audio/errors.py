"""The error tree of :mod:`audio`. Every error has a stable ``code`` that the API, the CLI and the logs show.

* :class:`AudioError`
    * :class:`CodecError`: bytes are not the Opus, the Ogg or the sound they should be
    * :class:`IngestError`: a file could not be made into a programme (see :mod:`audio.ingest` for its codes)
    * :class:`MixingError`: sounds cannot be joined as asked
    * :class:`SpeechError`: text could not be spoken
    * :class:`StreamError`: a live source could not be encoded (``not_audio``, ``stalled``, ``crashed``, ``closed``)
    * :class:`PlayoutError`: an output or a cue failed (see :mod:`audio.playout` for its codes)

A message is a sentence for a person and says what to do; the code is for programs and never changes its meaning.
"""

from __future__ import annotations

from typing import ClassVar


class AudioError(Exception):
    """Root of everything :mod:`audio` raises on purpose."""

    default_code: ClassVar[str] = "audio_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code: str = code or self.default_code


class CodecError(AudioError):
    """Bytes are not the Opus, the Ogg or the sound they should be."""

    default_code = "bad_audio_data"


class IngestError(AudioError):
    """A file could not be made into a programme."""

    default_code = "unreadable"


class MixingError(AudioError):
    """Sounds cannot be joined as asked."""

    default_code = "mixing_failed"


class SpeechError(AudioError):
    """Text could not be spoken."""

    default_code = "speech_failed"


class StreamError(AudioError):
    """A live source could not be encoded."""

    default_code = "stream_failed"


class PlayoutError(AudioError):
    """An output or a cue failed."""

    default_code = "playout_failed"

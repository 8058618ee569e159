"""Files that people hand in become programmes: Ogg Opus, 48 kHz mono, −16 LUFS, true peak at most −1 dBTP.

Every file is decoded by a process of its own that can reach nothing but that file (:mod:`audio.jail`), so
the worst a file can do is to be refused. Importing this package loads neither numpy nor FFmpeg.
"""

from __future__ import annotations

from audio.ingest.ingestor import Ingestor, ProgressListener
from audio.ingest.report import (
    WARNING_TEXT,
    Ingested,
    IngestLimits,
    MediaReport,
    MediaWarning,
    RefusedError,
)

__all__ = [
    "WARNING_TEXT",
    "IngestLimits",
    "Ingested",
    "Ingestor",
    "MediaReport",
    "MediaWarning",
    "ProgressListener",
    "RefusedError",
]

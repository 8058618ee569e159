"""Live radio streams into Opus packets, in a process of their own that reaches nothing but its two pipes.

Importing this package loads neither numpy nor FFmpeg.
"""

from __future__ import annotations

from audio.stream.encoder import StreamEncoder, StreamInfo

__all__ = ["StreamEncoder", "StreamInfo"]

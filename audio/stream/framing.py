"""What the encoding process says to its parent: a kind, a length, a body.

``!cI``: kind (one letter) and the length of the body; then the body.

* ``P``: sample index (u64) and one Opus packet of 20 ms
* ``L``: how loud 100 ms were, the last of which are in the next packet: peak and RMS in dBFS (two f32)
* ``I``: JSON, what the stream turned out to be
* ``E``: JSON, why it ended: ``{code, message}``. The last thing said.
* ``F``: nothing; the stream ended where its bytes ended. The last thing said.

The process for speech (:mod:`audio.stream.speech`) also says

* ``O``: as ``P``, for sound of our own (a chime)

and is told on its stdin, in the same frames:

* ``T``: JSON, what follows: ``{codec, rate}``
* ``A``: one frame of speech: an Opus packet, or 16-bit samples (little-endian, mono)
* ``C``: play a chime: ``b`` (the one before) or ``a`` (the one after)
* ``R``: play speech faster by so many millionths (i32); negative is slower
"""

from __future__ import annotations

import struct

HEAD = struct.Struct("!cI")
INDEX = struct.Struct("!Q")
LEVELS = struct.Struct("!ff")
PPM = struct.Struct("!i")

PACKET, INFO, ERROR, FINISHED = b"P", b"I", b"E", b"F"
OWN_PACKET, LEVEL = b"O", b"L"
FORMAT, AUDIO, CHIME, RATE = b"T", b"A", b"C", b"R"

#: Longer than any body that is meant; a child that says more is not ours any longer.
MAX_BODY = 8_192


def frame(kind: bytes, body: bytes = b"") -> bytes:
    """One utterance."""
    return HEAD.pack(kind, len(body)) + body

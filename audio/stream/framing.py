"""What the encoding process says to its parent: a kind, a length, a body.

``!cI``: kind (one letter) and the length of the body; then the body.

* ``P``: sample index (u64) and one Opus packet of 20 ms
* ``I``: JSON, what the stream turned out to be
* ``E``: JSON, why it ended: ``{code, message}``. The last thing said.
* ``F``: nothing; the stream ended where its bytes ended. The last thing said.
"""

from __future__ import annotations

import struct

HEAD = struct.Struct("!cI")
INDEX = struct.Struct("!Q")

PACKET, INFO, ERROR, FINISHED = b"P", b"I", b"E", b"F"

#: Longer than any body that is meant; a child that says more is not ours any longer.
MAX_BODY = 8_192


def frame(kind: bytes, body: bytes = b"") -> bytes:
    """One utterance."""
    return HEAD.pack(kind, len(body)) + body

"""ICY metadata: titles that SHOUTcast and Icecast weave into the sound, taken out again. Sans-IO.

After every ``metaint`` bytes of sound comes one length byte n and n x 16 bytes of text (``StreamTitle='…';``,
padded with zeros). A decoder that sees them hears clicks, so :class:`IcyStripper` removes them whatever the sizes
of the chunks that arrive. It holds at most one metadata block (4 080 bytes).
"""

from __future__ import annotations

import re
from typing import Final

#: A station that claims a greater distance between titles is not believed: the header is then ignored.
MAX_METAINT: Final = 4 * 1024 * 1024

_BLOCK: Final = 16
_TITLE: Final = re.compile(rb"StreamTitle='(.*?)';", re.DOTALL)


def metaint_of(header: str | None) -> int:
    """The value of an ``icy-metaint`` header in bytes; 0 when there is none or it makes no sense."""
    if header is None or not header.strip().isdecimal():
        return 0
    value = int(header.strip()[:12])
    return value if 0 < value <= MAX_METAINT else 0


class IcyStripper:
    """Separates sound from titles. ``metaint`` 0 means there are no titles in the stream."""

    def __init__(self, metaint: int) -> None:
        self._metaint = metaint
        self._until_meta = metaint
        self._block: bytearray | None = None
        self._block_size = 0
        #: The last title the station told, if any.
        self.title: str | None = None

    def feed(self, data: bytes) -> bytes:
        """The sound in ``data``; a title that completes in it is kept in :attr:`title`."""
        if not self._metaint:
            return data
        sound = bytearray()
        at = 0
        while at < len(data):
            if self._block is not None:
                taken = data[at : at + self._block_size - len(self._block)]
                self._block += taken
                at += len(taken)
                self._finish_block()
            elif self._until_meta:
                taken = data[at : at + self._until_meta]
                sound += taken
                self._until_meta -= len(taken)
                at += len(taken)
            else:
                self._block_size = data[at] * _BLOCK
                self._block = bytearray()
                at += 1
                self._finish_block()
        return bytes(sound)

    def _finish_block(self) -> None:
        if self._block is None or len(self._block) < self._block_size:
            return
        found = _TITLE.search(bytes(self._block))
        if found:
            self.title = _text(found.group(1))
        self._block = None
        self._until_meta = self._metaint


def _text(raw: bytes) -> str | None:
    """A title as text: UTF-8 if it is, else Latin-1 (what old encoders send); control characters removed."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return "".join(letter for letter in text if letter.isprintable()).strip()[:200] or None

"""Who has fetched which sound, whole, and since when: what an approval at the console is held to.

Rules kept here:

1. A sound counts as heard by a person once they asked for every byte of it, and so much time has passed since the first
   that it can have been played to its end at :data:`FASTEST`.
2. That is as much as a server can know: it keeps somebody from approving unheard by haste or by a hidden button; it
   does not prove attention.
3. Kept in memory: after a restart it has to be heard again. At most :data:`MOST` are known, the longest untouched is
   forgotten first; what is asked for in more than :data:`PARTS` separate pieces is not counted beyond them.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from schedules.instants import MonoUs

#: The highest speed the console plays at.
FASTEST: Final = 1.5
#: What a player's own clock may miss at the end: a packet or two, or a hundredth (the page allows the same).
SPARE_S: Final = 0.25
SPARE_SHARE: Final = 0.01
MOST: Final = 4_096
PARTS: Final = 64


@dataclass(frozen=True, slots=True)
class _Fetch:
    """``parts``: half-open ranges of bytes, in order, apart from each other."""

    since: MonoUs
    parts: tuple[tuple[int, int], ...] = ()

    def with_part(self, begin: int, end: int) -> _Fetch:
        merged: list[tuple[int, int]] = []
        for left, right in sorted((*self.parts, (begin, end))):
            if merged and left <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], right))
            else:
                merged.append((left, right))
        return _Fetch(self.since, tuple(merged)) if len(merged) <= PARTS else self


class Hearings:
    """Sounds that people fetched, by person and SHA-256."""

    def __init__(self) -> None:
        self._fetches: OrderedDict[tuple[str, str], _Fetch] = OrderedDict()

    def fetched(self, user_id: str, sha256: str, part: slice, size: int, now: MonoUs) -> None:
        """Somebody asked for a part of the ``size`` bytes of a sound."""
        begin, end, _ = part.indices(size)
        if begin >= end:
            return
        key = (user_id, sha256)
        self._fetches[key] = self._fetches.get(key, _Fetch(now)).with_part(begin, end)
        self._fetches.move_to_end(key)
        if len(self._fetches) > MOST:
            self._fetches.popitem(last=False)

    def heard(self, user_id: str, sha256: str, size: int, length_s: float, now: MonoUs) -> bool:
        """Whether this person can have heard this sound whole by now."""
        fetch = self._fetches.get((user_id, sha256))
        if fetch is None or fetch.parts != ((0, size),):
            return False
        least_s = (length_s - max(SPARE_S, length_s * SPARE_SHARE)) / FASTEST
        return now - fetch.since >= least_s * 1_000_000

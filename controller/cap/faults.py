"""What is odd about an alert that can be read all the same: flags for scripts, sentences for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

#: An alert with more faults than this has told enough.
MAX_FAULTS: Final = 200


class Fault(NamedTuple):
    """One departure from the standard. ``code`` is stable; ``where`` like ``info 2/area 1``; ``detail`` for people."""

    code: str
    where: str
    detail: str


@dataclass(slots=True)
class FaultList:
    """Collects faults while an alert is read. Further ones than :data:`MAX_FAULTS` are dropped, codes are not."""

    faults: list[Fault] = field(default_factory=list)
    quarantine: bool = False
    _codes: dict[str, None] = field(default_factory=dict)

    def add(self, code: str, where: str, detail: str, *, quarantine: bool = False) -> None:
        """Note a fault. ``quarantine``: a machine must not act on the alert."""
        self.quarantine = self.quarantine or quarantine
        if len(self.faults) < MAX_FAULTS or code not in self._codes:
            self.faults.append(Fault(code, where, detail))
        self._codes[code] = None

    @property
    def flags(self) -> tuple[str, ...]:
        """Every code once, in the order they were met."""
        return tuple(self._codes)

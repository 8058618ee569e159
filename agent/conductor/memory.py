"""The arbiter's state on its way to the disk and back, a little at a time.

Rules kept here:

1. Of the occurrences only those that changed are written: a card lives by the bytes it is spared.
2. A start is written down in its lead, before it sounds: next to the state lies the state *as it will be* at the
   armed instant. After a power cut the later of the two that the clock has reached counts, so what began once does
   not begin again from its first sample.
3. A state that cannot be read is reported and begun anew; it never keeps an emergency from sounding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from agent.cache.state import Batch, Key
from schedules.arbiter import Progress, State
from schedules.instants import from_unix_us, to_unix_us


@dataclass(frozen=True, slots=True)
class Armed:
    """What the state will be at ``at`` if nothing changes until then."""

    at: datetime
    state: State


class ArbiterMemory:
    """Knows what of a state is on the disk already."""

    def __init__(self) -> None:
        self._progress: Mapping[str, Progress] = {}
        self._head: object = None
        self._armed_at: datetime | None = None

    def restore(self, values: Mapping[Key, bytes], progress: Mapping[str, str]) -> tuple[State, Armed | None]:
        """The state on the disk, and the armed one if there was one.

        Raises:
            ValueError: they cannot be read.
        """
        if Key.ARBITER not in values:
            return State.initial(), None
        plain = json.loads(values[Key.ARBITER])
        plain["played"] = {occurrence: json.loads(body) for occurrence, body in progress.items()}
        state = State.from_plain(plain)
        self._progress = state.played
        self._head = _head(state)
        if Key.ARMED not in values:
            return state, None
        later = json.loads(values[Key.ARMED])
        at = from_unix_us(later["at"])
        future = State.from_plain({**later["state"], "played": {**plain["played"], **later["state"]["played"]}})
        self._armed_at = at
        return state, Armed(at, future)

    def changes(self, state: State) -> Batch | None:
        """What must be written so that the disk knows ``state``; None when that is nothing worth a write."""
        changed, gone = self._difference(state)
        head = _head(state)
        if not changed and not gone and head == self._head:
            return None
        self._head = head
        self._progress = state.played
        memory: dict[Key, bytes | None] = {Key.ARBITER: _plain(replace(state, played={}))}
        if self._armed_at is not None and state.at is not None and state.at >= self._armed_at:
            memory[Key.ARMED] = None
            self._armed_at = None
        bodies: dict[str, str | None] = dict.fromkeys(gone)
        bodies.update(_bodies(state, changed))
        return Batch(memory=memory, progress=bodies)

    def arm(self, at: datetime, future: State) -> Batch:
        """What must be written so that the disk knows what will begin at ``at``."""
        changed, _ = self._difference(future)
        small = replace(future, played={name: future.played[name] for name in changed})
        self._armed_at = at
        body = {"at": to_unix_us(at), "state": small.to_plain()}
        return Batch(memory={Key.ARMED: json.dumps(body).encode()})

    def _difference(self, state: State) -> tuple[list[str], list[str]]:
        changed = [name for name, progress in state.played.items() if self._progress.get(name) != progress]
        gone = [name for name in self._progress if name not in state.played]
        return changed, gone


def begun(state: State, armed: Armed) -> State:
    """``state``, with what had been armed counted as begun, because its instant has passed."""
    began = {name: one for name, one in armed.state.played.items() if name not in state.played}
    on_air = state.on_air if state.on_air is not None else armed.state.on_air
    return replace(state, played={**state.played, **began}, on_air=on_air)


def _head(state: State) -> object:
    """All of a state that is worth a write when it changes: not the clock, not the occurrences."""
    told = state.untrusted_told
    return state.born, state.on_air, state.silent_since, state.stopped_at, state.withdrawn, told


def _plain(state: State) -> bytes:
    return json.dumps(state.to_plain()).encode()


def _bodies(state: State, names: list[str]) -> dict[str, str]:
    some = replace(state, played={name: state.played[name] for name in names}).to_plain()["played"]
    return {name: json.dumps(body) for name, body in some.items()}

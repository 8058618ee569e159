"""What went on air and was recorded: one row for each live session and each carried window of a relay."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, BigInteger
from sqlmodel import Field

from controller.store.tables import Table


class AirTape(Table, table=True):
    """One recording of live sound; the sound is a file of the data folder."""

    id: str = Field(primary_key=True)
    kind: str  # live | relay
    title: str
    priority: int
    subject: str = Field(index=True)  # the session's id, or the programme's
    recurrence: datetime | None = None
    source_id: str | None = None
    actor: str
    clusters: list[str] = Field(default_factory=list, sa_type=JSON)
    file: str  # below the folder of the recordings
    state: str  # recording | whole | cut_off
    started_at: datetime = Field(index=True)
    ended_at: datetime | None = None
    frames: int = Field(default=0, sa_type=BigInteger)
    bytes: int = Field(default=0, sa_type=BigInteger)

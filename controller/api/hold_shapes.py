"""Shapes of clusters that are kept mute by order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import Field

from controller.api.schema import Schema
from controller.services.holds import Hold
from protocol.limits import MAX_HOLD


class HoldShape(Schema):
    """How long one cluster stays mute."""

    hold_s: int = Field(
        ge=1,
        le=int(MAX_HOLD.total_seconds()),
        description="Emergencies included. Without the right to confirm emergencies there: 4 hours at most, and one "
        "cluster at a time",
    )


class HoldView(Schema):
    """One cluster that the desk keeps mute."""

    cluster_id: str
    since: datetime
    until: datetime
    by: str = Field(description="Whose word it is")
    display_name: str = Field(description="What people call them; empty = nothing else is known")
    crew: bool = Field(description="Of somebody who looks after the boxes; otherwise only a duty officer ends it")

    @classmethod
    def many(cls, held: Mapping[str, Hold]) -> tuple[HoldView, ...]:
        """All of them, the oldest first."""
        order = sorted(held.items(), key=lambda each: (each[1].since, each[0]))
        return tuple(
            cls(
                cluster_id=cluster_id,
                since=hold.since,
                until=hold.until,
                by=hold.name,
                display_name=hold.called,
                crew=hold.crew,
            )
            for cluster_id, hold in order
        )


class HoldList(Schema):
    """The clusters that are kept mute by order, as far as you may read them."""

    items: tuple[HoldView, ...]

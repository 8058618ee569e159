"""Which clusters the desk keeps silent, until when and by whose word. Pure: ``now`` is an argument.

The newest word about a cluster counts, as with its boxes: a hold takes the place of the one before it, a release ends
it. What somebody set at a box itself is not here; the box tells that in its status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """One cluster's silence by order."""

    since: datetime
    until: datetime
    by: str  # audit name of the person: id, space, name
    crew: bool  # by the right of somebody who looks after boxes; otherwise by a duty officer's
    called: str = ""  # what people call them, where somebody looked it up

    @property
    def user_id(self) -> str:
        """Whose word it is."""
        return self.by.partition(" ")[0]

    @property
    def name(self) -> str:
        """The same by name."""
        return self.by.partition(" ")[2]


class Holds:
    """The holds that last, by cluster."""

    def __init__(self) -> None:
        self._by_cluster: dict[str, Hold] = {}

    def placed(self, clusters: Iterable[str], hold: Hold) -> None:
        """They were told to be silent."""
        self._by_cluster |= dict.fromkeys(clusters, hold)

    def lifted(self, clusters: Iterable[str]) -> None:
        """They were told that they may sound."""
        for cluster_id in clusters:
            self._by_cluster.pop(cluster_id, None)

    def at(self, now: datetime) -> Mapping[str, Hold]:
        """Every hold that lasts ``now``; those that ran out are forgotten."""
        self._by_cluster = {cluster: hold for cluster, hold in self._by_cluster.items() if hold.until > now}
        return self._by_cluster

    def of_crew(self, user_id: str, now: datetime) -> frozenset[str]:
        """The clusters that this person keeps silent as one of the crew."""
        return frozenset(cluster for cluster, hold in self.at(now).items() if hold.crew and hold.user_id == user_id)

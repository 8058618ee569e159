"""Whom a warning reaches, with the directory of today: matching in a thread, names of communes, languages."""

from __future__ import annotations

from controller.services.directory import Directory
from controller.services.warnings.drafts import Reach
from controller.services.warnings.matching import Site, match
from controller.services.warnings.model import SourceEntry
from controller.services.warnings.notice import Notice, joined
from controller.services.warnings.reader import WarningReader


async def reach_of(notice: Notice, source: SourceEntry, directory: Directory, reader: WarningReader) -> Reach:
    """The clusters a warning is for, that the source speaks for and that are in use.

    Raises:
        BusyError, InvalidError: too much is waiting, or the sum took too long.
    """
    places, codes = joined(notice.infos), source.geocode_map()
    above = {area_id: frozenset(area.id for area in directory.lineage(area_id)) for area_id in directory.areas}
    sites = [
        Site(
            cluster.id,
            above[cluster.area_id],
            cluster.latitude,
            cluster.longitude,
        )
        for cluster in directory.clusters.values()
        if cluster.state == "active"
    ]
    found = await reader.run(lambda: match(places, sites, codes, speaks_for=source.area_id))
    reached = [directory.clusters[one] for one in found.clusters if one in directory.clusters]
    communes = {directory.areas[one.area_id].name for one in reached if one.area_id in directory.areas}
    return Reach(
        languages={one.id: one.languages for one in reached},
        communes=tuple(sorted(communes)),
        outside=found.outside,
        unplaced=found.unplaced,
    )

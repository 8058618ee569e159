"""Which clusters an alert (or a drill) is for, and whether someone has a right over all of them.

Rules kept here:

1. Places of the tree, zones, single clusters and figures on the map are taken together; clusters that are switched
   off are left out, and said (:attr:`Places.disabled`).
2. A cluster without coordinates is in no figure; how many there are is said (:attr:`Places.unplaced`), because silence
   there would be a surprise.
3. A right must hold over every place that was named and over every cluster that was found.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.cap.errors import ShapeError
from controller.cap.shapes import Circle, Polygon
from controller.services.alerts.model import Where
from controller.services.context import Actor, Permission
from controller.services.directory import Directory
from controller.services.errors import InvalidError


@dataclass(frozen=True, slots=True)
class Places:
    """What was found."""

    clusters: frozenset[str]
    everywhere: bool = False
    disabled: tuple[str, ...] = ()
    unplaced: int = 0  # clusters without coordinates, when figures were used


def resolve(directory: Directory, where: Where) -> Places:
    """The clusters that are meant now.

    Raises:
        InvalidError: ``no_target``, ``bad_shape``.
        NotFoundError: an area, zone or cluster does not exist.
    """
    scope = where.scope
    named = scope.areas or scope.zones or scope.clusters
    if not (scope.everywhere or named or where.polygons or where.circles):
        raise InvalidError("say where: areas, zones, clusters, a polygon or a circle, or everywhere", code="no_target")
    for area_id in scope.areas:
        directory.area(area_id)
    for cluster_id in scope.clusters:
        directory.cluster(cluster_id)
    grouped = directory.clusters_of_zones(scope.zones)
    if scope.everywhere:
        found = frozenset(directory.clusters)
    else:
        found = directory.clusters_of(areas=scope.areas, clusters=grouped.union(scope.clusters))
    inside, unplaced = _inside(directory, where)
    found |= inside
    active = frozenset(each for each in found if directory.clusters[each].active)
    if not active:
        raise InvalidError("there is no active cluster there", code="no_target")
    return Places(active, scope.everywhere, tuple(sorted(found - active)), unplaced)


def require(directory: Directory, actor: Actor, permission: Permission, where: Where, clusters: frozenset[str]) -> None:
    """Let through who has the right over everything that is meant.

    Raises:
        ForbiddenError: it is missing somewhere.
    """
    if where.scope.everywhere:
        directory.require_everywhere(actor, permission)
    for area_id in where.scope.areas:
        directory.require(actor, permission, area_id)
    for area_id in areas_of(directory, clusters):
        directory.require(actor, permission, area_id)


def allows(directory: Directory, actor: Actor, permission: Permission, clusters: frozenset[str]) -> bool:
    """Whether someone has the right over all these clusters."""
    return all(directory.allows(actor, permission, area_id) for area_id in areas_of(directory, clusters))


def areas_of(directory: Directory, clusters: frozenset[str]) -> frozenset[str]:
    """The areas these clusters stand in (those that still exist)."""
    return frozenset(directory.clusters[each].area_id for each in clusters if each in directory.clusters)


def _inside(directory: Directory, where: Where) -> tuple[frozenset[str], int]:
    if not where.polygons and not where.circles:
        return frozenset(), 0
    try:
        shapes: list[Polygon | Circle] = [*map(Polygon.parse, where.polygons), *map(Circle.parse, where.circles)]
    except ShapeError as error:
        raise InvalidError(str(error), code="bad_shape") from error
    found: set[str] = set()
    unplaced = 0
    for cluster in directory.clusters.values():
        if cluster.latitude is None or cluster.longitude is None:
            unplaced += 1
        elif any(shape.contains(cluster.latitude, cluster.longitude) for shape in shapes):
            found.add(cluster.id)
    return frozenset(found), unplaced

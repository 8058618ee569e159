"""The audit log, put together: its names come from everything that has things with ids.

Part of the composition root, on top of everything else: it reads all of it and nothing stands on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from controller.air import Air
from controller.cap_desk import CapDesk
from controller.foundation import Foundation
from controller.services.audit import AuditService, Names, Thing
from controller.services.audit.names import KINDS

_T = TypeVar("_T")


def make_audit(base: Foundation, air: Air, cap: CapDesk) -> AuditService:
    """The log of a controller that is up."""
    names = Names(base.directory)

    def know(
        prefix: str,
        find: Callable[[str], _T | None],
        name: Callable[[_T], str],
        areas: Callable[[_T], frozenset[str]],
        *,
        has_page: Callable[[_T], bool] = lambda _: True,
    ) -> None:
        def look(each: str) -> Thing | None:
            entry = find(each)
            if entry is None:
                return None
            return Thing(KINDS[prefix], name(entry), each if has_page(entry) else None, areas(entry))

        names.know(prefix, look)

    catalogue, alarms = air.catalogue, air.alarms
    know("rc", catalogue.recordings.get, lambda one: one.title, lambda one: frozenset({one.area_id}))
    know("so", catalogue.sources.get, lambda one: one.title, lambda one: frozenset({one.area_id}))
    know(
        "pr",
        catalogue.programmes.get,
        lambda one: one.spec.title,
        lambda one: frozenset({one.spec.area_id}),
        has_page=lambda one: one.active,
    )
    know("tp", alarms.book.find, lambda one: one.latest.spec.title, lambda one: frozenset({one.area_id}))
    know("al", alarms.desk.register.alerts.get, lambda one: one.title, lambda one: names.areas_of(one.clusters))
    know("dr", air.drills.desk.book.find, lambda one: one.title, lambda one: names.areas_of(one.clusters))
    know("lv", air.live.find, lambda one: one.billing.title, lambda one: names.areas_of(one.billing.clusters))
    know("ws", cap.sources.find, lambda one: one.name, lambda one: frozenset({one.area_id}))
    return AuditService(base.db, base.directory, names)

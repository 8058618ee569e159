"""Loudspeaker clusters: where they stand, what they speak, whom to call, how loud, which amplifier.

Rules kept here: a cluster's name is unique within its area; languages are BCP 47 in the order of reading; gains lie in
:data:`GAIN_RANGE`; a cluster that an agent or a play record belongs to is disabled, not deleted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func
from sqlmodel import SQLModel, col, select

from controller.services.context import Actor, Clock, Permission
from controller.services.directory import ClusterEntry, Directory
from controller.services.errors import ConflictError, FieldProblem, InvalidError
from controller.store import Database, Transaction, tables
from controller.store.actions import AuditAction
from controller.store.ids import new_id
from schedules.ladder import Priority
from schedules.model import DUCK_MAX_DB, DUCK_MIN_DB, Amplifier

#: Decibels a class may be set to. −60 dB is as good as off; +12 dB is what the limiter can still hold.
GAIN_RANGE = (-60.0, 12.0)
#: Longest acoustic delay: 10 s is 3.4 km of air.
DELAY_MAX_MS = 10_000
#: An amplifier that needs more than this to wake or sleep is broken.
AMPLIFIER_MAX_MS = 30_000
MAX_LANGUAGES = 8
#: Language with optional script, region and variants (the part of BCP 47 that names languages of people).
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?(-[a-z0-9]{5,8})*(-x(-[a-z0-9]{1,8})+)?")
#: Fields of a cluster that hold plain values.
PLAIN = (
    "name",
    "area_id",
    "latitude",
    "longitude",
    "contact_name",
    "contact_phone",
    "output_delay_ms",
    "duck_db",
    "state",
)


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """Everything a person says about a cluster."""

    name: str
    area_id: str
    latitude: float | None = None
    longitude: float | None = None
    languages: tuple[str, ...] = ("vi",)
    contact_name: str = ""
    contact_phone: str = ""
    gains: Mapping[Priority, float] | None = None
    output_delay_ms: int = 0
    duck_db: float | None = None
    amplifier: Amplifier | None = None
    state: str = "active"

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            InvalidError: with every field at fault.
        """
        problems = [
            *_place_problems(self.latitude, self.longitude),
            *_language_problems(self.languages),
            *_gain_problems(self.gains or {}),
            *_amplifier_problems(self.amplifier or Amplifier()),
        ]
        if not 0 <= self.output_delay_ms <= DELAY_MAX_MS:
            problems.append(FieldProblem("output_delay_ms", f"0 to {DELAY_MAX_MS}"))
        if self.duck_db is not None and not DUCK_MIN_DB <= self.duck_db <= DUCK_MAX_DB:
            problems.append(FieldProblem("duck_db", f"{DUCK_MIN_DB:g} to {DUCK_MAX_DB:g} dB, or none"))
        if self.state not in {"active", "disabled"}:
            problems.append(FieldProblem("state", "active or disabled"))
        if problems:
            raise InvalidError(f"{problems[0].field}: {problems[0].message}", fields=problems)

    def columns(self) -> dict[str, Any]:
        """The columns of :class:`controller.store.tables.Cluster` that hold it."""
        amplifier = self.amplifier or Amplifier()
        return {
            **{name: getattr(self, name) for name in PLAIN},
            "languages": list(self.languages),
            "gains": {priority.name: db for priority, db in sorted((self.gains or {}).items())},
            "amplifier": {
                "port": amplifier.port,
                "pin": amplifier.pin,
                "lead_ms": round(amplifier.lead.total_seconds() * 1000),
                "tail_ms": round(amplifier.tail.total_seconds() * 1000),
            },
        }

    @classmethod
    def of(cls, entry: ClusterEntry) -> ClusterSpec:
        """What was said about an existing cluster."""
        plain = {name: getattr(entry, name) for name in PLAIN}
        return cls(**plain, languages=entry.languages, gains=dict(entry.gains), amplifier=entry.amplifier)


class ClusterService:
    """Use-cases around clusters."""

    def __init__(self, db: Database, directory: Directory, clock: Clock) -> None:
        self._db = db
        self._directory = directory
        self._clock = clock

    def readable(self, actor: Actor, area_id: str | None = None) -> list[ClusterEntry]:
        """The clusters the actor may read; with ``area_id`` only those in it and below it.

        Raises:
            NotFoundError: there is no such area.
        """
        if area_id is not None:
            self._directory.area(area_id)
            rows: Sequence[ClusterEntry] = self._directory.clusters_in(area_id)
        else:
            rows = tuple(self._directory.clusters.values())
        if actor.may_everywhere(Permission.READ):
            return list(rows)
        roots = {grant.area_id for grant in actor.grants if grant.area_id and grant.allows(Permission.READ)}
        allowed = {area.id for root in roots for area in self._directory.subtree(root)}
        return [cluster for cluster in rows if cluster.area_id in allowed]

    def get(self, actor: Actor, cluster_id: str) -> ClusterEntry:
        """One cluster.

        Raises:
            NotFoundError, ForbiddenError: there is none, or it may not be read.
        """
        return self._directory.require_cluster(actor, Permission.READ, cluster_id)

    async def create(self, actor: Actor, spec: ClusterSpec) -> ClusterEntry:
        """Add a cluster.

        Raises:
            InvalidError, NotFoundError, ForbiddenError, ConflictError: see the module's rules.
        """
        return (await self.create_many(actor, [spec]))[0]

    async def create_many(self, actor: Actor, specs: Sequence[ClusterSpec]) -> list[ClusterEntry]:
        """Add clusters, all of them or none.

        Raises:
            InvalidError: a field makes no sense; fields are named ``N.field`` with N counted from 0.
            NotFoundError, ForbiddenError, ConflictError: as for one.
        """
        self._check_new(actor, specs)
        rows = [tables.Cluster(id=new_id("cl"), created_at=self._clock.now(), **spec.columns()) for spec in specs]
        async with self._db.transaction(actor) as tx:
            tx.session.add_all(rows)
            for row in rows:
                tx.audit("cluster.create", row.id, {"name": row.name, "area": row.area_id})
            return [self._publish(tx, row) for row in rows]

    async def change(self, actor: Actor, cluster_id: str, changes: Mapping[str, Any]) -> ClusterEntry:
        """Change some fields of :class:`ClusterSpec`; what is not named stays.

        Raises:
            InvalidError, NotFoundError, ForbiddenError, ConflictError: see the module's rules.
        """
        entry = self._directory.require_cluster(actor, Permission.POLICY_EDIT, cluster_id)
        return await self._write(actor, entry, changes, "cluster.change")

    async def set_volume(self, actor: Actor, cluster_id: str, gains: Mapping[Priority, float]) -> ClusterEntry:
        """Set the gain of some classes; the others stay. 0 dB is the neutral value.

        Raises:
            InvalidError: out of :data:`GAIN_RANGE`.
            NotFoundError, ForbiddenError: there is no such cluster, or no right ``volume`` over it.
        """
        entry = self._directory.require_cluster(actor, Permission.VOLUME, cluster_id)
        return await self._write(actor, entry, {"gains": {**dict(entry.gains), **gains}}, "cluster.volume")

    async def delete(self, actor: Actor, cluster_id: str) -> None:
        """Delete a cluster that nothing belongs to.

        Raises:
            NotFoundError, ForbiddenError: there is no such cluster, or no right over it.
            ConflictError: an agent, a token or a play record belongs to it.
        """
        entry = self._directory.require_cluster(actor, Permission.POLICY_EDIT, cluster_id)
        async with self._db.transaction(actor) as tx:
            await self._refuse_if_used(tx, cluster_id)
            await tx.session.delete(await tx.session.get_one(tables.Cluster, cluster_id))
            tx.audit("cluster.delete", cluster_id, {"name": entry.name, "area": entry.area_id})
            tx.on_commit(lambda: self._directory.drop_cluster(cluster_id))

    async def _write(
        self, actor: Actor, entry: ClusterEntry, changes: Mapping[str, Any], action: AuditAction
    ) -> ClusterEntry:
        before = ClusterSpec.of(entry)
        said = {name: getattr(before, name) for name in ClusterSpec.__dataclass_fields__}
        spec = ClusterSpec(**{**said, **changes})
        spec.check()
        if spec.area_id != entry.area_id:
            self._directory.area(spec.area_id)
            self._directory.require(actor, Permission.POLICY_EDIT, spec.area_id)
        if (spec.name, spec.area_id) != (entry.name, entry.area_id):
            self._refuse_twin(spec, entry.id)
        old, new = before.columns(), spec.columns()
        async with self._db.transaction(actor) as tx:
            row = await tx.session.get_one(tables.Cluster, entry.id)
            row.sqlmodel_update(new)
            tx.session.add(row)
            tx.audit(action, entry.id, {name: [old[name], new[name]] for name in new if old[name] != new[name]})
            return self._publish(tx, row)

    def _check_new(self, actor: Actor, specs: Sequence[ClusterSpec]) -> None:
        problems: list[FieldProblem] = []
        seen: set[tuple[str, str]] = set()
        for index, spec in enumerate(specs):
            try:
                spec.check()
            except InvalidError as error:
                many = len(specs) > 1
                problems += [
                    FieldProblem(f"{index}.{one.field}" if many else one.field, one.message, one.code)
                    for one in error.fields
                ]
                continue
            self._directory.area(spec.area_id)
            self._directory.require(actor, Permission.POLICY_EDIT, spec.area_id)
            self._refuse_twin(spec, None)
            key = (spec.area_id, spec.name.casefold())
            if key in seen:
                raise ConflictError(f"{spec.name!r} stands twice in the list", code="name_taken")
            seen.add(key)
        if problems:
            raise InvalidError(f"{problems[0].field}: {problems[0].message}", fields=problems)

    def _refuse_twin(self, spec: ClusterSpec, own_id: str | None) -> None:
        for other in self._directory.clusters_directly_in(spec.area_id):
            if other.id != own_id and other.name.casefold() == spec.name.casefold():
                raise ConflictError(
                    f"there is already a cluster called {spec.name!r} in this area: {other.id}", code="name_taken"
                )

    async def _refuse_if_used(self, tx: Transaction, cluster_id: str) -> None:
        users: tuple[tuple[str, type[SQLModel], Any], ...] = (
            ("agents", tables.Agent, tables.Agent.cluster_id),
            ("provisioning tokens", tables.ProvisioningToken, tables.ProvisioningToken.cluster_id),
            ("play records", tables.PlayRecordRow, tables.PlayRecordRow.cluster_id),
        )
        for what, table, column in users:
            query = select(func.count()).select_from(table).where(col(column) == cluster_id)
            count = (await tx.session.exec(query)).one()
            if count:
                raise ConflictError(
                    f"{count} {what} belong to this cluster; set its state to 'disabled' instead", code="in_use"
                )

    def _publish(self, tx: Transaction, row: tables.Cluster) -> ClusterEntry:
        entry = ClusterEntry.of(row)
        tx.on_commit(lambda: self._directory.put_cluster(entry))
        return entry


def _place_problems(latitude: float | None, longitude: float | None) -> list[FieldProblem]:
    problems = []
    if (latitude is None) != (longitude is None):
        problems.append(FieldProblem("longitude" if longitude is None else "latitude", "give both or neither"))
    for name, value, limit in (("latitude", latitude, 90.0), ("longitude", longitude, 180.0)):
        if value is not None and not -limit <= value <= limit:
            problems.append(FieldProblem(name, f"-{limit:g} to {limit:g} degrees"))
    return problems


def _language_problems(languages: Sequence[str]) -> list[FieldProblem]:
    if not 1 <= len(languages) <= MAX_LANGUAGES:
        return [FieldProblem("languages", f"1 to {MAX_LANGUAGES} languages")]
    if len(set(languages)) != len(languages):
        return [FieldProblem("languages", "each language once")]
    return [
        FieldProblem(f"languages.{index}", f"{text!r} is not BCP 47; for example vi, bru, pac", "unknown_language")
        for index, text in enumerate(languages)
        if not _LANGUAGE.fullmatch(text)
    ]


def _gain_problems(gains: Mapping[Priority, float]) -> list[FieldProblem]:
    low, high = GAIN_RANGE
    return [
        FieldProblem(f"gains.{priority.name}", f"{low:g} to {high:g} dB")
        for priority, db in gains.items()
        if not low <= db <= high
    ]


def _amplifier_problems(amplifier: Amplifier) -> list[FieldProblem]:
    return [
        FieldProblem(f"amplifier.{name}_ms", f"0 to {AMPLIFIER_MAX_MS}")
        for name, value in (("lead", amplifier.lead), ("tail", amplifier.tail))
        if not 0 <= value.total_seconds() * 1000 <= AMPLIFIER_MAX_MS
    ]

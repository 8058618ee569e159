"""Loudspeaker clusters over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, Id, Line, OptionalLine, Page, PageQuery, Patch, Schema, paginate
from controller.services.clusters import (
    AMPLIFIER_MAX_MS,
    DELAY_MAX_MS,
    GAIN_RANGE,
    MAX_LANGUAGES,
    ClusterService,
    ClusterSpec,
)
from controller.services.context import Permission
from controller.services.directory import ClusterEntry, Directory
from controller.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from schedules.ladder import Priority
from schedules.model import DUCK_MAX_DB, DUCK_MIN_DB, DUCK_USUAL_DB, Amplifier

#: Clusters one import may bring.
IMPORT_MAX = 2_000

Language = Annotated[str, StringConstraints(min_length=2, max_length=35)]
Languages = Annotated[tuple[Language, ...], Field(min_length=1, max_length=MAX_LANGUAGES)]
Gain = Annotated[float, Field(ge=GAIN_RANGE[0], le=GAIN_RANGE[1])]
SoundClass = Literal[
    "EMERGENCY_LIVE",
    "EMERGENCY_STORED",
    "DRILL",
    "PRIORITY_BULLETIN",
    "COMMUNE_LIVE",
    "PROGRAMME",
    "RELAY",
    "FILLER",
    "TEST_TONE",
]
Gains = dict[SoundClass, Gain]


class AmplifierShape(Schema):
    """What switches the amplifier: nothing, or a GPIO pin some time before and after sound."""

    port: Literal["none", "gpio"] = "none"
    pin: int | None = Field(None, ge=0, le=1023)
    lead_ms: int = Field(0, ge=0, le=AMPLIFIER_MAX_MS)
    tail_ms: int = Field(0, ge=0, le=AMPLIFIER_MAX_MS)

    @model_validator(mode="after")
    def _pin_fits(self) -> AmplifierShape:
        if (self.port == "gpio") != (self.pin is not None):
            raise ValueError("port 'gpio' needs a pin, and 'none' has none")
        return self

    def value(self) -> Amplifier:
        """As the domain knows it."""
        return Amplifier(
            self.port, self.pin, timedelta(milliseconds=self.lead_ms), timedelta(milliseconds=self.tail_ms)
        )

    @classmethod
    def of(cls, amplifier: Amplifier) -> AmplifierShape:
        """From the domain's value."""
        lead, tail = (round(value.total_seconds() * 1000) for value in (amplifier.lead, amplifier.tail))
        return cls(port=amplifier.port, pin=amplifier.pin, lead_ms=lead, tail_ms=tail)


class ClusterChange(Patch):
    """What to change; what is not named stays."""

    name: Line = ""
    area_id: Id = ""
    latitude: float | None = Field(None, ge=-90, le=90)
    longitude: float | None = Field(None, ge=-180, le=180)
    languages: Languages = Field(("vi",), description="BCP 47, in the order of reading")
    contact_name: OptionalLine = ""
    contact_phone: OptionalLine = ""
    gains: Gains = Field({}, description="Decibels by class; a class that is absent plays at 0 dB")
    output_delay_ms: int = Field(0, ge=0, le=DELAY_MAX_MS, description="Positive = this cluster sounds later")
    duck_db: float | None = Field(
        None,
        ge=DUCK_MIN_DB,
        le=DUCK_MAX_DB,
        description=f"How much softer a relay or music goes on beneath a live announcement ({DUCK_USUAL_DB:g} is "
        "usual); null: it is silent beneath it",
    )
    amplifier: AmplifierShape = AmplifierShape()
    state: Literal["active", "disabled"] = "active"

    def changes(self) -> dict[str, Any]:
        """Only what was named, as the service knows it."""
        said: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        if "gains" in said:
            said["gains"] = _priorities(self.gains)
        if "amplifier" in said:
            said["amplifier"] = self.amplifier.value()
        return said


class NewCluster(ClusterChange):
    """A cluster to add."""

    name: Line
    area_id: Id

    def spec(self) -> ClusterSpec:
        """As the service knows it."""
        return ClusterSpec(**self.changes())


class ClusterImport(Schema):
    """Clusters to add, all or none."""

    clusters: tuple[NewCluster, ...] = Field(min_length=1, max_length=IMPORT_MAX)


class ClusterList(Schema):
    """Clusters that were added."""

    clusters: tuple[ClusterView, ...]


class Volume(Schema):
    """Gains to set; classes that are not named stay."""

    gains: Gains = Field(min_length=1)


class ClusterQuery(PageQuery):
    """Which clusters."""

    area_id: Id | None = Field(None, description="Only in this area and below it")


class ClusterView(Schema):
    """A cluster, with what holds there and the agents that sound for it."""

    id: str
    area_id: str
    name: str
    latitude: float | None
    longitude: float | None
    languages: tuple[str, ...]
    contact_name: str
    contact_phone: str
    gains: dict[str, float]
    output_delay_ms: int
    duck_db: float | None
    amplifier: AmplifierShape
    state: str
    timezone: str
    agents: tuple[str, ...]


class ClusterRoutes:
    """Operations on clusters."""

    def __init__(self, clusters: ClusterService, directory: Directory) -> None:
        self._clusters = clusters
        self._directory = directory

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        read, edit = Permission.READ, Permission.POLICY_EDIT
        one = "/api/v1/clusters/{cluster_id}"
        missing = (NotFoundError, ForbiddenError)
        usual = (*missing, ConflictError, InvalidError)
        return (
            route("GET", "/api/v1/clusters", "listClusters", read, self.list_clusters, query=ClusterQuery,
                  summary="Clusters you may read", returns=Page[ClusterView], errors=missing),
            route("POST", "/api/v1/clusters", "createCluster", edit, self.create, summary="Add a cluster",
                  body=NewCluster, returns=ClusterView, status=201, errors=usual),
            route("POST", "/api/v1/clusters/import", "importClusters", edit, self.import_many, body=ClusterImport,
                  summary="Add many clusters, all or none", returns=ClusterList, status=201, errors=usual),
            route("GET", one, "getCluster", read, self.get, summary="One cluster", returns=ClusterView, errors=missing),
            route("PATCH", one, "changeCluster", edit, self.change, summary="Change a cluster", body=ClusterChange,
                  returns=ClusterView, errors=usual),
            route("DELETE", one, "deleteCluster", edit, self.delete, summary="Delete an unused cluster",
                  errors=(*missing, ConflictError)),
            route("PUT", f"{one}/volume", "setVolume", Permission.VOLUME, self.set_volume, body=Volume,
                  summary="Set the gain of some classes", returns=ClusterView, errors=(*missing, InvalidError)),
        )  # fmt: skip

    async def list_clusters(self, call: Call[Empty, ClusterQuery]) -> Page[ClusterView]:
        """Clusters the actor may read, by name."""
        rows = self._clusters.readable(call.actor, call.query.area_id)
        return paginate(rows, call.query, key=lambda cluster: f"{cluster.name}\0{cluster.id}", show=self._view)

    async def create(self, call: Call[NewCluster, Empty]) -> ClusterView:
        """Add a cluster."""
        return self._view(await self._clusters.create(call.actor, call.body.spec()))

    async def import_many(self, call: Call[ClusterImport, Empty]) -> ClusterList:
        """Add many."""
        specs = [one.spec() for one in call.body.clusters]
        entries = await self._clusters.create_many(call.actor, specs)
        return ClusterList(clusters=tuple(self._view(entry) for entry in entries))

    async def get(self, call: Call[Empty, Empty]) -> ClusterView:
        """One cluster."""
        return self._view(self._clusters.get(call.actor, call.path["cluster_id"]))

    async def change(self, call: Call[ClusterChange, Empty]) -> ClusterView:
        """Change what was named."""
        return self._view(await self._clusters.change(call.actor, call.path["cluster_id"], call.body.changes()))

    async def delete(self, call: Call[Empty, Empty]) -> None:
        """Delete an unused cluster."""
        await self._clusters.delete(call.actor, call.path["cluster_id"])

    async def set_volume(self, call: Call[Volume, Empty]) -> ClusterView:
        """Set gains."""
        gains = _priorities(call.body.gains)
        return self._view(await self._clusters.set_volume(call.actor, call.path["cluster_id"], gains))

    def _view(self, cluster: ClusterEntry) -> ClusterView:
        return ClusterView(
            id=cluster.id,
            area_id=cluster.area_id,
            name=cluster.name,
            latitude=cluster.latitude,
            longitude=cluster.longitude,
            languages=cluster.languages,
            contact_name=cluster.contact_name,
            contact_phone=cluster.contact_phone,
            gains={priority.name: db for priority, db in cluster.gains},
            output_delay_ms=cluster.output_delay_ms,
            duck_db=cluster.duck_db,
            amplifier=AmplifierShape.of(cluster.amplifier),
            state=cluster.state,
            timezone=self._directory.timezone_of(cluster.area_id),
            agents=tuple(sorted(self._directory.agents_of([cluster.id]))),
        )


def _priorities(gains: Gains) -> dict[Priority, float]:
    return {Priority[name]: db for name, db in gains.items()}

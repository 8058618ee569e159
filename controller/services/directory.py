"""Places, agents and people in memory: what every decision reads, so that none of them waits for the database.

Rules kept here:

1. The directory mirrors the database. It is loaded once at start (:meth:`Directory.load`); after that a use-case puts a
   new entry in ``tx.on_commit`` of the transaction that wrote it, so memory is never ahead of the disk.
2. Reading never awaits. STOP uses nothing else: token, grants and targets come from here while the database is locked.
3. Entries are frozen; a change is a new entry. Everything runs in the event loop's thread.
4. Policy is inherited: an area that says nothing about zone, quiet hours or caps has those of its nearest ancestor
   that does; with none, :data:`DEFAULT_ZONE` and the defaults of :class:`schedules.model.ClusterSettings`.

Not here: how entries are written (:mod:`controller.services.areas` and its neighbours).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from typing import TypeVar

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controller.services.context import Actor, Permission, Role, RoleGrant
from controller.services.entries import AgentEntry, AreaEntry, ClusterEntry, TokenEntry, UserEntry, ZoneEntry
from controller.services.errors import ConflictError, ForbiddenError, NotFoundError, SecondFactorError
from controller.store import tables
from schedules.model import MAX_ITEM, MAX_RELAY, ClusterSettings, QuietHours

#: The zone of an installation whose areas name none.
DEFAULT_ZONE = "Asia/Ho_Chi_Minh"
#: Default quiet hours (DESIGN, section 5).
DEFAULT_QUIET = QuietHours(time(21, 30), time(4, 45))


@dataclass(frozen=True, slots=True)
class Change:
    """What was put or dropped: ``kind`` is area, cluster, zone, agent, user or token.

    ``areas``: where it is and where it was before; ``users``: whose it is. Not part of what makes two changes equal.
    """

    kind: str
    id: str
    removed: bool = False
    areas: frozenset[str] = field(default=frozenset(), compare=False)
    users: frozenset[str] = field(default=frozenset(), compare=False)


Listener = Callable[[Change], None]
_Entry = TypeVar("_Entry", AreaEntry, ClusterEntry)


class Directory:
    """The memory of places, agents and people. See the module's rules."""

    def __init__(self, *, guarded: frozenset[Permission] = frozenset(), own_passwords: bool = True) -> None:
        """Prepare.

        Args:
            guarded: verbs that are withheld from sessions that were opened without a second factor.
            own_passwords: people choose a password of their own before anything else; in a demo nobody has one.
        """
        self._guarded = guarded
        self._own_passwords = own_passwords
        self.areas: dict[str, AreaEntry] = {}
        self.clusters: dict[str, ClusterEntry] = {}
        self.zones: dict[str, ZoneEntry] = {}
        self.agents: dict[str, AgentEntry] = {}
        self.users: dict[str, UserEntry] = {}
        self.tokens: dict[str, TokenEntry] = {}
        self._children: defaultdict[str | None, set[str]] = defaultdict(set)
        self._clusters_in: defaultdict[str, set[str]] = defaultdict(set)
        self._agents_of: defaultdict[str, set[str]] = defaultdict(set)
        self._effective: dict[str, ClusterSettings] = {}  # as asked for, until something it was made of changes
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """Call ``listener`` after every change. It runs in the event loop, must be quick and must not raise."""
        self._listeners.append(listener)

    async def load(self, session: AsyncSession) -> None:
        """Fill from the database (at start)."""
        for area in await session.exec(select(tables.Area)):
            self.put_area(AreaEntry.of(area))
        for cluster in await session.exec(select(tables.Cluster)):
            self.put_cluster(ClusterEntry.of(cluster))
        for zone in await session.exec(select(tables.Zone)):
            self.put_zone(ZoneEntry.of(zone))
        for agent in await session.exec(select(tables.Agent)):
            self.put_agent(AgentEntry.of(agent))
        grants: defaultdict[str, list[RoleGrant]] = defaultdict(list)
        for grant in await session.exec(select(tables.Grant)):
            grants[grant.user_id].append(RoleGrant(Role(grant.role), grant.area_id))
        confirmed = select(tables.SecondFactor.user_id).where(col(tables.SecondFactor.confirmed_at).is_not(None))
        enrolled = set(await session.exec(confirmed))
        for user in await session.exec(select(tables.User)):
            own = tuple(grants[user.id])
            self.put_user(UserEntry.of(user, own, second_factor=user.id in enrolled))
        for token in await session.exec(select(tables.Token)):
            self.put_token(TokenEntry.of(token))

    # --- writing ---

    def put_area(self, entry: AreaEntry) -> None:
        """Add or replace an area."""
        old = self.areas.get(entry.id)
        if old is not None:
            self._children[old.parent_id].discard(entry.id)
        self.areas[entry.id] = entry
        self._children[entry.parent_id].add(entry.id)
        self._effective.clear()
        self._tell(Change("area", entry.id, areas=_some(entry.id, None if old is None else old.parent_id)))

    def drop_area(self, area_id: str) -> None:
        """Forget an area."""
        entry = self.areas.pop(area_id)
        self._children[entry.parent_id].discard(area_id)
        self._effective.clear()
        self._tell(Change("area", area_id, removed=True, areas=_some(entry.parent_id)))

    def put_cluster(self, entry: ClusterEntry) -> None:
        """Add or replace a cluster."""
        old = self.clusters.get(entry.id)
        if old is not None:
            self._clusters_in[old.area_id].discard(entry.id)
        self.clusters[entry.id] = entry
        self._clusters_in[entry.area_id].add(entry.id)
        self._effective.pop(entry.id, None)
        self._tell(Change("cluster", entry.id, areas=_some(entry.area_id, None if old is None else old.area_id)))

    def drop_cluster(self, cluster_id: str) -> None:
        """Forget a cluster."""
        entry = self.clusters.pop(cluster_id)
        self._clusters_in[entry.area_id].discard(cluster_id)
        self._effective.pop(cluster_id, None)
        self._tell(Change("cluster", cluster_id, removed=True, areas=_some(entry.area_id)))

    def put_zone(self, entry: ZoneEntry) -> None:
        """Add or replace a zone."""
        old = self.zones.get(entry.id)
        self.zones[entry.id] = entry
        self._tell(Change("zone", entry.id, areas=_some(entry.area_id, None if old is None else old.area_id)))

    def drop_zone(self, zone_id: str) -> None:
        """Forget a zone."""
        entry = self.zones.pop(zone_id)
        self._tell(Change("zone", zone_id, removed=True, areas=_some(entry.area_id)))

    def put_agent(self, entry: AgentEntry) -> None:
        """Add or replace an agent."""
        old = self.agents.get(entry.id)
        if old is not None and old.cluster_id is not None:
            self._agents_of[old.cluster_id].discard(entry.id)
        self.agents[entry.id] = entry
        if entry.cluster_id is not None:
            self._agents_of[entry.cluster_id].add(entry.id)
        self._tell(Change("agent", entry.id, areas=self._areas_of(entry, old)))

    def drop_agent(self, agent_id: str) -> None:
        """Forget an agent."""
        entry = self.agents.pop(agent_id)
        if entry.cluster_id is not None:
            self._agents_of[entry.cluster_id].discard(agent_id)
        self._tell(Change("agent", agent_id, removed=True, areas=self._areas_of(entry)))

    def put_user(self, entry: UserEntry) -> None:
        """Add or replace a user, grants included."""
        self.users[entry.id] = entry
        self._tell(Change("user", entry.id, users=frozenset({entry.id})))

    def put_token(self, entry: TokenEntry) -> None:
        """Add or replace a session."""
        self.tokens[entry.hash] = entry
        self._tell(Change("token", entry.hash, users=frozenset({entry.user_id})))

    def drop_tokens(self, hashes: Iterable[str]) -> None:
        """Forget sessions, those that are there."""
        for digest in hashes:
            entry = self.tokens.pop(digest, None)
            if entry is not None:
                self._tell(Change("token", digest, removed=True, users=frozenset({entry.user_id})))

    def _areas_of(self, *agents: AgentEntry | None) -> frozenset[str]:
        clusters = (self.clusters.get(each.cluster_id or "") for each in agents if each is not None)
        return frozenset(cluster.area_id for cluster in clusters if cluster is not None)

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)

    # --- people ---

    def actor_of_token(self, token_hash: str, now: datetime, *, use: bool = True) -> Actor | None:
        """Who comes with this token, or None when it is unknown, expired, or its user is disabled.

        ``use`` False: only looked at, by what lasts (a stream of events): it does not keep the session from idling out.
        """
        token = self.tokens.get(token_hash)
        if token is None or not token.alive(now):
            return None
        user = self.users.get(token.user_id)
        if user is None or user.disabled:
            return None
        if use:
            self.tokens[token_hash] = replace(token, last_used=max(now, token.last_used))
        return self.actor(user, token_hash, second_factor=token.second_factor)

    def actor(self, user: UserEntry, token_hash: str, *, second_factor: bool) -> Actor:
        """A user in a session. What a session without a second factor may not use is decided here and nowhere else."""
        withheld = frozenset() if second_factor else self._guarded
        must_change = user.must_change and self._own_passwords
        return Actor(user.id, user.name, user.grants, token_hash, second_factor, withheld, must_change)

    def wants_second_factor(self, actor: Actor) -> bool:
        """Whether a role of theirs holds what is withheld from sessions without one."""
        return any(actor.granted(verb) for verb in self._guarded)

    def allows(self, actor: Actor, permission: Permission, area_id: str | None) -> bool:
        """Whether ``actor`` has the verb over ``area_id`` (None: over everything)."""
        return permission not in actor.withheld and self._granted(actor, permission, area_id)

    def allows_within(self, actor: Actor, permission: Permission, area_id: str) -> bool:
        """Whether ``actor`` has the verb over ``area_id``, or over some area that lies in it."""
        if self.allows(actor, permission, area_id):
            return True
        held = (grant.area_id for grant in actor.grants if grant.area_id is not None and grant.allows(permission))
        return permission not in actor.withheld and any(
            node.id == area_id for held_id in held for node in self.lineage(held_id)
        )

    def _granted(self, actor: Actor, permission: Permission, area_id: str | None) -> bool:
        held = {grant.area_id for grant in actor.grants if grant.allows(permission)}
        if None in held or not held:
            return bool(held)
        return area_id is not None and any(node.id in held for node in self.lineage(area_id))

    def require(self, actor: Actor, permission: Permission, area_id: str | None) -> None:
        """Let through who has the verb over ``area_id`` (None: over everything).

        Raises:
            ForbiddenError: they have not.
            SecondFactorError: they have, but not in this session.
        """
        if not self._granted(actor, permission, area_id):
            where = f"area {area_id}" if area_id is not None else "the whole installation"
            raise ForbiddenError(f"you need the right '{permission}' over {where}; ask an administrator for a role")
        if permission in actor.withheld:
            raise SecondFactorError

    def require_any(self, actor: Actor, permissions: Sequence[Permission], area_id: str) -> None:
        """Let through who has one of the verbs over ``area_id``.

        Raises:
            ForbiddenError: they have none.
            SecondFactorError: they have, but not in this session.
        """
        if not any(self.allows(actor, each, area_id) for each in permissions):
            granted = (each for each in permissions if self._granted(actor, each, area_id))
            self.require(actor, next(granted, permissions[0]), area_id)

    def require_everywhere(self, actor: Actor, permission: Permission) -> None:
        """Let through who has the verb over everything, or over the area of each cluster there is.

        Raises:
            ForbiddenError: it is missing somewhere.
        """
        areas = {cluster.area_id for cluster in self.clusters.values()}
        if not areas or not all(self.allows(actor, permission, area_id) for area_id in areas):
            self.require(actor, permission, None)

    def require_cluster(self, actor: Actor, permission: Permission, cluster_id: str) -> ClusterEntry:
        """Let through who has the verb over the cluster's area; returns the cluster.

        Raises:
            NotFoundError: there is no such cluster.
            ForbiddenError: the right is missing.
        """
        cluster = self.cluster(cluster_id)
        self.require(actor, permission, cluster.area_id)
        return cluster

    def user_named(self, name: str) -> UserEntry | None:
        """The user with this sign-in name (upper and lower case are the same)."""
        wanted = name.casefold()
        return next((user for user in self.users.values() if user.name.casefold() == wanted), None)

    def called(self, name: str) -> str:
        """What people call the user with this sign-in name; empty when nothing else is known."""
        user = self.user_named(name)
        return "" if user is None else user.display_name

    # --- places ---

    def area(self, area_id: str) -> AreaEntry:
        """One area.

        Raises:
            NotFoundError: there is none with this id.
        """
        if area_id not in self.areas:
            raise NotFoundError(f"there is no area {area_id!r}", code="area_not_found")
        return self.areas[area_id]

    def cluster(self, cluster_id: str) -> ClusterEntry:
        """One cluster.

        Raises:
            NotFoundError: there is none with this id.
        """
        if cluster_id not in self.clusters:
            raise NotFoundError(f"there is no cluster {cluster_id!r}", code="cluster_not_found")
        return self.clusters[cluster_id]

    def zone(self, zone_id: str) -> ZoneEntry:
        """One zone.

        Raises:
            NotFoundError: there is none with this id.
        """
        if zone_id not in self.zones:
            raise NotFoundError(f"there is no zone {zone_id!r}", code="zone_not_found")
        return self.zones[zone_id]

    def agent(self, agent_id: str) -> AgentEntry:
        """One agent.

        Raises:
            NotFoundError: there is none with this id.
        """
        if agent_id not in self.agents:
            raise NotFoundError(f"there is no agent {agent_id!r}", code="agent_not_found")
        return self.agents[agent_id]

    def find_cluster(self, text: str) -> ClusterEntry:
        """A cluster by id or by a name that only one has.

        Raises:
            NotFoundError: nothing is called so.
            ConflictError: several are.
        """
        if text in self.clusters:
            return self.clusters[text]
        return _only(text, "cluster", [entry for entry in self.clusters.values() if entry.name == text])

    def find_area(self, text: str) -> AreaEntry:
        """An area by id or by a name that only one has.

        Raises:
            NotFoundError: nothing is called so.
            ConflictError: several are.
        """
        if text in self.areas:
            return self.areas[text]
        return _only(text, "area", [entry for entry in self.areas.values() if entry.name == text])

    def lineage(self, area_id: str) -> Iterator[AreaEntry]:
        """The area, its parent, and so on up to the root."""
        node = self.areas.get(area_id)
        while node is not None:
            yield node
            node = self.areas.get(node.parent_id) if node.parent_id is not None else None

    def subtree(self, area_id: str) -> Iterator[AreaEntry]:
        """The area and everything below it, parents before children."""
        waiting = [area_id]
        while waiting:
            node = waiting.pop()
            if node in self.areas:
                yield self.areas[node]
                waiting.extend(sorted(self._children[node], reverse=True))

    def children(self, area_id: str | None) -> tuple[AreaEntry, ...]:
        """The areas directly below (None: the roots), by name."""
        return tuple(sorted((self.areas[child] for child in self._children[area_id]), key=lambda area: area.name))

    def clusters_in(self, area_id: str) -> tuple[ClusterEntry, ...]:
        """The clusters of this area and of everything below it."""
        ids = (cluster for area in self.subtree(area_id) for cluster in sorted(self._clusters_in[area.id]))
        return tuple(self.clusters[cluster] for cluster in ids)

    def clusters_directly_in(self, area_id: str) -> tuple[ClusterEntry, ...]:
        """The clusters of this area itself, without those below it."""
        return tuple(self.clusters[cluster] for cluster in sorted(self._clusters_in.get(area_id, ())))

    def clusters_of(self, *, areas: Iterable[str] = (), clusters: Iterable[str] = ()) -> frozenset[str]:
        """Ids of the clusters that a list of areas and clusters means (ids that do not exist are left out)."""
        inside = {entry.id for area in areas for entry in self.clusters_in(area)}
        return frozenset(inside | {cluster for cluster in clusters if cluster in self.clusters})

    def members(self, zone: ZoneEntry) -> tuple[str, ...]:
        """The clusters of a zone now: those that still exist and still lie in the area it belongs to."""
        return tuple(one for one in zone.clusters if one in self.clusters and self.lies_in(one, zone.area_id))

    def clusters_of_zones(self, zones: Iterable[str]) -> frozenset[str]:
        """The clusters that zones mean now. To name a zone is to name these: the same rights are asked for.

        Raises:
            NotFoundError: a zone does not exist.
        """
        return frozenset(member for zone_id in zones for member in self.members(self.zone(zone_id)))

    def lies_in(self, cluster_id: str, area_id: str) -> bool:
        """Whether a cluster stands in this area or below it."""
        return any(node.id == area_id for node in self.lineage(self.clusters[cluster_id].area_id))

    def agents_of(self, clusters: Iterable[str]) -> frozenset[str]:
        """Ids of the approved agents that sound for these clusters."""
        found = (agent for cluster in clusters for agent in self._agents_of.get(cluster, ()))
        return frozenset(agent for agent in found if self.agents[agent].approved)

    # --- policy ---

    def timezone_of(self, area_id: str) -> str:
        """The IANA zone that holds in an area."""
        return next((node.timezone for node in self.lineage(area_id) if node.timezone is not None), DEFAULT_ZONE)

    def house_timezone(self) -> str:
        """The zone of the installation as a whole: that of its roots when they agree."""
        zones = {self.timezone_of(root.id) for root in self.children(None)}
        return zones.pop() if len(zones) == 1 else DEFAULT_ZONE

    def quiet_of(self, area_id: str) -> QuietHours | None:
        """The quiet hours that hold in an area, None when it has none."""
        said = next((node.quiet for node in self.lineage(area_id) if node.quiet is not None), DEFAULT_QUIET)
        return said if isinstance(said, QuietHours) else None

    def effective_settings(self, cluster_id: str) -> ClusterSettings:
        """What holds at one cluster: its own settings under the policy of its areas.

        Raises:
            NotFoundError: there is no such cluster.
        """
        known = self._effective.get(cluster_id)
        if known is None:
            known = self._effective[cluster_id] = self._settings_of(self.cluster(cluster_id))
        return known

    def _settings_of(self, cluster: ClusterEntry) -> ClusterSettings:
        lineage = tuple(self.lineage(cluster.area_id))
        return ClusterSettings(
            cluster_id=cluster.id,
            timezone=self.timezone_of(cluster.area_id),
            quiet_hours=self.quiet_of(cluster.area_id),
            gains=cluster.gains,
            output_delay=timedelta(milliseconds=cluster.output_delay_ms),
            duck_db=cluster.duck_db,
            amplifier=cluster.amplifier,
            languages=cluster.languages,
            max_item=next((node.max_item for node in lineage if node.max_item is not None), MAX_ITEM),
            max_relay=next((node.max_relay for node in lineage if node.max_relay is not None), MAX_RELAY),
        )


def _some(*areas: str | None) -> frozenset[str]:
    return frozenset(area for area in areas if area is not None)


def _only(text: str, kind: str, found: list[_Entry]) -> _Entry:
    if not found:
        raise NotFoundError(f"there is no {kind} {text!r}", code=f"{kind}_not_found")
    if len(found) > 1:
        ids = ", ".join(sorted(entry.id for entry in found)[:5])
        raise ConflictError(f"several are called {text!r}; use the id: {ids}", code="name_ambiguous")
    return found[0]


__all__ = [
    "DEFAULT_QUIET",
    "DEFAULT_ZONE",
    "AgentEntry",
    "AreaEntry",
    "Change",
    "ClusterEntry",
    "Directory",
    "Listener",
    "TokenEntry",
    "UserEntry",
    "ZoneEntry",
]

"""The composition root of one agent: from an empty folder to a supervised, sounding cluster.

Used by ``loa-agent run`` once and by ``loa-agent swarm`` hundreds of times in a process. In order:

1. Own key, pins and database are opened (or made); what is damaged is set aside and reported.
2. An agent that nobody enrolled enrols: by its token, or by eight digits on its status page.
3. What the disk holds is verified again, the player is opened, and the loops of :class:`agent.cluster.Cluster` run.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from agent.cache.database import Database
from agent.cache.pins import PinFile, Pins, own_key
from agent.cache.state import Batch, Key, StateStore
from agent.cluster import Cluster, Memory, dac_ppm
from agent.config import AgentConfig
from agent.errors import AgentError, ConfigError
from agent.host import Host
from agent.link.archive import Shelves, read_shelves, restore
from agent.link.backoff import Backoff
from agent.link.enrolment import CodeEnrolment, enrol_by_token
from agent.link.locate import Locator
from agent.link.transport import Socket
from agent.supervise import Supervisor
from agent.watch import Watch
from audio.playout import Decoding, EnginePlayer, Player, TimedPlayer, open_output
from protocol.counters import Counters
from protocol.documents import DocumentKind
from protocol.enrolment import Pinned
from protocol.errors import ProtocolError
from protocol.keys import SigningKey, agent_id_of

log = structlog.get_logger("agent")

PlayerMaker = Callable[[float], Player]

KEY_NAME = "agent.key"
PINS_NAME = "pins.json"
DATABASE_NAME = "agent.db"


@dataclass(frozen=True, slots=True)
class Disk:
    """An agent's own files, opened."""

    identity: SigningKey
    pin_file: PinFile
    pins: Pins | None
    store: StateStore
    database: Database


def open_disk(data: Path | None, now: datetime) -> Disk:
    """Open (or make) the files of one agent. Blocking.

    Raises:
        StorageError: they cannot be opened.
    """
    pin_file = PinFile(None if data is None else data / PINS_NAME)
    database = Database(None if data is None else data / DATABASE_NAME)
    database.open(now)
    store = StateStore(database)
    store.open()
    identity = own_key(None if data is None else data / KEY_NAME)
    return Disk(identity, pin_file, pin_file.read(), store, database)


def player_maker(output: str | None, decoding: Decoding | None = None) -> PlayerMaker:
    """How this agent sounds: through ``output``, or (None) by keeping time without decoding."""

    def make(ppm: float) -> Player:
        if output is None:
            return TimedPlayer()
        return EnginePlayer(open_output(output), dac_ppm=ppm, decoding=decoding)

    return make


class Agent:
    """One complete agent."""

    def __init__(self, host: Host, config: AgentConfig, make_player: PlayerMaker | None = None) -> None:
        self._host = host
        self._config = config
        self._make_player = make_player or player_maker(config.output)
        self._enrolment: CodeEnrolment | None = None
        self.watch = Watch(host.clock, self._wall_now, name=config.name)
        self.supervisor = Supervisor(host.clock, name=config.name or "agent")
        self.agent_id = ""
        self.cluster_id = ""
        self.cluster: Cluster | None = None
        #: Set once everything on the disk was verified and the conductor is about to run.
        self.ready = asyncio.Event()

    @property
    def state(self) -> str:
        """``starting``, ``enrolling``, ``waiting`` (for people) or ``working``."""
        if self.cluster is not None:
            return "working"
        if self.digits is not None:
            return "waiting"
        return "enrolling" if self.agent_id else "starting"

    @property
    def digits(self) -> str | None:
        """The eight digits to compare, while an enrolment waits for people."""
        return None if self._enrolment is None else self._enrolment.digits

    def confirm(self, digits: str) -> bool:
        """The person at the agent says what the desk shows; whether it is the same."""
        return self._enrolment is not None and self._enrolment.confirm(digits)

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            StorageError: the data directory cannot be used.
            SupervisionError: a loop keeps crashing.
        """
        loop, host = asyncio.get_running_loop(), self._host
        disk = await loop.run_in_executor(host.disk(self._config.data), open_disk, self._config.data, host.clock.wall())
        try:
            await self._work(disk)
        finally:
            await loop.run_in_executor(None, disk.database.close)

    async def _work(self, disk: Disk) -> None:
        self.agent_id = agent_id_of(disk.identity.public)
        if disk.database.lost is not None:
            self.watch.report("state_lost", f"the database was damaged; it lies at {disk.database.lost.name}")
        pins = disk.pins or await self._enrol(disk)
        self.cluster_id = pins.cluster_id
        loop = asyncio.get_running_loop()
        worker = self._host.disk(self._config.data)
        shelves: Shelves = await loop.run_in_executor(worker, read_shelves, disk.store)
        archive = await loop.run_in_executor(worker, restore, self.agent_id, pins, shelves)
        memory = Memory(disk.store, pins, disk.pin_file, shelves, archive)
        player = self._make_player(dac_ppm(shelves.values, self._config.output or ""))
        self.cluster = Cluster(
            self._host, self._config, identity=disk.identity, player=player, memory=memory, watch=self.watch
        )
        self.ready.set()
        try:
            await self.supervisor.run(self.cluster.children())
        finally:
            await self.cluster.close()

    # -- enrolment ----------------------------------------------------------------------------------------

    async def _enrol(self, disk: Disk) -> Pins:
        provisioning = self._config.provisioning
        root = None if provisioning is None else provisioning.root
        configured = self._config.controller or (provisioning.controller if provisioning else None)
        locator = Locator(configured, self._host.finder, draw=self._host.random)
        if root is not None and self._host.finder is not None:
            self._host.finder.want(root)
        self.ready.set()  # an agent that waits to be enrolled is doing its work
        backoff = Backoff(self._host.random)
        while True:
            pins = await self._try_enrol(disk, locator, root)
            if pins is not None:
                return pins
            await asyncio.sleep(backoff.next_delay_s())

    async def _try_enrol(self, disk: Disk, locator: Locator, root: str | None) -> Pins | None:
        try:
            for address in await locator.addresses(root):
                socket = await self._host.transport.open(address, "enrol")
                try:
                    pinned = await self._converse(socket, disk.identity)
                finally:
                    self._enrolment = None
                    await socket.close()
                pins = await self._keep(disk, pinned, address.base)
                for fault in self.watch.faults:
                    self.watch.clear_fault(fault.code)
                log.info("enrolled", agent=self.agent_id, cluster=pins.cluster_id, controller=address.base)
                return pins
        except ProtocolError as error:
            self.watch.report(error.code, f"enrolment: {error.detail}")
            self.watch.raise_fault("not_enrolled", error.detail)
        except ConfigError:
            raise
        except AgentError as error:
            self.watch.raise_fault("not_enrolled", str(error))
        return None

    async def _converse(self, socket: Socket, identity: SigningKey) -> Pinned:
        provisioning = self._config.provisioning
        reading = self._host.timekeeper.read()
        now = self._host.clock.wall() if reading.source else None
        if provisioning is not None:
            tokens = provisioning.tokens
            if self._config.token_index >= len(tokens):
                message = (
                    f"the provisioning file has {len(tokens)} tokens, and this is agent {self._config.token_index + 1}"
                )
                raise ConfigError("bad_provisioning", message)
            token = tokens[self._config.token_index]
            return await enrol_by_token(socket, identity, root=provisioning.root, token=token, now=now)
        self._enrolment = CodeEnrolment(socket, identity)
        return await self._enrolment.run(now=now, told=self._show)

    def _show(self, digits: str) -> None:
        log.info("compare these digits at the desk, then: loa-agent confirm", digits=digits)
        self.watch.raise_fault("waiting_for_approval", f"compare the digits {digits} at the desk and approve")

    async def _keep(self, disk: Disk, pinned: Pinned, controller: str) -> Pins:
        """Write down what was agreed, key set included, before anything else."""
        verified = pinned.key_set
        counters = Counters({DocumentKind.KEY_SET: verified.counters.marks[DocumentKind.KEY_SET]})
        pins = Pins(pinned.root_public, pinned.cluster_id, controller, counters)
        batch = first_batch(pins, verified.envelope)

        def write() -> None:
            disk.store.apply(batch)
            disk.pin_file.write(pins)

        await asyncio.get_running_loop().run_in_executor(self._host.disk(self._config.data), write)
        return pins

    def _wall_now(self) -> datetime:
        if self.cluster is not None:
            return self.cluster.wall.now(self._host.clock.mono_us())
        return self._host.clock.wall()


def first_batch(pins: Pins, key_set: bytes) -> Batch:
    """What the database learns from an enrolment."""
    return Batch(
        memory={
            Key.ROOT: pins.root_public.hex().encode(),
            Key.CLUSTER: pins.cluster_id.encode(),
            Key.KEY_SET: key_set,
            Key.COUNTERS: json.dumps(pins.counters.to_dict()).encode(),
        }
    )

"""Letting boxes in: tokens, digits, revoking. Over real sockets and a real database."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from sqlmodel import select

from controller.gateway import GatewayLimits
from controller.services.enrolment import PENDING_MAX
from controller.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from controller.store import tables
from protocol.enrolment import AgentCode, AgentToken
from protocol.handshake import Peer
from protocol.keys import SigningKey, agent_id_of
from protocol.messages import Challenge, Enrolled, EnrolNonce, EnrolPending, Message, Refused, decode, encode
from tests.unit.controller.gateway_kit import ADMIN, VIEWER, SmallAgent, World, eventually, world_in


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with world_in(tmp_path, secure=request.param) as one:
        yield one


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as one:
        yield one


async def hear(ws: aiohttp.ClientWebSocketResponse) -> Message:
    return decode(await ws.receive_str(timeout=5))


async def by_token(world: World, key: SigningKey, token: str) -> Message:
    """Give a token; the controller's last word."""
    ws = await world.http.ws_connect(f"{world.url}/enrol", ssl=world.ssl)
    agent = AgentToken(
        key,
        root=world.vault.root_fingerprint,
        token=token,
        certificate=world.certificate,
        nonce=secrets.token_bytes(32),
        software="test 1",
    )
    await ws.send_str(encode(agent.hello()))
    challenge = await hear(ws)
    if isinstance(challenge, Challenge):
        await ws.send_str(encode(agent.on_challenge(challenge, now=world.clock.now())))
        answer = await hear(ws)
        if isinstance(answer, Enrolled):
            assert agent.on_enrolled(answer).root_public == world.vault.root_public
        await ws.close()
        return answer
    return challenge


class Comparing:
    """A box on the digits' route."""

    def __init__(self, world: World, key: SigningKey | None = None) -> None:
        self.world = world
        self.key = key or SigningKey.generate()
        self.id = agent_id_of(self.key.public)
        self.code = AgentCode(
            self.key, certificate=world.certificate, nonce=secrets.token_bytes(32), software="test 1", confirmed=True
        )
        self.ws: aiohttp.ClientWebSocketResponse

    async def begin(self) -> Message:
        self.ws = await self.world.http.ws_connect(f"{self.world.url}/enrol", ssl=self.world.ssl)
        await self.ws.send_str(encode(self.code.commit()))
        nonce = await hear(self.ws)
        if not isinstance(nonce, EnrolNonce):
            return nonce
        await self.ws.send_str(encode(self.code.on_nonce(nonce, now=self.world.clock.now())))
        return await hear(self.ws)


async def test_a_token_lets_one_box_in_once(world: World) -> None:
    made, _ = await world.enrolment.provision(ADMIN, ["cl_a"], controller=None)
    key, thief = SigningKey.generate(), SigningKey.generate()
    enrolled = await by_token(world, key, made.tokens[0])
    assert isinstance(enrolled, Enrolled)
    assert enrolled.cluster_id == "cl_a"
    again = await by_token(world, key, made.tokens[0])  # its answer was lost
    assert isinstance(again, Enrolled)
    refused = await by_token(world, thief, made.tokens[0])
    assert isinstance(refused, Refused)
    assert refused.code == "token_used"
    await SmallAgent(world, key).connect()
    async with world.db.read() as session:
        tokens = list(await session.exec(select(tables.ProvisioningToken)))
        actions = [row.action for row in await session.exec(select(tables.Audit))]
    assert made.tokens[0] not in str(tokens)
    assert actions == ["agent.provision", "agent.enrol"]


async def test_a_token_expires(plain: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made, expires = await plain.enrolment.provision(ADMIN, ["cl_a"], controller=None, life=timedelta(minutes=1))
    monkeypatch.setattr(plain.clock, "now", lambda: expires)
    with pytest.raises(ForbiddenError) as refused:
        await plain.enrolment.redeem(peer(), made.tokens[0])
    assert refused.value.code == "token_expired"


async def test_tries_with_wrong_tokens_are_bounded(plain: World) -> None:
    codes = []
    for _ in range(7):
        answer = await by_token(plain, SigningKey.generate(), "x" * 24)
        assert isinstance(answer, Refused)
        codes.append(answer.code)
    assert codes == ["bad_token"] * 5 + ["too_many_tries"] * 2


async def test_a_district_enrols_at_once(plain: World) -> None:
    made, _ = await plain.enrolment.provision(ADMIN, ["cl_a", "cl_b"] * 30, controller="https://loa.example:8471")
    answers = await asyncio.gather(*(by_token(plain, SigningKey.generate(), token) for token in made.tokens))
    assert all(isinstance(answer, Enrolled) for answer in answers)
    assert len(plain.directory.agents) == 60


async def test_the_digits_a_box_shows_let_it_in(world: World) -> None:
    box = Comparing(world)
    assert isinstance(await box.begin(), EnrolPending)
    (waiting,) = world.enrolment.pending(ADMIN)
    assert waiting.peer.agent_id == box.id
    assert box.code.digits is not None
    entry = await world.enrolment.approve(ADMIN, box.id, "cl_b", box.code.digits)
    assert entry.cluster_id == "cl_b"
    enrolled = await hear(box.ws)
    assert isinstance(enrolled, Enrolled)
    box.code.on_enrolled(enrolled)
    assert box.code.pinned is not None
    assert world.enrolment.pending(ADMIN) == ()
    await SmallAgent(world, box.key).connect()


async def test_wrong_digits_let_nobody_in_and_run_out(plain: World) -> None:
    box = Comparing(plain)
    await box.begin()
    assert box.code.digits is not None
    right = box.code.digits.replace(" ", "")
    wrong = f"{(int(right) + 1) % 10**8:08d}"
    for _ in range(3):
        with pytest.raises(ForbiddenError):
            await plain.enrolment.approve(ADMIN, box.id, "cl_a", wrong)
    with pytest.raises(NotFoundError):
        await plain.enrolment.approve(ADMIN, box.id, "cl_a", right)
    refused = await hear(box.ws)
    assert isinstance(refused, Refused)
    assert refused.code == "wrong_code"
    assert box.id not in plain.directory.agents


@pytest.mark.parametrize("code", ["1234567", "123456789", "1234567x", "", "\u0661234 5678"])
async def test_a_code_is_eight_digits(plain: World, code: str) -> None:
    with pytest.raises(InvalidError):
        await plain.enrolment.approve(ADMIN, "0" * 32, "cl_a", code)


async def test_only_who_may_enrol_there_approves(plain: World) -> None:
    box = Comparing(plain)
    await box.begin()
    assert box.code.digits is not None
    with pytest.raises(ForbiddenError):
        await plain.enrolment.approve(VIEWER, box.id, "cl_a", box.code.digits)
    with pytest.raises(ForbiddenError):
        plain.enrolment.pending(VIEWER)
    with pytest.raises(ForbiddenError):
        await plain.enrolment.provision(VIEWER, ["cl_a"], controller=None)
    with pytest.raises(NotFoundError):
        await plain.enrolment.approve(ADMIN, box.id, "cl_zzz", box.code.digits)


async def test_a_box_that_leaves_no_longer_waits(plain: World) -> None:
    box = Comparing(plain)
    await box.begin()
    await box.ws.close()
    await eventually(lambda: plain.enrolment.pending(ADMIN) == ())


async def test_a_newer_try_takes_the_older_ones_place(plain: World) -> None:
    first = Comparing(plain)
    await first.begin()
    second = Comparing(plain, first.key)
    await second.begin()
    refused = await hear(first.ws)
    assert isinstance(refused, Refused)
    assert refused.code == "superseded"
    assert [one.digits for one in plain.enrolment.pending(ADMIN)] == [second.code.digits]


async def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    async with world_in(tmp_path, limits=GatewayLimits(pending_wait_s=0.1)) as world:
        box = Comparing(world)
        await box.begin()
        refused = await hear(box.ws)
        assert isinstance(refused, Refused)
        assert refused.code == "enrol_timeout"


async def test_the_list_of_waiting_boxes_is_bounded(plain: World) -> None:
    for number in range(PENDING_MAX):
        plain.enrolment.wait_for_person(peer(), "1234 5678", f"10.0.0.{number % 8}")
    with pytest.raises(ConflictError) as full:
        plain.enrolment.wait_for_person(peer(), "1234 5678", "10.0.0.99")
    assert full.value.code == "pending_full"


async def test_a_conversation_out_of_order_is_refused(plain: World) -> None:
    ws = await plain.http.ws_connect(f"{plain.url}/enrol")
    await ws.send_str('{"type":"enrol_reveal","nonce":"' + "0" * 64 + '","signature":"' + "0" * 128 + '"}')
    refused = await hear(ws)
    assert isinstance(refused, Refused)
    assert refused.code == "out_of_order"


async def test_a_revoked_box_loses_its_line_and_never_comes_back(plain: World) -> None:
    made, _ = await plain.enrolment.provision(ADMIN, ["cl_a", "cl_a"], controller=None)
    key = SigningKey.generate()
    await by_token(plain, key, made.tokens[0])
    agent = SmallAgent(plain, key)
    await agent.connect()
    with pytest.raises(ForbiddenError):
        await plain.enrolment.revoke(VIEWER, agent.id)
    await plain.enrolment.revoke(ADMIN, agent.id)
    refused, code = await agent.end()
    assert refused is not None
    assert refused.code == "revoked"
    assert code == 1008
    for answer in (
        await SmallAgent(plain, key).shake_hands(),
        await by_token(plain, key, made.tokens[0]),
        await by_token(plain, key, made.tokens[1]),
        await Comparing(plain, key).begin(),
    ):
        assert isinstance(answer, Refused)
        assert answer.code == "revoked"
    assert (await plain.enrolment.revoke(ADMIN, agent.id)).state == "revoked"  # twice is no error


async def test_a_box_is_moved(plain: World) -> None:
    (agent,) = await plain.online()
    entry = await plain.enrolment.move(ADMIN, agent.id, "cl_b")
    assert entry.cluster_id == "cl_b"
    refused, _ = await agent.end()
    assert refused is not None
    assert refused.code == "reassigned"
    plain.directory.put_agent(replace(entry, state="revoked"))


async def test_provisioning_asks_for_what_makes_sense(plain: World) -> None:
    with pytest.raises(InvalidError):
        await plain.enrolment.provision(ADMIN, [], controller=None)
    with pytest.raises(InvalidError):
        await plain.enrolment.provision(ADMIN, ["cl_a"], controller=None, life=timedelta(days=1000))
    with pytest.raises(NotFoundError):
        await plain.enrolment.provision(ADMIN, ["cl_nowhere"], controller=None)


def peer() -> Peer:
    public = SigningKey.generate().public
    return Peer(agent_id_of(public), public, "test")

"""What a swarm in memory does instead of waiting for a card, and what its agents share of an order they all hear."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from agent.cache.at_once import AtOnce
from agent.cache.keeper import Keeper
from agent.cache.prompt import PromptKeeper
from agent.cache.state import Batch
from agent.errors import StorageError
from protocol.codec import decode, seal_document
from protocol.documents import Command, DocumentKind, StopOrder, Targets
from protocol.envelope import check_signatures, open_envelope
from protocol.errors import TrustError
from protocol.keys import SigningKey


def test_it_is_done_when_it_was_given() -> None:
    done: list[str] = []
    future = AtOnce().submit(done.append, "now")
    assert done == ["now"]
    assert future.done()


def test_what_it_raises_is_the_callers() -> None:
    future = AtOnce().submit(int, "x")
    with pytest.raises(ValueError, match="invalid literal"):
        future.result()


async def test_a_keeper_over_it_keeps_order_and_tells_failures() -> None:
    store = _Store()
    keeper = Keeper(store, AtOnce())  # type: ignore[arg-type] # the one method a keeper's writing asks for
    running = asyncio.create_task(keeper.run())
    first, second = Batch(records=("a",)), Batch(records=("b",))
    await asyncio.gather(keeper.apply(first), keeper.apply(second))
    assert [record for batch in store.taken for record in batch.records] == ["a", "b"]
    store.broken = True
    with pytest.raises(StorageError):
        await keeper.apply(first)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_prompt_keeper_has_written_when_the_call_returns_and_keeps_what_it_could_not_write() -> None:
    store = _Store()
    keeper = PromptKeeper(store, AtOnce())  # type: ignore[arg-type]
    keeper.post(Batch(records=("a",)))
    assert store.taken
    assert keeper.grown.is_set()
    store.broken = True
    with pytest.raises(StorageError):
        await keeper.apply(Batch(records=("never",)))
    keeper.post(Batch(records=("b",)))
    store.broken = False
    keeper.post(Batch(records=("c",)))  # not ahead of what waits
    running = asyncio.create_task(keeper.run())
    await keeper.apply(Batch(records=("d",)))
    assert [record for batch in store.taken for record in batch.records] == ["a", "b", "c", "d"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_the_same_bytes_are_read_once_and_judged_by_everyone() -> None:
    key, other = SigningKey.generate(), SigningKey.generate()
    now = datetime(2026, 11, 22, tzinfo=UTC)
    command = Command(1, 7, now, now + timedelta(minutes=5), "ab" * 16, Targets(everyone=True), StopOrder())
    envelope = seal_document(command, key)
    first, second = open_envelope(envelope), open_envelope(bytes(bytearray(envelope)))
    assert first is second
    check_signatures(first, [key.public])
    assert decode(DocumentKind.COMMAND, first.payload) is decode(DocumentKind.COMMAND, second.payload)
    with pytest.raises(TrustError):
        check_signatures(second, [other.public])
    plain = json.loads(envelope)
    plain["signatures"][0]["sig"] = base64.b64encode(bytes(64)).decode()
    altered = open_envelope(json.dumps(plain))
    with pytest.raises(TrustError):
        check_signatures(altered, [key.public])


class _Store:
    """Takes batches, or refuses them."""

    def __init__(self) -> None:
        self.taken: list[Batch] = []
        self.broken = False

    def apply(self, batch: Batch) -> None:
        if self.broken:
            raise StorageError("storage_failing", "broken")
        self.taken.append(batch)

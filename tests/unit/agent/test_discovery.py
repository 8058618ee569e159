"""Where a controller might be: hints, bounded, and never a reason to trust."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest
from zeroconf import IPVersion, ServiceInfo
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from agent.errors import DiscoveryError
from agent.link.discovery import LIMIT, SERVICE, Candidate, MdnsFinder, choose, read_answer
from agent.link.locate import Locator
from tests.unit.agent.desk import eventually

ROOT = "ab" * 32
OTHER = "cd" * 32


def candidate(name: str, root: str = ROOT) -> Candidate:
    return Candidate(name, f"https://10.0.0.{len(name)}:8471", root[:16])


class KnownFinder:
    """A finder that knows what it is told."""

    def __init__(self, *found: Candidate) -> None:
        self.found = found

    def candidates(self) -> tuple[Candidate, ...]:
        return self.found

    async def changed(self) -> None:
        await asyncio.sleep(3600)


def test_an_enrolled_agent_knocks_only_where_its_root_is_named() -> None:
    assert choose([candidate("a"), candidate("bb", OTHER)], ROOT) == ("https://10.0.0.1:8471",)
    assert choose([candidate("bb", OTHER)], ROOT) == ()


def test_an_unenrolled_agent_refuses_to_choose_between_controllers() -> None:
    with pytest.raises(DiscoveryError) as caught:
        choose([candidate("a"), candidate("bb", OTHER)], None)
    assert caught.value.code == "several_controllers"
    assert "--controller" in str(caught.value)
    assert choose([candidate("a"), candidate("bb")], None) == ("https://10.0.0.1:8471", "https://10.0.0.2:8471")


def test_a_thousand_liars_cost_no_memory_and_cannot_keep_the_true_one_out() -> None:
    finder = MdnsFinder(draw=random.Random(1))
    for number in range(1000):
        finder.learn(f"liar-{number}", candidate("l", OTHER))
    assert len(finder.candidates()) == LIMIT
    finder.learn("true", candidate("true"))
    assert any(one.root_prefix == ROOT[:16] for one in finder.candidates())
    finder.want(ROOT)
    assert [one.name for one in finder.candidates()] == ["true"]
    for number in range(1000):
        finder.learn(f"liar-{number}", candidate("l", OTHER))
    assert [one.name for one in finder.candidates()] == ["true"]


def answer(
    properties: dict[str, str], addresses: Sequence[str] = ("192.168.1.5",), port: int = 8471
) -> Candidate | None:
    info = AsyncServiceInfo(
        SERVICE, f"x.{SERVICE}", port=port, properties=properties, parsed_addresses=list(addresses), server="x.local."
    )
    return read_answer("x", info)


GOOD = {"v": "1", "path": "/agent/v1", "root": ROOT[:16], "tls": "1"}


def test_a_good_answer_is_read() -> None:
    found = answer(GOOD)
    assert found is not None
    assert found.url == "https://192.168.1.5:8471"
    plain = answer(GOOD | {"tls": "0"}, ["192.168.1.5", "127.0.0.1"])
    assert plain is not None
    assert plain.url == "http://127.0.0.1:8471"


@pytest.mark.parametrize(
    "change",
    [
        {"v": "2"},
        {"tls": "yes"},
        {"root": "zz"},
        {"root": ROOT},
        {"path": "agent"},
        {"path": "/" + "x" * 100},
        {"v": ""},
    ],
)
def test_a_bad_answer_is_no_answer(change: dict[str, str]) -> None:
    assert answer(GOOD | change) is None


def test_a_plain_answer_that_leaves_the_machine_is_no_answer() -> None:
    assert answer(GOOD | {"tls": "0"}) is None
    assert answer(GOOD, port=0) is None


@pytest.mark.slow
async def test_a_real_announcement_on_loopback_is_found() -> None:
    announcer = AsyncZeroconf(interfaces=["127.0.0.1"], ip_version=IPVersion.V4Only)
    info = ServiceInfo(
        SERVICE, f"loa-test.{SERVICE}", port=18471, properties=GOOD, parsed_addresses=["127.0.0.1"], server="t.local."
    )
    finder = MdnsFinder(["127.0.0.1"])
    finder.want(ROOT)
    await finder.start()
    try:
        await (await announcer.async_register_service(info))
        await eventually(lambda: bool(finder.candidates()))
        assert finder.candidates()[0].url == "https://127.0.0.1:18471"
    finally:
        await finder.close()
        await announcer.async_close()


async def test_no_such_interface_is_told_in_words() -> None:
    finder = MdnsFinder(["203.0.113.9"])
    with pytest.raises(DiscoveryError) as caught:
        await finder.start()
    await finder.close()
    assert caught.value.code == "mdns_unavailable"


async def test_the_configured_address_is_the_only_one() -> None:
    locator = Locator("https://10.9.9.9", KnownFinder(candidate("a")), draw=random.Random(1))
    assert [one.base for one in await locator.addresses(ROOT)] == ["https://10.9.9.9:8471"]


async def test_the_last_good_address_comes_first() -> None:
    locator = Locator(None, KnownFinder(candidate("a")), draw=random.Random(1))
    locator.last_good = "https://10.9.9.9:8471"
    found = [one.base for one in await locator.addresses(ROOT)]
    assert found == ["https://10.9.9.9:8471", "https://10.0.0.1:8471"]


async def test_nobody_there_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.link.locate.LOOK_OUT_S", 0.01)
    for finder in (None, KnownFinder()):
        locator = Locator(None, finder, draw=random.Random(1))
        with pytest.raises(DiscoveryError) as caught:
            await locator.addresses(None)
        assert caught.value.code == "no_controller"
        assert "--controller" in str(caught.value)

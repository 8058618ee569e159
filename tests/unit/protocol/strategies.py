"""Hypothesis strategies for everything that travels."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from protocol.bundle import FRAME_SAMPLES, MAX_PACKET, Bundle
from protocol.documents import (
    LEAST_PAUSE,
    CloseStreamOrder,
    Command,
    DayReference,
    PlanManifest,
    PlayOrder,
    ReleaseOrder,
    RootSuccessor,
    Settings,
    SilentTestOrder,
    StockClip,
    StockKind,
    StopOrder,
    StreamOpen,
    Targets,
    WithdrawOrder,
)
from protocol.items import DayDocument
from protocol.keys import KeySet, OnlineKey, Role, SigningKey
from schedules.instants import Frames, MediaUs
from schedules.ladder import Priority
from schedules.model import (
    AfterPreempt,
    Amplifier,
    Approval,
    Clip,
    ClusterSettings,
    Item,
    LateKind,
    LatePolicy,
    Overrun,
    Pause,
    QuietHours,
    Recorded,
    Relay,
)

_FIRST, _LAST = datetime(1971, 1, 1), datetime(2190, 1, 1)  # noqa: DTZ001 - hypothesis wants them naive

ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,20}", fullmatch=True)
hex64 = st.binary(min_size=32, max_size=32).map(bytes.hex)
hex32 = st.binary(min_size=16, max_size=16).map(bytes.hex)
titles = st.text(st.characters(exclude_categories=["C"]), max_size=40)
names = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=40)
instants = st.datetimes(_FIRST, _LAST).map(lambda naive: naive.replace(tzinfo=UTC))
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
counts = st.integers(1, 2**53 - 1)
frames = st.integers(1, 48_000 * 600).map(Frames)


Span = tuple[datetime, datetime]


def spans(longest: timedelta) -> st.SearchStrategy[Span]:
    lengths = st.timedeltas(timedelta(microseconds=1), longest)
    return st.tuples(instants, lengths).map(lambda pair: (pair[0], pair[0] + pair[1]))


approvals = st.builds(Approval, names, instants)
clips = st.builds(Clip, hex64, frames, st.none() | approvals)
pieces = clips | st.builds(Pause, frames)
recorded = st.builds(Recorded, st.lists(pieces, min_size=1, max_size=5).map(tuple))
relays = st.builds(Relay, ids, st.lists(clips, max_size=3).map(tuple))
late = st.builds(LatePolicy, st.sampled_from([LateKind.JOIN, LateKind.SKIP])) | st.builds(
    LatePolicy, st.just(LateKind.PLAY_FULL), st.timedeltas(timedelta(0), timedelta(days=1))
)


any_class = st.sampled_from(Priority)


@st.composite
def items(draw: st.DrawFn, priorities: st.SearchStrategy[Priority] = any_class) -> Item:
    start, expires = draw(spans(timedelta(days=2)))
    content = draw(recorded | relays)
    slot = draw(st.timedeltas(timedelta(microseconds=1), timedelta(days=1)))
    slot_end = start + slot if isinstance(content, Relay) or draw(st.booleans()) else None
    return Item(
        draw(ids),
        draw(instants),
        draw(titles),
        draw(priorities),
        start,
        expires,
        content,
        slot_end,
        draw(late),
        draw(st.sampled_from(AfterPreempt)),
        draw(st.sampled_from(Overrun)),
    )


planned = st.sampled_from([priority for priority in Priority if priority <= 60])
days = st.builds(
    DayDocument, st.dates(date(1980, 1, 1), date(2190, 1, 1)), st.lists(items(planned), max_size=4).map(tuple)
)

lists_of_ids = st.lists(ids, max_size=5, unique=True).map(tuple)
targets = st.builds(Targets, st.booleans(), lists_of_ids, lists_of_ids).filter(lambda value: value != Targets())


@st.composite
def repeated(draw: st.DrawFn) -> PlayOrder:
    item = draw(items().filter(lambda one: isinstance(one.content, Recorded)))
    assert isinstance(item.content, Recorded)
    least = max(item.content.duration + LEAST_PAUSE, timedelta(minutes=1))
    until = item.start + draw(st.timedeltas(timedelta(microseconds=1), timedelta(hours=24)))
    return PlayOrder(item, draw(st.timedeltas(least, timedelta(hours=24))), until)


orders = (
    st.builds(StopOrder, st.none() | st.timedeltas(timedelta(microseconds=1), timedelta(hours=24)))
    | st.just(ReleaseOrder())
    | st.just(SilentTestOrder())
    | st.builds(WithdrawOrder, ids, st.none() | instants)
    | st.builds(PlayOrder, items())
    | repeated()
    | st.builds(CloseStreamOrder, u64)
)
commands = st.builds(
    lambda span, *rest: Command(rest[0], rest[1], *span, *rest[2:]),
    spans(timedelta(hours=24)),
    st.integers(1, 2**32 - 1),
    counts,
    hex32,
    targets,
    orders,
)
bindings = st.tuples(st.none(), st.none()) | st.tuples(ids, instants)


Head = tuple[int, int, Priority, int]
Tail = tuple[Targets, str, int, int]


def _stream(span: Span, binding: tuple[Any, Any], head: Head, tail: Tail) -> StreamOpen:
    return StreamOpen(*head, span[0], span[1], tail[0], tail[1], tail[2], tail[3], binding[0], binding[1])


streams = st.builds(
    _stream,
    spans(timedelta(minutes=720)),
    bindings,
    st.tuples(u64, u64, any_class, u32),
    st.tuples(targets, titles, st.integers(1, 2**32 - 1), counts),
)

times = st.times().map(lambda value: value.replace(microsecond=0))
quiet = st.tuples(times, times).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: QuietHours(*pair))
minute = st.timedeltas(timedelta(0), timedelta(minutes=1))
amplifiers = st.builds(Amplifier, st.just("none"), st.none(), minute, minute) | st.builds(
    Amplifier, st.just("gpio"), st.integers(0, 255), minute, minute
)
gains = st.dictionaries(st.sampled_from(Priority), st.floats(-60, 12)).map(lambda value: tuple(sorted(value.items())))
clusters = st.builds(
    ClusterSettings,
    ids,
    st.sampled_from(["Asia/Ho_Chi_Minh", "UTC", "America/New_York"]),
    st.none() | quiet,
    gains,
    st.timedeltas(timedelta(0), timedelta(seconds=5)),
    amplifiers,
    lists_of_ids,
    st.timedeltas(timedelta(0), timedelta(minutes=180)),
    st.timedeltas(timedelta(0), timedelta(minutes=720)),
    max_emergency=st.timedeltas(timedelta(minutes=1), timedelta(minutes=60)),
    duck_db=st.none() | st.floats(-40, -6),
)
stock = st.lists(
    st.builds(StockClip, hex64, frames, st.integers(1, 2**29), st.sampled_from(StockKind)),
    max_size=5,
    unique_by=lambda clip: clip.sha256,
).map(tuple)
long_spans = spans(timedelta(days=400))
settings = st.builds(
    lambda span, agent, term, seq, cluster, kept: Settings(agent, term, seq, span[0], span[1], cluster, kept),
    long_spans,
    hex32,
    st.integers(1, 2**32 - 1),
    counts,
    clusters,
    stock,
)
references = st.dictionaries(
    st.dates(date(1980, 1, 1), date(2190, 1, 1)), st.tuples(hex64, st.integers(2, 90_000)), max_size=36
).map(lambda value: tuple(DayReference(day, *value[day]) for day in sorted(value)))
plans = st.builds(
    lambda span, agent, *rest: PlanManifest(agent, rest[0], rest[1], rest[2], span[0], span[1], rest[3], rest[4]),
    long_spans,
    hex32,
    ids,
    st.integers(1, 2**32 - 1),
    counts,
    hex64,
    references,
)
publics = st.binary(min_size=32, max_size=32).map(lambda seed: SigningKey.from_seed(seed).public)
online_keys = st.builds(
    lambda public, roles, span: OnlineKey.of(public, frozenset(roles), *span),
    publics,
    st.sets(st.sampled_from(Role)),
    long_spans,
)
key_sets = st.builds(
    lambda span, root, term, version, keys: KeySet(root, term, version, span[0], span[1], keys),
    long_spans,
    hex64,
    st.integers(1, 2**32 - 1),
    counts,
    st.lists(online_keys, max_size=4, unique_by=lambda key: key.key_id).map(tuple),
)
roots = st.builds(RootSuccessor, st.integers(2, 2**32 - 1), hex64, publics, instants)
documents = roots | key_sets | settings | plans | commands | streams


@st.composite
def bundles(draw: st.DrawFn, key_id: int) -> Bundle:
    end = draw(st.booleans())
    packet = st.binary(min_size=1, max_size=120) | st.binary(min_size=MAX_PACKET, max_size=MAX_PACKET)
    packets = draw(st.lists(packet, min_size=0 if end else 1, max_size=20))
    return Bundle(
        key_id,
        draw(u64),
        draw(u64),
        draw(u32),
        draw(st.integers(0, 65_535)),
        draw(st.sampled_from(sorted(FRAME_SAMPLES))),
        MediaUs(draw(st.integers(0, 2**53 - 1))),
        draw(st.integers(0, 2**53 - 1)),
        tuple(packets),
        end,
        draw(st.booleans()),
    )

"""Hypothesis strategies for alerts: every field, whatever texts XML can carry."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from controller.cap import AlertKey, CapAlert, CapArea, CapInfo, CapResource, Circle, NameValue, Polygon
from controller.cap.alert import (
    CATEGORIES,
    CERTAINTIES,
    MESSAGE_TYPES,
    RESPONSES,
    SCOPES,
    SEVERITIES,
    STATUSES,
    URGENCIES,
)

#: What XML 1.0 can carry, and a sender may mean: letters, marks, markup, line ends.
letters = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff", include_characters="\t\n\r")
prose = st.text(letters, max_size=60).map(str.strip)
words = st.text(letters, min_size=1, max_size=20).map(str.strip).filter(bool)
names = st.text(st.characters(categories=("L", "N", "Pd", "Po"), exclude_characters=",<&"), min_size=1, max_size=30)
addresses = st.sampled_from(["", "https://example.vn/lũ?x=1&y", "../a", "urn:oid:2.49.0"])
moments = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)).map(lambda at: at.replace(microsecond=0, tzinfo=UTC))  # noqa: DTZ001
keys = st.builds(AlertKey, names, names, moments)
pairs = st.lists(st.builds(NameValue, words, prose), max_size=3).map(tuple)
hundredths_lat = st.integers(-9000, 9000).map(lambda n: n / 100)
hundredths_lon = st.integers(-18000, 18000).map(lambda n: n / 100)
corners = st.lists(st.tuples(hundredths_lat, hundredths_lon), min_size=3, max_size=8, unique=True).map(tuple)
polygons = st.builds(Polygon, corners)
circles = st.builds(Circle, hundredths_lat, hundredths_lon, st.integers(0, 20000).map(float))
areas = st.builds(
    CapArea,
    desc=words,
    polygons=st.lists(polygons, max_size=2).map(tuple),
    circles=st.lists(circles, max_size=2).map(tuple),
    geocodes=pairs,
)
resources = st.builds(
    CapResource, desc=words, mime_type=st.just("audio/mpeg"), uri=addresses, size=st.none() | st.integers(0, 10**12)
)


def some(*choices: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(choices), max_size=3).map(tuple)


infos = st.builds(
    CapInfo,
    language=st.none() | st.sampled_from(["vi", "bru", "en-US"]),
    categories=st.lists(st.sampled_from(CATEGORIES), min_size=1, max_size=3).map(tuple),
    event=words,
    response_types=some(*RESPONSES),
    urgency=st.sampled_from(URGENCIES),
    severity=st.sampled_from(SEVERITIES),
    certainty=st.sampled_from(CERTAINTIES),
    audience=prose,
    event_codes=pairs,
    effective=st.none() | moments,
    onset=st.none() | moments,
    expires=st.none() | moments,
    sender_name=prose,
    headline=prose,
    description=prose,
    instruction=prose,
    web=addresses,
    contact=prose,
    parameters=pairs,
    resources=st.lists(resources, max_size=2).map(tuple),
    areas=st.lists(areas, max_size=2).map(tuple),
)
alerts = st.builds(
    CapAlert,
    identifier=names,
    sender=names,
    sent=moments,
    status=st.sampled_from(STATUSES),
    msg_type=st.sampled_from(MESSAGE_TYPES),
    scope=st.sampled_from(SCOPES),
    source=prose,
    restriction=prose,
    addresses=prose,
    codes=st.lists(words, max_size=2).map(tuple),
    note=prose,
    references=st.lists(keys, max_size=3, unique=True).map(tuple),
    incidents=prose,
    infos=st.lists(infos, max_size=3).map(tuple),
)

"""Documents made to hurt: never an exception but CapError, never a file or address opened, never slow."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from controller.cap import CapError, Verdict, dispose, read_alerts, reading_json, sign_alert
from controller.cap.document import MAX_ALERTS, MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS
from tests.unit.controller.cap.cap_kit import CAP, CORPUS, FLOOD, NOW, edited, identity, read_one

BARE = FLOOD.partition("?>")[2].strip()
WHO = identity()


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    """What is loaded once (the schema of signatures) is loaded before anybody watches."""
    read_one(sign_alert(FLOOD.encode(), WHO.key, WHO.certificate))


OPENED: list[str] = []
_watching = False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in {"open", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system"}:
        OPENED.append(f"{event} {arguments[:2]}")


sys.addaudithook(_watch)


@pytest.fixture
def nothing_opened() -> Iterator[None]:
    global _watching  # noqa: PLW0603 - an audit hook cannot be taken away, only silenced
    OPENED.clear()
    _watching = True
    yield
    _watching = False
    assert OPENED == []


def doctype(declarations: str, event: str = "&x;", attribute: str = "") -> bytes:
    body = BARE.replace("<event>Lũ quét", f"<event{attribute}>{event}", 1)
    return f"<!DOCTYPE alert [{declarations}]>{body}".encode()


LAUGHS = '<!ENTITY a0 "lol">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 13))


@pytest.mark.usefixtures("nothing_opened")
@pytest.mark.parametrize(
    "data",
    [
        doctype('<!ENTITY x SYSTEM "file:///etc/passwd">'),
        doctype('<!ENTITY x SYSTEM "http://127.0.0.1:9/x">'),
        doctype('<!ENTITY x PUBLIC "-//a//b" "ftp://127.0.0.1/x">'),
        doctype('<!ENTITY % p SYSTEM "http://127.0.0.1:9/x.dtd"> %p;', "x"),
        doctype('<!ENTITY x "harmless">'),
        doctype(LAUGHS, "&a12;"),
        doctype(LAUGHS, "x", ' a="&a12;"'),
        doctype('<!ENTITY x "' + "y" * 100_000 + '">', "&x;" * 10_000),
        b'<!DOCTYPE alert SYSTEM "file:///etc/passwd">' + BARE.encode(),
        b'<!DOCTYPE alert PUBLIC "-//x//y" "http://127.0.0.1:9/cap.dtd">' + BARE.encode(),
        b"<!DOCTYPE alert>" + BARE.encode(),
        BARE.replace("Lũ quét", "&undeclared;").encode(),
        ("<?xml version='1.0' encoding='UTF-16'?><!DOCTYPE alert [<!ENTITY x 'y'>]>" + BARE).encode("utf-16"),
    ],
)
def test_entities_and_types_are_refused(data: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(CapError) as caught:
        read_alerts(data, now=NOW)
    assert caught.value.code == "doctype_refused"
    assert time.process_time() - begun < 1


@pytest.mark.usefixtures("nothing_opened")
@pytest.mark.parametrize(
    "extra",
    [
        '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd" parse="text"/>',
        '<?xml-stylesheet type="text/xsl" href="http://127.0.0.1:9/x.xsl"?>',
        '<note xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="x http://127.0.0.1:9/x.xsd"/>',
    ],
)
def test_nothing_it_names_is_opened(extra: str) -> None:
    resource = (
        "<resource><resourceDesc>x</resourceDesc><mimeType>audio/mpeg</mimeType><uri>http://127.0.0.1:9/a.mp3</uri>"
        "<derefUri>file:///etc/passwd</derefUri></resource>"
    )
    reading = read_one(edited(("</scope>", f"</scope>{extra}"), ("<area>", f"{resource}<area>")))
    assert reading.ok
    assert "root:" not in repr(reading)


@pytest.mark.usefixtures("nothing_opened")
def test_nothing_a_signature_names_is_opened() -> None:
    signed = sign_alert(FLOOD.encode(), WHO.key, WHO.certificate)
    for old, new in (
        (b'URI=""', b'URI="file:///etc/passwd"'),
        (b"<ds:X509Data>", b'<ds:RetrievalMethod URI="http://127.0.0.1:9/key"/><ds:X509Data>'),
        (
            b"</ds:Transforms>",
            b'<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/></ds:Transforms>',
        ),
    ):
        assert old in signed
        reading = read_one(signed.replace(old, new), (WHO.certificate,))
        # Where a key comes from is not signed, and not asked: the key that fits is pinned.
        assert (reading.signature is Verdict.VALID) == (b"Retrieval" in new)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b" " * MAX_BYTES + b"<alert/>", "too_large"),
        (b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1), "too_deep"),
        (b"<a>" * 100_000 + b"</a>" * 100_000, "too_deep"),
        (b"<a>" * 1_000_000, "too_deep"),
        (b"<a>" + b"<b/>" * (MAX_ELEMENTS + 1) + b"</a>", "too_many_elements"),
        (b"<a>" + b"<!---->" * 500_000 + b"</a>", "too_many_elements"),
        (b"<a>" + BARE.encode() * (MAX_ALERTS + 1) + b"</a>", "too_many_alerts"),
        (b'<a b="' + b"x" * 4_000_000 + b'"/>', "no_alert"),
        (b"<a " + b" ".join(b'a%d=""' % n for n in range(300_000)) + b"/>", "no_alert"),
        (b"<a " + b" ".join(b'xmlns:a%d="x"' % n for n in range(150_000)) + b"/>", "no_alert"),
        (b"<" + b"a" * 4_000_000 + b"/>", "not_xml"),
        (b"<a><![CDATA[" + b"<" * 4_000_000, "not_xml"),
    ],
)
def test_bounds(data: bytes, code: str) -> None:
    begun = time.process_time()
    with pytest.raises(CapError) as caught:
        read_alerts(data, now=NOW)
    assert caught.value.code == code
    assert time.process_time() - begun < 2


def long_polygon(points: int) -> str:
    return " ".join(f"{16 + n / 1e5:.5f},{107 + (n * 7 % points) / 1e5:.5f}" for n in range(points))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "flags"),
    [
        ("16.5,106.9 16.5", long_polygon(34_066) + " 16.5", {"polygon_open"}),
        ("16.5,106.9 16.5", "1,1 " * 900_000 + "1", {"polygon_too_large"}),
        ("16.5,106.9 16.5", "9" * 3_000_000, {"polygon_unreadable"}),
        ("16.6,107.0 12.5", "1" * 3_000_000, {"circle_unreadable"}),
        ("</scope>", "</scope><references>" + "a,b,c " * 600_000 + "</references>", {"references_unreadable"}),
        ("</scope>", "</scope><references>" + "a," * 1_500_000 + "</references>", {"references_unreadable"}),
        ("</area>", "</area>" + "<area><areaDesc/><polygon>x</polygon></area>" * 10_000, {"polygon_unreadable"}),
        ("<event>Lũ", "<event>" + "Lũ " * 500_000, set()),
        ("2026-10-17T20:30", "2026-10-17T20:30" + "0" * 1_000_000, {"bad_expires"}),
    ],
    ids=range(9),
)
def test_large_parts(old: str, new: str, flags: set[str]) -> None:
    data = edited((old, new))
    assert len(data) < MAX_BYTES
    begun = time.process_time()
    reading = read_one(data)
    assert time.process_time() - begun < 2
    assert reading.ok
    assert flags <= set(reading.flags)
    assert len(reading.faults) < 300


@pytest.mark.slow
def test_a_large_signed_document_with_many_keys() -> None:
    """Everything that costs at once: 1.2 MB, two signatures, four certificates each, none of them fitting."""
    big = edited(("<event>Lũ", "<event>" + "Lũ " * 300_000))
    signed = sign_alert(big, WHO.key, WHO.certificate).decode()
    block = signed[signed.index("<ds:Signature") : signed.index("</alert>")]
    certificate = block[block.index("<ds:X509Certificate>") : block.index("</ds:X509Data>")]
    block = block.replace(certificate, certificate * 4)
    data = signed.replace(signed[signed.index("<ds:Signature") : signed.index("</alert>")], block * 2).replace(
        "VN-QT-1", "VN-QT-2"
    )
    begun = time.process_time()
    reading = read_one(data.encode(), (WHO.certificate,))
    took = time.process_time() - begun
    assert reading.signature is Verdict.INVALID
    assert took < 3, f"{took:.1f} s"


def test_scripts_and_controls_stay_text() -> None:
    data = edited(("Lũ quét trên", "&lt;script>alert(1)&lt;/script>\u202e\u2028\u0085\x7f javascript:alert(2) "))
    reading = read_one(data)
    assert reading.alert is not None
    assert reading.alert.infos[0].headline.startswith("<script>alert(1)</script>\u202e\u2028\u0085\x7f javascript:")


def test_ignorance_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the parser wants the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert read_one(FLOOD.encode()).ok


# -- fuzz -------------------------------------------------------------------------------------------------------------

SEEDS = [FLOOD.encode(), sign_alert(FLOOD.encode(), WHO.key, WHO.certificate)]
SEEDS += [path.read_bytes() for path in sorted(CORPUS.rglob("*.xml")) if path.stat().st_size < 20_000]
TOKENS = [
    *(b"<alert>", b"</alert>", b"<info>", b"</info>", b"<area>", b"<scope>Public</scope>", CAP.encode()),
    *(b"&lt;", b"&x;", b"<!DOCTYPE a>", b"]]>", b"<![CDATA[", b"<!--", b"-->", b"<?"),
    *(b"\x00", b"\xff", b" ", b"\xef\xbb\xbf", b"NaN", b"1e999", b"-0"),
    *(b"9999-12-31T23:59:59-14:00", b"0001-01-01T00:00:00+14:00"),
    b"<ds:Signature xmlns:ds='http://www.w3.org/2000/09/xmldsig#'/>",
]

edits = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 40), st.one_of(st.sampled_from(TOKENS), st.binary(max_size=6))),
    min_size=1,
    max_size=6,
)


def survives(data: bytes) -> None:
    begun = time.process_time()
    try:
        readings = read_alerts(data, now=NOW, trust=(WHO.certificate,))
    except CapError as error:
        assert error.code.isidentifier()  # noqa: PT017
        assert str(error).isprintable()  # noqa: PT017
    else:
        for reading in readings:
            row = reading_json(reading)
            assert row["ok"] == (reading.code == "ok")
            assert all(flag.isidentifier() for flag in row["flags"])
            assert dispose(reading, now=NOW).code.isidentifier()
    assert time.process_time() - begun < 2


@given(st.sampled_from(SEEDS), edits)
@example(SEEDS[1], [(0.5, 0, b"&x;")])
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_mutations(seed: bytes, changes: list[tuple[float, int, bytes]]) -> None:
    data = seed
    for where, cut, put in changes:
        at = int(where * len(data))
        data = data[:at] + put + data[at + cut :]
    survives(data)


@given(st.sampled_from(SEEDS), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=150, deadline=None)
def test_parts_moved_about(seed: bytes, first: float, second: float, third: float) -> None:
    a, b, c = sorted(int(share * len(seed)) for share in (first, second, third))
    survives(seed[:a] + seed[b:c] + seed[a:b] + seed[c:])
    survives(seed[:a] + seed[b:])


@given(st.text(max_size=200))
@settings(max_examples=150)
def test_any_text_in_any_element(text: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("]]>", "]]&gt;").encode("utf-8", "replace")
    for old in (
        b"VN-QT-1",
        b"2026-10-17T16:30:00+07:00",
        b"Actual",
        b"Public",
        b"16.6,107.0 12.5",
        b"19498",
        b"Immediate",
    ):
        survives(FLOOD.encode().replace(old, escaped, 1))

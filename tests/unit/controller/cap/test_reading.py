"""Reading: versions, wrappings, lenience with a flag, quarantine, refusal."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from controller.cap import AlertKey, CapError, NameValue, at_least, read_alerts, reading_json
from controller.cap.alert import CapAlert
from controller.cap.moments import read_moment, write_moment
from tests.unit.controller.cap.cap_kit import CAP, FLOOD, NOW, edited, read_one

BARE = FLOOD.partition("?>")[2].strip()
OLD_GEOCODES = "<geocode>FIPS6=006109</geocode><geocode>x</geocode>"
EDXL = (
    '<EDXLDistribution xmlns="urn:oasis:names:tc:emergency:EDXL:DE:1.0"><contentObject><xmlContent><embeddedXMLContent>'
)
EDXL_END = "</embeddedXMLContent></xmlContent></contentObject></EDXLDistribution>"
EDXL_2 = '<e:EDXLDistribution xmlns:e="urn:oasis:names:tc:emergency:EDXL:DE:2.0"><e:content>'
ATOM = '<feed xmlns="http://www.w3.org/2005/Atom"><title>x</title><entry><content type="text/xml">'
RESOURCE = "<resource><resourceDesc>x</resourceDesc>"


def alert_of(data: bytes) -> CapAlert:
    alert = read_one(data).alert
    assert alert is not None
    return alert


def test_everything_of_an_alert() -> None:
    reading = read_one(FLOOD.encode())
    assert (reading.ok, reading.code, reading.flags, reading.quarantine) == (True, "ok", (), False)
    alert = alert_of(FLOOD.encode())
    assert alert.key == AlertKey("kttv@example.vn", "VN-QT-1", datetime(2026, 10, 17, 9, 30, tzinfo=UTC))
    (info,) = alert.infos
    assert (info.language, info.event, info.severity) == ("vi", "Lũ quét", "Extreme")
    assert info.expires == datetime(2026, 10, 17, 13, 30, tzinfo=UTC)
    (area,) = info.areas
    assert area.geocodes == (NameValue("VN-commune", "19498"),)
    assert area.contains(16.6, 107.0)
    assert not area.contains(17.6, 107.0)
    assert area.unusable_shapes == 0


def test_the_json_of_an_alert() -> None:
    assert reading_json(read_one(FLOOD.encode())) == {
        "ok": True,
        "code": "ok",
        "reason": "",
        "flags": [],
        "quarantine": False,
        "identifier": "VN-QT-1",
        "sender": "kttv@example.vn",
        "sent": "2026-10-17T16:30:00+07:00",
        "status": "Actual",
        "msg_type": "Alert",
        "scope": "Public",
        "references": None,
        "infos": [
            {
                "language": "vi",
                "event": "Lũ quét",
                "category": ["Met"],
                "urgency": "Immediate",
                "severity": "Extreme",
                "certainty": "Likely",
                "onset": None,
                "expires": "2026-10-17T20:30:00+07:00",
                "headline": "Lũ quét trên sông Đakrông",
                "areas": [
                    {
                        "desc": "Đakrông",
                        "polygons": ["16.5,106.9 16.5,107.1 16.7,107.1 16.7,106.9 16.5,106.9"],
                        "circles": ["16.6,107.0 12.5"],
                        "geocodes": [{"name": "VN-commune", "value": "19498"}],
                    }
                ],
            }
        ],
        "signature": "none",
    }


# -- versions ---------------------------------------------------------------------------------------------------------


def test_cap_1_1() -> None:
    reading = read_one(edited(("cap:1.2", "cap:1.1"), ("+07:00</sent>", "Z</sent>")))
    assert reading.flags == ("time_format",)
    assert reading.alert is not None
    assert reading.alert.version == "1.1"
    flagged = read_one(edited(("cap:1.2", "cap:1.1"), ("<urgency>", "<responseType>Avoid</responseType><urgency>")))
    assert flagged.flags == ("bad_response_type",)


def test_cap_1_0_with_its_own_words() -> None:
    data = edited(
        (CAP, "http://www.incident.com/cap/1.0"),
        ("<msgType>Alert</msgType>", "<msgType>Alert</msgType><password>x</password>"),
        ("  <scope>Public</scope>\n", ""),
        ("    <category>Met</category>\n", ""),
        ("Likely", "Very Likely"),
        ("<geocode><valueName>VN-commune</valueName><value>19498</value></geocode>", OLD_GEOCODES),
    )
    reading = read_one(data)
    assert (reading.flags, reading.quarantine) == ((), False)
    alert = alert_of(data)
    assert (alert.version, alert.scope) == ("1.0", None)
    assert alert.infos[0].areas[0].geocodes == (NameValue("FIPS6", "006109"), NameValue("", "x"))
    assert at_least(alert.infos[0].certainty, "Observed")


@pytest.mark.parametrize(
    ("namespace", "flag", "version"),
    [
        ("", "namespace_missing", "1.2"),
        ("urn:oasis:names:tc:emergency:cap:1.1/", "namespace_unknown", "1.1"),
        ("http://www.incident.com/cap/1.1", "namespace_unknown", "1.1"),
        ("http://example.com/warnings", "namespace_unknown", "1.2"),
    ],
)
def test_wrong_namespaces(namespace: str, flag: str, version: str) -> None:
    text = FLOOD.replace(f' xmlns="{CAP}"', f' xmlns="{namespace}"' if namespace else "")
    reading = read_one(text.encode())
    assert (reading.ok, reading.flags) == (True, (flag,))
    assert alert_of(text.encode()).version == version


def test_children_without_the_namespace_of_their_alert() -> None:
    data = edited((f'<alert xmlns="{CAP}"', f'<c:alert xmlns:c="{CAP}"'), ("</alert>", "</c:alert>"))
    assert read_one(data).flags == ("namespace_mixed",)
    assert alert_of(data) == alert_of(FLOOD.encode())


# -- wrappings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "flags"),
    [
        (EDXL, EDXL_END, ("wrapped_edxl",)),
        (EDXL_2, "</e:content></e:EDXLDistribution>", ("wrapped_edxl",)),
        (ATOM, "</content></entry></feed>", ("wrapped_atom",)),
        ('<rss version="2.0"><channel><item>', "</item></channel></rss>", ("wrapped_rss",)),
        ("<alerts>", "</alerts>", ("wrapped",)),
    ],
)  # fmt: skip
def test_wrapped(before: str, after: str, flags: tuple[str, ...]) -> None:
    one = read_one((before + BARE + after).encode())
    assert one.flags == flags
    assert one.alert == alert_of(FLOOD.encode())
    several = read_alerts((before + BARE * 17 + after).encode(), now=NOW)
    assert len(several) == 17


@pytest.mark.parametrize("inner", [BARE, FLOOD])
@pytest.mark.parametrize("cdata", [False, True])
def test_an_alert_as_text_of_a_feed(inner: str, cdata: bool) -> None:
    escaped = f"<![CDATA[{inner}]]>" if cdata else inner.replace("&", "&amp;").replace("<", "&lt;")
    feed = f'<feed xmlns="http://www.w3.org/2005/Atom"><entry><content type="text">{escaped}</content></entry></feed>'
    reading = read_one(feed.encode())
    assert reading.flags == ("wrapped_atom", "alert_as_text")
    assert reading.alert == alert_of(FLOOD.encode())


def test_prose_that_looks_like_markup_is_no_alert() -> None:
    feed = "<rss><channel><item><description>&lt;alert> the dam is &lt;full</description></item></channel></rss>"
    with pytest.raises(CapError) as caught:
        read_alerts(feed.encode(), now=NOW)
    assert caught.value.code == "no_alert"


def test_one_refused_alert_does_not_touch_the_others() -> None:
    bad = BARE.replace("<scope>Public</scope>", "")
    first, second, third = read_alerts(f"<a>{BARE}{bad}{BARE}</a>".encode(), now=NOW)
    assert (first.ok, second.ok, third.ok) == (True, False, True)
    assert second.code == "missing_scope"


# -- encodings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + FLOOD.encode(),
        b"\n\n  " + FLOOD.encode(),
        FLOOD.replace("UTF-8", "UTF-16").encode("utf-16"),
        BARE.encode(),
        FLOOD.replace("<event>Lũ quét</event>", "<event><![CDATA[Lũ quét]]></event>").encode(),
        FLOOD.replace("<event>Lũ quét</event>", "<event>L<!-- -->ũ qu<?x y?>ét</event>").encode(),
        FLOOD.replace("<event>Lũ quét</event>", "<event>L&#x169; qu&#233;t</event>").encode(),
    ],
)
def test_ways_to_write_the_same(data: bytes) -> None:
    assert read_one(data).alert == alert_of(FLOOD.encode())
    assert read_one(data).flags == ()


def test_latin_text() -> None:
    text = FLOOD.replace("Lũ quét", "Orage violent à Évry").replace("Lũ", "L").replace("Đakrông", "D")
    assert alert_of(text.replace("UTF-8", "ISO-8859-1").encode("latin-1")).infos[0].event == "Orage violent à Évry"
    reading = read_one(text.encode("latin-1", "replace"))
    assert reading.flags == ("encoding_guessed",)
    assert reading.alert is not None
    assert reading.alert.infos[0].event == "Orage violent à Évry"


# -- refusal ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("<identifier>VN-QT-1</identifier>", "", "missing_identifier"),
        ("VN-QT-1", "  ", "missing_identifier"),
        ("<sender>kttv@example.vn</sender>", "", "missing_sender"),
        ("<sent>2026-10-17T16:30:00+07:00</sent>", "", "missing_sent"),
        ("<status>Actual</status>", "<status/>", "missing_status"),
        ("<msgType>Alert</msgType>", "", "missing_msg_type"),
        ("<scope>Public</scope>", "", "missing_scope"),
        ("2026-10-17T16:30:00+07:00</sent>", "yesterday</sent>", "bad_sent"),
        ("2026-10-17T16:30:00+07:00</sent>", "2026-13-17T16:30:00+07:00</sent>", "bad_sent"),
        ("<status>Actual</status>", "<status>Test</status><status>Actual</status>", "ambiguous_status"),
        ("<msgType>Alert</msgType>", "<msgType>Alert</msgType><msgType>Cancel</msgType>", "ambiguous_msg_type"),
    ],
)
def test_refused(old: str, new: str, code: str) -> None:
    reading = read_one(edited((old, new)))
    assert (reading.ok, reading.code, reading.alert) == (False, code, None)
    assert reading.reason
    value = reading_json(reading)
    assert value["infos"] == []
    assert value["scope"] == (None if code == "missing_scope" else "Public")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"hello", "not_xml"),
        (b"<alert>", "not_xml"),
        (b"<a/>", "no_alert"),
        (b"\x00\xff\xfe", "not_xml"),
        (b'<?xml version="1.0" encoding="x-nobody"?><alert/>', "not_xml"),
        (FLOOD.replace("Lũ", "&#x1;").encode(), "not_xml"),
        (FLOOD.replace("Lũ", "\x01").encode(), "not_xml"),
    ],
)
def test_what_is_no_document(data: bytes, code: str) -> None:
    with pytest.raises(CapError) as caught:
        read_alerts(data, now=NOW)
    assert caught.value.code == code


# -- quarantine -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "flag"),
    [
        ("<category>Met</category>", "", "missing_category"),
        ("<event>Lũ quét</event>", "<event/>", "missing_event"),
        ("<urgency>Immediate</urgency>", "<urgency> </urgency>", "missing_urgency"),
        ("<severity>Extreme</severity>", "", "missing_severity"),
        ("<certainty>Likely</certainty>", "", "missing_certainty"),
        (
            "<severity>Extreme</severity>",
            "<severity>Extreme</severity><severity>Minor</severity>",
            "ambiguous_severity",
        ),
        ("<msgType>Alert", "<msgType>Update", "references_missing"),
        ("<msgType>Alert", "<msgType>Cancel", "references_missing"),
    ],
)
def test_quarantined(old: str, new: str, flag: str) -> None:
    reading = read_one(edited((old, new)))
    assert reading.ok
    assert reading.quarantine
    assert flag in reading.flags


# -- lenience ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "flag"),
    [
        ("<status>Actual", "<status>actual", "bad_status"),
        ("<status>Actual", "<status> Actual ", "stray_space"),
        ("<msgType>Alert", "<msgType>Alarm", "bad_msg_type"),
        ("<scope>Public", "<scope>public", "bad_scope"),
        ("<scope>Public", "<scope>Restricted", "restriction_missing"),
        ("<scope>Public", "<scope>Private", "addresses_missing"),
        ("<category>Met", "<category>Weather", "bad_category"),
        ("<severity>Extreme", "<severity>High", "bad_severity"),
        ("VN-QT-1", "VN QT 1", "bad_identifier"),
        ("kttv@example.vn", "a,b", "bad_sender"),
        ("+07:00</sent>", "</sent>", "time_without_zone"),
        ("+07:00</sent>", ".250+07:00</sent>", "time_format"),
        ("2026-10-17T20:30:00+07:00", "soon", "bad_expires"),
        ("2026-10-17T20:30:00+07:00", "2026-10-17T16:31:00+07:00", "expired"),
        ("    <language>vi</language>\n", "    <lang>vi</lang>\n", "unexpected_element"),
        ("Lũ quét</event>", "Lũ quét<b>!</b></event>", "unexpected_element"),
        ("<scope>Public</scope>", "<scope>Public</scope><scope>Public</scope>", "repeated_element"),
        ("<scope>Public</scope>", "<scope>Public</scope><references/>", "references_empty"),
        ("<scope>Public</scope>", "<scope>Public</scope><references>a,b</references>", "references_unreadable"),
        ("<scope>Public</scope>", "<scope>Public</scope><source>x</source>", "element_order"),
        ("<areaDesc>Đakrông</areaDesc>", "", "missing_area_desc"),
        ("<area>", "<web>10.0.0.1:80/x</web><area>", "bad_web"),
        ("16.6,107.0 12.5<", "16.6,107.0 12.5<b/><", "unexpected_element"),
        ("</geocode>", "</geocode><altitude>high</altitude>", "bad_altitude"),
        ("<event>", '<event lang="vi">', "unexpected_attribute"),
        ("<info>", '<info Id="a">', "unexpected_attribute"),
        ("<expires>2026-10-17T20:30:00+07:00</expires>", "<onset/>", "empty_element"),
        ("<urgency>", "<responseType> </responseType><urgency>", "empty_element"),
        ("<language>vi<", "<language>tiếng Việt<", "bad_language"),
        ("<area>", "xin chào<area>", "stray_text"),
        ("16.5,106.9 16.5,107.1", "16.5 106.9 16.5,107.1", "polygon_unreadable"),
        (" 16.7,106.9 16.5,106.9<", " 16.7,106.9<", "polygon_open"),
        ("16.6,107.0 12.5", "16.6,107.0", "circle_unreadable"),
        ("<valueName>VN-commune</valueName>", "", "missing_value_name"),
        ("<area>", RESOURCE + "</resource><area>", "missing_mime_type"),
        ("<area>", RESOURCE + "<mimeType>a/b</mimeType><size>big</size></resource><area>", "bad_size"),
    ],
)
def test_read_all_the_same_with_a_flag(old: str, new: str, flag: str) -> None:
    reading = read_one(edited((old, new)))
    assert reading.ok
    assert not reading.quarantine
    assert flag in reading.flags
    assert all(fault.detail for fault in reading.faults)


@pytest.mark.parametrize("status", ["Exercise", "Test", "System", "actual", ""])
def test_an_envelope_that_is_not_actual(status: str) -> None:
    inside = f"<distributionStatus>{status}</distributionStatus><contentObject>"
    reading = read_one((EDXL.replace("<contentObject>", inside) + BARE + EDXL_END).encode())
    assert reading.quarantine
    assert reading.flags == ("wrapped_edxl", "envelope_not_actual")
    actual = (EDXL.replace("<contentObject>", inside.replace(f">{status}<", ">Actual<")) + BARE + EDXL_END).encode()
    assert not read_one(actual).quarantine


def test_no_info_and_no_end() -> None:
    text = FLOOD[: FLOOD.index("  <info>")] + "</alert>"
    assert read_one(text.encode()).flags == ("no_info",)
    endless = edited(("    <expires>2026-10-17T20:30:00+07:00</expires>\n", ""))
    assert read_one(endless).flags == ()
    assert read_one(endless, now=datetime(2026, 10, 18, 9, 31, tzinfo=UTC)).flags == ("stale",)


def test_references() -> None:
    texts = "a,b,2026-10-17T09:00:00-00:00\n c,d,e,2026-10-17T16:00:00+07:00 a,b,2026-10-17T16:00:00+07:00"
    data = edited(("<msgType>Alert", "<msgType>Update"), ("</scope>", f"</scope><references>{texts}</references>"))
    nine = datetime(2026, 10, 17, 9, tzinfo=UTC)
    assert alert_of(data).references == (AlertKey("a", "b", nine), AlertKey("c", "d,e", nine))
    assert read_one(data).flags == ()


def test_embedded_sound_is_told_about_and_not_kept() -> None:
    audio = "QUJD" * 120_000
    rest = f"<mimeType>audio/mpeg</mimeType><uri>file:///etc/passwd</uri><derefUri>{audio}</derefUri></resource>"
    data = edited(("<area>", f"{RESOURCE}{rest}<area>"))
    (resource,) = alert_of(data).infos[0].resources
    assert (resource.embedded_chars, resource.uri) == (480_000, "file:///etc/passwd")
    assert audio[:100] not in repr(read_one(data))


@pytest.mark.parametrize(
    ("value", "floor", "expected"),
    [
        ("Extreme", "Severe", True),
        ("Severe", "Severe", True),
        ("Minor", "Severe", False),
        ("Unknown", "Minor", False),
        ("Unknown", "Unknown", True),
        (None, "Minor", False),
        ("", "Minor", False),
        ("extreme", "Minor", False),
        ("Immediate", "Severe", False),
        ("Immediate", "Expected", True),
        ("Very Likely", "Observed", True),
    ],
)
def test_scales(value: str | None, floor: str, expected: bool) -> None:
    assert at_least(value, floor) is expected


def test_a_floor_on_no_scale() -> None:
    with pytest.raises(ValueError, match="Severest"):
        at_least("Extreme", "Severest")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("2026-10-17T16:30:00+07:00", None),
        ("2026-10-17T09:30:00-00:00", None),
        ("2026-10-17T09:30:00Z", "time_format"),
        ("2026-10-17 09:30:00+00:00", "time_format"),
        ("2026-10-17T09:30+00:00", "time_format"),
        ("2026-10-17T16:30:00+0700", "time_format"),
        ("2026-10-17T09:30:00", "time_without_zone"),
        ("2026-10-16T24:00:00-09:30", None),
    ],
)
def test_moments(text: str, fault: str | None) -> None:
    moment = read_moment(text)
    assert moment is not None
    assert moment == (datetime(2026, 10, 17, 9, 30, tzinfo=UTC), fault)
    assert write_moment(moment.at) == "2026-10-17T09:30:00-00:00"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026",
        "2026-02-30T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "2026-10-17T25:00:00Z",
        "2026-10-17T09:30:00+15:00",
    ],
)
def test_no_moments(text: str) -> None:
    assert read_moment(text) is None
    with pytest.raises(ValueError, match="zone"):
        write_moment(datetime(2026, 1, 1))  # noqa: DTZ001

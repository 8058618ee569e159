"""PROTOCOL.md says what the code does: fields, codes, limits, payload types, offsets."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import protocol
from protocol import limits, messages
from protocol.bundle import HEADER
from protocol.documents import PAYLOAD_TYPES
from protocol.tap import HEADER as TAP_HEADER
from protocol.telemetry import Arrivals, Health, Part, PlanState, PlayRecord, SoundingState
from tests.vectors.make import FILES

ROOM = Path(protocol.__file__).parent
PAGE = (ROOM / "PROTOCOL.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """What stands below a heading, up to the next one."""
    return re.split(r"^#{2,4} ", PAGE.split(f"\n{heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def fields(text: str) -> list[str]:
    return re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", sorted(messages._MODELS))
def test_every_message_and_its_fields(name: str) -> None:
    assert sorted(fields(section(f"#### `{name}`"))) == sorted(messages._MODELS[name].model_fields)


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("### 5.1 `health`", Health),
        ("### 5.2 `plan`", PlanState),
        ("### 5.3 `sounding`", SoundingState),
        ("### 5.4 play record", PlayRecord),
        ("### 5.5 `arrivals`", Arrivals),
    ],
)
def test_every_part_and_its_fields(heading: str, model: type[Part]) -> None:
    assert fields(section(heading)) == list(model.model_fields)


def raised_codes() -> set[str]:
    """The first argument of every refusal made in this package."""
    codes = set()
    for path in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if not (name.endswith("Error") or name == "__init__"):
                continue
            codes |= {
                each.value
                for each in ast.walk(node.args[0])
                if isinstance(each, ast.Constant)
                and isinstance(each.value, str)
                and re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", each.value)
            }
    return codes


def test_every_code_is_in_the_table() -> None:
    listed = set(re.findall(r"`(\w+)`", section("## 11 Codes")))
    raised = raised_codes()
    assert len(raised) > 35
    assert raised - listed == set()


def test_the_limits() -> None:
    text = section("## 12 Limits").replace(" ", "")
    for name in ("MAX_TEXT", "MAX_BINARY", "MAX_BODY", "MAX_ENVELOPE", "MAX_DAY", "MAX_PLAN", "MAX_FRAMES"):
        assert str(getattr(limits, name)) in text, name
    for names in (
        ("MAX_ID", "MAX_TITLE", "MAX_DETAIL"),
        ("MAX_ITEMS_PER_DAY", "MAX_PIECES", "MAX_DAYS"),
        ("MAX_TARGETS", "MAX_KEYS", "MAX_LANGUAGES"),
        ("MAX_RECORDS", "MAX_FAULTS", "MAX_ROOT_CHAIN"),
    ):
        values = [str(getattr(limits, name)) for name in names]
        assert ";".join(values) in text or ",".join(values) in text, names
    assert f"depthofJSON|{limits.MAX_DEPTH}|" in text


def test_the_payload_types() -> None:
    for kind, payload_type in PAYLOAD_TYPES.items():
        assert f"`{payload_type}`" in PAGE, kind


def test_the_bundle_table_adds_up() -> None:
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\w+) \|", section("## 7 Live bundle"), flags=re.MULTILINE)
    position = 0
    for offset, size, name in rows:
        assert int(offset) == position, name
        position += int(size)
    assert position == HEADER.size
    assert len(rows) == len(HEADER.unpack(bytes(HEADER.size)))


def test_the_tap_table_adds_up() -> None:
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\w+) \|", section("### 7.1 Tap frame"), flags=re.MULTILINE)
    position = 0
    for offset, size, name in rows:
        assert int(offset) == position, name
        position += int(size)
    assert position == TAP_HEADER.size
    assert len(rows) == len(TAP_HEADER.unpack(bytes(TAP_HEADER.size)))


def test_the_vectors_are_named() -> None:
    for name in FILES:
        assert f"`{name}`" in PAGE

"""``loa-controller schedule expand``: its lines, its exit codes, and that no traceback reaches a user."""

import json

import pytest
from typer.testing import CliRunner

from controller.cli.schedule import ENDLESS_SHOWN, app

RUN = CliRunner()
BASE = ["expand", "--dtstart", "2026-01-01T05:00", "--tz", "Asia/Ho_Chi_Minh", "--json", "--rrule"]


def lines(*arguments: str) -> list[str]:
    result = RUN.invoke(app, [*BASE, *arguments])
    assert result.exit_code == 0, result.output
    return [json.loads(line)["at"] for line in result.stdout.splitlines()]


def test_one_line_an_occurrence() -> None:
    result = RUN.invoke(app, [*BASE, "FREQ=DAILY;COUNT=2"])
    assert result.stdout == '{"at": "2026-01-01T05:00:00+07:00"}\n{"at": "2026-01-02T05:00:00+07:00"}\n'
    plain = RUN.invoke(app, [part for part in BASE if part != "--json"] + ["FREQ=DAILY;COUNT=1"])
    assert plain.stdout == "2026-01-01T05:00:00+07:00\n"


def test_exceptions_and_additions_repeat_and_take_commas() -> None:
    found = lines(
        "FREQ=DAILY;COUNT=5",
        "--exdate",
        "2026-01-02T05:00,2026-01-03T05:00",
        "--exdate",
        "20260104T050000",
        "--rdate",
        "2026-02-01T06:00,2026-02-02T06:00:00",
        "--rdate",
        "2026-02-03",
    )
    assert [text[5:16] for text in found] == ["01-01T05:00", "01-05T05:00", "02-01T06:00", "02-02T06:00", "02-03T00:00"]


def test_from_and_to_are_inclusive_and_a_date_is_its_whole_day() -> None:
    assert len(lines("FREQ=DAILY", "--from", "2026-02-01T05:00", "--to", "2026-02-03T05:00")) == 3
    assert len(lines("FREQ=DAILY", "--from", "2026-02-01", "--to", "2026-02-03")) == 3
    assert len(lines("FREQ=DAILY", "--from", "2026-01-31T22:00:01Z", "--to", "2026-02-03")) == 2


def test_a_limit_and_an_endless_rule() -> None:
    assert len(lines("FREQ=SECONDLY", "--limit", "3")) == 3
    assert lines("FREQ=DAILY", "--limit", "0") == []
    endless = RUN.invoke(app, [*BASE, "FREQ=DAILY"])
    assert len(endless.stdout.splitlines()) == ENDLESS_SHOWN
    assert "no end" in endless.stderr


def test_no_occurrence_is_no_line_and_no_fault() -> None:
    assert lines("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30") == []
    assert lines("FREQ=DAILY;UNTIL=20250101") == []


def test_dates_are_midnights() -> None:
    result = RUN.invoke(app, [*BASE, "FREQ=DAILY;COUNT=1", "--dtstart", "2026-03-01"])
    assert json.loads(result.stdout)["at"] == "2026-03-01T00:00:00+07:00"


@pytest.mark.parametrize(
    "arguments",
    [
        ["FREQ=NEVER"],
        [""],
        ["FREQ=DAILY", "--dtstart", "soon"],
        ["FREQ=DAILY", "--dtstart", "2026-01-01T05:00Z"],
        ["FREQ=DAILY", "--tz", "Asia/Nowhere"],
        ["FREQ=DAILY", "--exdate", "2026-13-01"],
        ["FREQ=DAILY", "--from", "x"],
        ["FREQ=DAILY", "--limit", "-1"],
        ["FREQ=DAILY", "--limit", "many"],
        ["FREQ=DAILY", "--no-such-flag"],
    ],
)
def test_wrong_usage_is_exit_2_with_a_word_on_stderr(arguments: list[str]) -> None:
    result = RUN.invoke(app, [*BASE, *arguments])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.strip()
    assert "Traceback" not in result.stderr


def test_missing_options_are_wrong_usage() -> None:
    assert RUN.invoke(app, ["expand", "--rrule", "FREQ=DAILY"]).exit_code == 2


def test_an_offset_that_is_the_zones_own_is_taken() -> None:
    result = RUN.invoke(app, [*BASE, "FREQ=DAILY;COUNT=1", "--dtstart", "2026-01-01T05:00:00+07:00"])
    assert json.loads(result.stdout)["at"] == "2026-01-01T05:00:00+07:00"

"""What the demo shows: a live table of the communes on a terminal, or a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self
from zoneinfo import ZoneInfo

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from controller.demo.district import DISTRICT, TIMEZONE

_COLUMNS = ("clusters", "online", "cached", "playing", "played", "faults")
_VIETNAMESE = ("cụm loa", "trực tuyến", "đã tải", "đang phát", "đã phát", "lỗi")


class Board:
    """Shows the state of the demo. ``live``: a table that is redrawn; else lines on stderr when something changed."""

    def __init__(self, *, live: bool) -> None:
        self._console = Console(stderr=not live, highlight=False)
        self._live = Live(console=self._console, refresh_per_second=4, transient=False) if live else None
        self._stage = ""
        self._more = ""
        self._said = ""
        self._fleet: Mapping[str, Any] = {"areas": (), "total": dict.fromkeys(_COLUMNS, 0)}

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, words: str) -> None:
        """A line that stays."""
        self._console.print(Text(words), soft_wrap=True)

    def stage(self, words: str, more: str = "") -> None:
        """What is going on now. ``more`` is what changes all the time; only the table shows it."""
        if words != self._stage and self._live is None:
            self.say(words)
        self._stage, self._more = words, more
        self._draw()

    def fleet(self, fleet: Mapping[str, Any]) -> None:
        """New numbers."""
        self._fleet = fleet
        if self._live is None:
            total = fleet["total"]
            words = "  ".join(f"{name} {total[name]}" for name in _COLUMNS)
            if words != self._said:
                self._said = words
                self.say(f"  {words}")
        self._draw()

    def _draw(self) -> None:
        if self._live is not None:
            self._live.update(Group(self._table(), Text(f"{self._stage} {self._more}", style="bold")))

    def _table(self) -> Table:
        clock = datetime.now(ZoneInfo(TIMEZONE)).strftime("%H:%M:%S")
        table = Table(title=f"Loa · {DISTRICT} · {clock}", title_justify="left", show_footer=True)
        total = self._fleet["total"]
        table.add_column("commune", footer="total")
        for name, vietnamese in zip(_COLUMNS, _VIETNAMESE, strict=True):
            table.add_column(f"{name}\n{vietnamese}", justify="right", footer=str(total[name]))
        for area in sorted(self._fleet["areas"], key=lambda one: str(one["name"])):
            table.add_row(area["name"], *(_number(name, int(area[name])) for name in _COLUMNS))
        return table


def _number(column: str, value: int) -> Text:
    styles = {"playing": "bold green", "played": "green", "faults": "bold red"}
    return Text(str(value), style=styles.get(column, "") if value else "dim")

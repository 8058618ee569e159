"""Tables for people, in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from agent.selftest import Check


def print_status(said: dict[str, Any]) -> None:
    """What the agent says of itself."""
    console = Console()
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in _rows(said):
        table.add_row(name, value)
    console.print(table)
    for fault in said.get("faults", []):
        console.print(f"[bold red]![/] {fault['code']}: {fault['detail']}", highlight=False)


def _rows(said: dict[str, Any]) -> list[tuple[str, str]]:
    status = said.get("status") or {}
    health, plan = status.get("health", {}), status.get("plan", {})
    sounding, following = status.get("sounding"), said.get("next")
    rows = [
        ("state", str(said.get("state"))),
        ("agent", str(said.get("agent_id"))),
        ("cluster", str(said.get("cluster_id") or "not enrolled")),
    ]
    if said.get("digits"):
        rows.append(("digits", f"[bold]{said['digits']}[/]  compare at the desk, then: loa-agent confirm DIGITS"))
    if not status:
        return rows
    cached = f"{plan.get('clips_cached', 0)} of {plan.get('clips_needed', 0)} sounds here"
    return [
        *rows,
        ("controller", "connected" if said.get("connected") else "not connected"),
        ("plan", f"{plan.get('plan_term', 0)}.{plan.get('plan_seq', 0)}, {cached}"),
        ("sounding", "silence" if sounding is None else f"{sounding.get('title') or 'live'} ({sounding['priority']})"),
        ("mute", _mute_words(status.get("muted"))),
        ("stock", _stock_words(status.get("stock") or {})),
        ("next", "nothing" if following is None else f"{following['title']} at {following['at']}"),
        ("clock", str(health.get("clock"))),
        ("in step", _sync(status.get("sync") or {})),
        ("output", f"{health.get('output')} {health.get('output_name', '')}".strip()),
    ]


def _sync(sync: dict[str, Any]) -> str:
    """How well it keeps time, in a line."""
    if sync.get("sigma_us") is None:
        return "no time of the controller yet"
    parts = [f"±{sync['sigma_us'] / 1000:.2f} ms", f"path {sync['rtt_min_us'] / 1000:.1f} ms"]
    if sync.get("standing_us"):
        parts.append(f"a queue of {sync['standing_us'] / 1000:.0f} ms stands")
    if sync.get("error_p95_us") is not None:
        parts.append(f"sound within {sync['error_p95_us'] / 1000:.2f} ms (p95)")
    if sync.get("gap_ms"):
        parts.append(f"{sync['gap_ms'] / 1000:.1f} s missing")
    parts.append(f"output timing {sync['timing']}" + (f": {sync['reason']}" if sync.get("reason") else ""))
    return ", ".join(parts)


def _mute_words(muted: dict[str, Any] | None) -> str:
    if muted is None:
        return "no"
    until = datetime.fromtimestamp(muted["until"] / 1e6, UTC).astimezone()
    return f"[bold red]yes[/], until {until:%Y-%m-%d %H:%M}, by {muted['by']}"


def _stock_words(stock: dict[str, Any]) -> str:
    bad = f", {stock['bad']} altered" if stock.get("bad") else ""
    return f"{stock.get('here', 0)} of {stock.get('wanted', 0)} emergency sounds here{bad}"


def print_checks(checks: Sequence[Check]) -> None:
    """The self-test as a table."""
    table = Table("check", "", "what was found", "what to do", box=None, pad_edge=False)
    for check in checks:
        table.add_row(check.name, "[green]ok[/]" if check.ok else "[bold red]no[/]", check.found, check.advice)
    Console().print(table)

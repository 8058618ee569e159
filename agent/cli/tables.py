"""Tables for people, in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
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
        ("next", "nothing" if following is None else f"{following['title']} at {following['at']}"),
        ("clock", str(health.get("clock"))),
        ("output", f"{health.get('output')} {health.get('output_name', '')}".strip()),
    ]


def print_checks(checks: Sequence[Check]) -> None:
    """The self-test as a table."""
    table = Table("check", "", "what was found", "what to do", box=None, pad_edge=False)
    for check in checks:
        table.add_row(check.name, "[green]ok[/]" if check.ok else "[bold red]no[/]", check.found, check.advice)
    Console().print(table)

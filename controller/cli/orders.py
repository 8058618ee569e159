"""``loa-controller stop``, ``play``, ``withdraw``, ``volume``: what the duty officer does at once."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any, Final

import typer

from controller.cli.area import area_id
from controller.cli.client import ApiClient
from controller.cli.cluster import cluster_id
from controller.cli.media import recording_id
from controller.cli.output import JsonFlag, note, show_one
from controller.cli.programme import programme_id, seconds
from controller.cli.zone import Zones, zone_id

_PATH: Final = "/api/v1/orders"
#: How long a command waits for the agents' answers before it shows what there is.
_PATIENCE_S: Final = 3.0
_LOOK_S: Final = 0.2

Repeated = list[str] | None
Areas = Annotated[
    Repeated, typer.Option("--area", help="Id or unique name; with everything below it. May be repeated.")
]
Clusters = Annotated[Repeated, typer.Option("--cluster", help="Id or unique name. May be repeated.")]
All = Annotated[bool, typer.Option("--all", help="Everywhere.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the top."""
    app.command("stop")(stop)
    app.command("release")(release)
    app.command("play")(play)
    app.command("withdraw")(withdraw)
    app.command("volume")(volume)


def stop(
    *,
    everywhere: All = False,
    area: Areas = None,
    zone: Zones = None,
    cluster: Clusters = None,
    hold: Annotated[
        str | None, typer.Option(help="Stay mute for so long, EMERGENCIES INCLUDED: 30m, at most 24h.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Silence at once everything that sounds or waits: stop --all, stop --area NAME, stop --cluster NAME.

    Needs no confirmation and may be given again at any time. What starts later sounds normally, unless --hold says no.
    """
    with ApiClient() as api:
        body = _scope(api, everywhere=everywhere, areas=area, zones=zone, clusters=cluster)
        body |= {} if hold is None else {"hold_s": seconds(hold, "--hold")}
        order = api.post(f"{_PATH}/stop", body, idempotency_key=secrets.token_hex(16))
        show_one(_answers(api, order), as_json=as_json)


def release(
    *,
    everywhere: All = False,
    area: Areas = None,
    zone: Zones = None,
    cluster: Clusters = None,
    as_json: JsonFlag = False,
) -> None:
    """Let boxes sound again that a stop --hold made mute. What was muted at the box itself stays so."""
    with ApiClient() as api:
        body = _scope(api, everywhere=everywhere, areas=area, zones=zone, clusters=cluster)
        order = api.post(f"{_PATH}/release", body, idempotency_key=secrets.token_hex(16))
        show_one(_answers(api, order), as_json=as_json)


def play(
    *,
    recording: Annotated[list[str], typer.Option(help="Approved recording, by id or title. May be repeated.")],
    everywhere: All = False,
    area: Areas = None,
    zone: Zones = None,
    cluster: Clusters = None,
    priority: Annotated[str, typer.Option(help="priority_bulletin, commune_live or programme.")] = "commune_live",
    title: Annotated[str, typer.Option(help="By default the recordings' titles.")] = "",
    repeat: Annotated[int, typer.Option(help="Times in a row, 1 to 10.")] = 1,
    gap: Annotated[str, typer.Option(help="Silence between repetitions.")] = "30s",
    chime_before: Annotated[str, typer.Option(help="opening, closing or none.")] = "opening",
    chime_after: Annotated[str, typer.Option(help="opening, closing or none.")] = "none",
    within: Annotated[str, typer.Option(help="How long it waits for clusters that are away.")] = "5m",
    again: Annotated[bool, typer.Option("--again", help="The same once more within 3 minutes is meant.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Play approved recordings now (Phát ngay): play --recording "Tiêm chủng" --area "Tà Rụt".

    All clusters start together, 1.5 s after the order. In quiet hours it is refused.
    """
    with ApiClient() as api:
        body = _scope(api, everywhere=everywhere, areas=area, zones=zone, clusters=cluster) | {
            "recordings": [recording_id(api, each) for each in recording],
            "priority": priority.upper(),
            "title": title,
            "repeat": repeat,
            "gap_s": seconds(gap, "--gap"),
            "chime_before": None if chime_before == "none" else chime_before,
            "chime_after": None if chime_after == "none" else chime_after,
            "within_s": seconds(within, "--within"),
            "again": again,
        }
        played = api.post(f"{_PATH}/play", body, idempotency_key=secrets.token_hex(16))
        if played["uncovered"]:
            note(f"{len(played['uncovered'])} clusters speak another language and stay silent")
        orders = [_answers(api, order) for order in played["orders"]]
        sums = {
            name: sum(order[name] for order in orders) for name in ("agents", "queued", "sent", "accepted", "refused")
        }
        shown = {name: played[name] for name in ("rule_id", "start", "length_s")}
        show_one({**played, **sums} if as_json else {**shown, **sums}, as_json=as_json)


def withdraw(
    programme: Annotated[str, typer.Argument(help="Programme by id or title, or the rule_id of a play-now order.")],
    *,
    at: Annotated[
        str | None, typer.Option(help="Only the occurrence with this start: 2026-12-01T05:00:00+07:00.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Take a programme, or one occurrence, off the air and out of the plans: withdraw "Bản tin sáng" [--at TIME]."""
    with ApiClient() as api:
        rule_id = programme if programme.startswith("now_") else programme_id(api, programme)
        body = {"rule_id": rule_id, "recurrence": at}
        done = api.post(f"{_PATH}/withdraw", body, idempotency_key=secrets.token_hex(16))
        if done["order"] is None:
            note("withdrawn; no cluster was concerned")
            return
        show_one(_answers(api, done["order"]), as_json=as_json)


def volume(
    cluster: Annotated[str, typer.Argument(help="Id or unique name.")],
    *,
    sound_class: Annotated[
        list[str] | None, typer.Option("--class", help="CLASS=DECIBELS, such as programme=-6. May be repeated.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """How loud a cluster plays each class; without --class shows it: volume "A Vao 3" --class programme=-6."""
    with ApiClient() as api:
        path = f"/api/v1/clusters/{cluster_id(api, cluster)}"
        view = api.put(f"{path}/volume", {"gains": _gains(sound_class)}) if sound_class else api.get(path)
        if as_json:
            show_one(view, as_json=True)
        else:
            show_one(
                {"cluster": view["name"], **view["gains"]} if view["gains"] else {"every class": "0 dB"}, as_json=False
            )


def _scope(api: ApiClient, *, everywhere: bool, areas: Repeated, zones: Repeated, clusters: Repeated) -> dict[str, Any]:
    named = areas or zones or clusters
    if not everywhere and not named:
        raise typer.BadParameter("say where: --all, --area, --zone or --cluster")
    if everywhere and named:
        raise typer.BadParameter("--all stands alone")
    return {
        "everywhere": everywhere,
        "areas": [area_id(api, each) for each in areas or ()],
        "zones": [zone_id(api, each) for each in zones or ()],
        "clusters": [cluster_id(api, each) for each in clusters or ()],
    }


def _answers(api: ApiClient, order: dict[str, Any]) -> dict[str, Any]:
    """The order once the agents that are online have answered, or after a moment."""
    deadline = time.monotonic() + _PATIENCE_S
    while order["sent"] and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        order = api.get(f"{_PATH}/{order['name']}")
    if order["refused"]:
        note(f"{order['refused']} agents refused it; see the agents' faults")
    if not order["durable"]:
        note("the controller's disk refused to keep the order; it was given all the same. See: loa-controller doctor")
    return order


def _gains(given: list[str]) -> dict[str, float]:
    gains: dict[str, float] = {}
    for each in given:
        name, equals, text = each.partition("=")
        try:
            gains[name.strip().upper()] = float(text)
        except ValueError:
            equals = ""
        if not equals:
            raise typer.BadParameter("write CLASS=DECIBELS, such as programme=-6", param_hint="--class")
    return gains

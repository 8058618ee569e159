"""Which language a request is answered in, where an answer holds sentences for people."""

from __future__ import annotations

from aiohttp import web

from controller.services.alerts.wording import Tongue

_MOST = 20


def tongue_of(request: web.Request) -> Tongue:
    """The first of our languages by ``Accept-Language`` (RFC 9110, 12.5.4); Vietnamese when it names none."""
    wishes = []
    for place, part in enumerate(request.headers.get("Accept-Language", "").split(",")[:_MOST]):
        tag, _, weight = part.strip().partition(";")
        wishes.append((-_weight(weight), place, tag.strip().split("-")[0].lower()))
    known = {each.value: each for each in Tongue}
    return next((known[tag] for weight, _, tag in sorted(wishes) if weight < 0 and tag in known), Tongue.VI)


def _weight(text: str) -> float:
    name, _, value = text.strip().partition("=")
    if not name:
        return 1.0
    try:
        return min(1.0, max(0.0, float(value))) if name == "q" else 0.0
    except ValueError:
        return 0.0

"""The domain: when, what, where, and who is heard. Frozen values and pure functions; no I/O, no clock, no asyncio.

* :mod:`schedules.instants`: the three times, and samples.
* :mod:`schedules.ladder`: classes of sound and how equals meet.
* :mod:`schedules.model`: the values a plan is made of.
* :mod:`schedules.recurrence`: RFC 5545 rules on a zone's time line.
* :mod:`schedules.rules`: lines of the programme grid.
* :mod:`schedules.airtime`: quiet hours and caps.
* :mod:`schedules.compiler`: rules × clusters → a plan for each cluster; what the desk refuses.
* :mod:`schedules.arbiter`: (plan, live sources, orders, now) → what sounds.

Import from these; the package itself re-exports only what every other package names.
"""

from schedules.instants import SAMPLE_RATE, Frames, MediaUs, MonoUs
from schedules.ladder import Priority
from schedules.model import ClusterSettings, Item, occurrence_id

__all__ = ["SAMPLE_RATE", "ClusterSettings", "Frames", "Item", "MediaUs", "MonoUs", "Priority", "occurrence_id"]

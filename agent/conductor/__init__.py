"""From the arbiter's decisions to sound: on time, at most once, silent when it must be.

``conductor`` asks the arbiter and keeps its state; ``performance`` carries a decision out; ``stage`` holds the player;
``cues`` makes cues; ``streams`` are the live sources; ``orders`` what was commanded; ``plays`` the records; ``memory``
the way to the disk and back; ``wall`` time that does not jump; ``guard`` against floods; ``amplifier`` the relay port;
``loop`` the only coroutine.
"""

from __future__ import annotations

from agent.conductor.amplifier import AmplifierPort, GpioAmplifier, NoAmplifier, open_amplifier
from agent.conductor.conductor import Conductor, time_floor
from agent.conductor.loop import conduct
from agent.conductor.performance import Media, Parts
from agent.conductor.streams import LiveStreams
from agent.conductor.wall import Reading, Source, SteadyWall

__all__ = [
    "AmplifierPort",
    "Conductor",
    "GpioAmplifier",
    "LiveStreams",
    "Media",
    "NoAmplifier",
    "Parts",
    "Reading",
    "Source",
    "SteadyWall",
    "conduct",
    "open_amplifier",
    "time_floor",
]

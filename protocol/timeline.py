"""The controller's side of time: a named run of its monotonic clock.

Rules kept here: a timeline is named by a random u64 and lives as long as the process; media time starts near zero, so
it never needs more than 53 bits; a gateway answers with the signing controller's timeline, never with its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.limits import MAX_U64
from protocol.messages import Clock, ClockReply, UtcQuality
from schedules.instants import MediaUs, MonoUs


@dataclass(frozen=True, slots=True)
class Timeline:
    """One controller run.

    Attributes:
        id: random, from the system's source of chance; names the run.
        origin: the controller's monotonic time at which media time is 0.
    """

    id: int
    origin: MonoUs

    def __post_init__(self) -> None:
        if not 0 < self.id <= MAX_U64:
            raise ValueError("a timeline's id is a positive u64")

    def media(self, mono: MonoUs) -> MediaUs:
        """Media time at one of the controller's monotonic instants."""
        return MediaUs(mono - self.origin)

    def mono(self, media: MediaUs) -> MonoUs:
        """The controller's monotonic instant of a media time."""
        return MonoUs(media + self.origin)

    def reply(self, question: Clock, *, received: MonoUs, sent: MonoUs, utc_us: int, quality: UtcQuality) -> ClockReply:
        """The answer to a question.

        Args:
            question: the agent's message.
            received: monotonic time of its arrival, stamped as early as possible.
            sent: monotonic time right before writing the answer, never when queueing it.
            utc_us: wall time at ``sent``, microseconds since 1970.
            quality: how far that is to be believed.
        """
        return ClockReply(
            t0=question.t0,
            t1=self.media(received),
            t2=self.media(sent),
            timeline=self.id,
            utc_us=utc_us,
            utc_quality=quality,
        )

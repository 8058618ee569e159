"""Listening in, the agent's side: what leaves the mixer, as tap frames for the media connection.

Rules kept here:

1. Playout is not disturbed: on its thread a block is copied and appended, nothing more. Encoding is done on a thread of
   its own, which exists only while somebody listens.
2. One tap an agent. A newer request takes its place; it ends when nobody listens, when its time is up, and with the
   session that asked.
3. What cannot be sent waits in a queue of :data:`QUEUE_FRAMES`; the oldest goes first. Of blocks that are not encoded
   yet, as many as :data:`BLOCKS` wait.
4. It says why there is nothing: ``nothing_to_hear`` where time is kept and nothing decoded, ``metered_link`` where it
   would cost and nobody accepted that.

Not here: the frame (:mod:`protocol.tap`), the connection (:mod:`agent.link.stream`).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import numpy as np
import structlog

from audio.codec import PACKET_FRAMES, OpusEncoder
from audio.errors import CodecError
from audio.pcm import Samples, silence
from audio.playout import Ear, Player
from protocol.errors import ClockError
from protocol.messages import Listen, ListenEnd, Listening
from protocol.tap import TapFrame, pack
from schedules.instants import SAMPLE_RATE, MediaUs, MonoUs

log = structlog.get_logger("agent.link")

#: Packets in a frame: 200 ms.
FRAME_PACKETS: Final = 10

#: Five seconds of frames wait for the connection, and two of a sound card's blocks for the encoder.
QUEUE_FRAMES: Final = 25
BLOCKS: Final = 100

#: While nothing sounds, this often a frame says so, in seconds.
SILENT_S: Final = 1.0

#: Blocks whose instants contradict each other by more do not belong together.
STEP_US: Final = 5_000

#: Half of what a programme is encoded with: it is for listening in on a small board.
COMPLEXITY: Final = 5


class Timebase(Protocol):
    """The controller's time as the agent knows it. Only read, and from another thread."""

    @property
    def timeline(self) -> int | None:
        """Which run of the controller."""
        ...

    def to_media(self, mono: MonoUs) -> MediaUs:
        """An instant of the local clock on the controller's timeline."""
        ...


class _Encoder:
    """Blocks in, frames out, on a thread."""

    def __init__(
        self,
        request: Listen,
        timebase: Timebase,
        now: Callable[[], MonoUs],
        out: Callable[[bytes], None],
        failed: Callable[[str], None],
    ) -> None:
        self.request = request
        self._timebase = timebase
        self._now = now
        self._out = out
        self._failed = failed
        self._blocks: deque[tuple[Samples, MonoUs]] = deque(maxlen=BLOCKS)
        self._bell = threading.Event()
        self._closing = False
        self._rest = silence(0)
        self._packets: list[bytes] = []
        self._begins: float = 0.0  # when the first sample of what is gathered reached the converter
        self._next: float | None = None  # when the next block is due
        self._discontinuity = True
        self._seq = 0
        self._thread = threading.Thread(target=self._run, name="loa-listen", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hear(self, block: Samples, dac: MonoUs) -> None:
        """Take a block. On the output's thread."""
        self._blocks.append((block.copy(), dac))
        self._bell.set()

    def close(self) -> None:
        """End; the thread follows by itself."""
        self._closing = True
        self._bell.set()

    def _run(self) -> None:
        try:
            encoder = OpusEncoder(self.request.bit_rate, complexity=COMPLEXITY)
            while not self._closing:
                rang = self._bell.wait(SILENT_S)
                self._bell.clear()
                while self._blocks and not self._closing:
                    self._take(encoder, *self._blocks.popleft())
                if not rang and not self._closing:
                    self._flush(encoder)
                    self._emit(self._now())
        except (CodecError, ValueError) as error:
            log.warning("listening in failed", error=str(error))
            self._failed(str(error))

    def _take(self, encoder: OpusEncoder, block: Samples, dac: MonoUs) -> None:
        if self._next is not None and abs(dac - self._next) > STEP_US:
            self._flush(encoder)
        if self._next is None:
            self._begins = dac
            self._discontinuity = True
        self._next = dac + len(block) * 1e6 / SAMPLE_RATE
        self._rest = np.concatenate((self._rest, block))
        whole = len(self._rest) // PACKET_FRAMES * PACKET_FRAMES
        for at in range(0, whole, PACKET_FRAMES):
            self._packets.append(encoder.encode(self._rest[at : at + PACKET_FRAMES]))
            if len(self._packets) >= FRAME_PACKETS:
                self._emit(MonoUs(round(self._begins)))
        self._rest = self._rest[whole:]

    def _flush(self, encoder: OpusEncoder) -> None:
        """What was gathered goes out, filled up with silence; what comes next is another stretch."""
        if len(self._rest):
            self._packets.append(encoder.encode(np.concatenate((self._rest, silence(PACKET_FRAMES - len(self._rest))))))
            self._rest = silence(0)
        if self._packets:
            self._emit(MonoUs(round(self._begins)))
        self._next = None

    def _emit(self, at: MonoUs) -> None:
        packets, self._packets = tuple(self._packets), []
        try:
            play_at: MediaUs | None = self._timebase.to_media(at)
        except ClockError:
            play_at = None
        frame = TapFrame(
            self.request.tap, self._seq, self._timebase.timeline or 0, play_at, packets, self._discontinuity
        )
        self._seq += 1
        self._begins += len(packets) * PACKET_FRAMES * 1e6 / SAMPLE_RATE
        self._discontinuity = self._discontinuity and not packets
        self._out(pack(frame))


class Tap:
    """The one tap of an agent. Lives on the event loop."""

    def __init__(self, player: Player, timebase: Timebase, now: Callable[[], MonoUs], *, metered: bool = False) -> None:
        self._player = player
        self._timebase = timebase
        self._now = now
        self._metered = metered
        self._encoder: _Encoder | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._frames: deque[bytes] = deque(maxlen=QUEUE_FRAMES)
        self._there = asyncio.Event()
        #: Says something to the controller; set by the session that stands.
        self.say: Callable[[Listening], None] = lambda _: None
        #: Told when it begins or ends.
        self.changed: Callable[[], None] = lambda: None

    @property
    def active(self) -> bool:
        """Somebody listens."""
        return self._encoder is not None

    def take(self, message: Listen | ListenEnd) -> None:
        """Do what the controller asks."""
        running = self._encoder
        if isinstance(message, ListenEnd):
            if running is not None and running.request.tap == message.tap:
                self._end()
        elif running is not None and running.request.tap == message.tap:
            self._extend(message)
        else:
            self._end("replaced", "a newer request took its place")
            self._begin(message)

    def session_over(self) -> None:
        """Whoever asked is gone."""
        self.say = lambda _: None
        self._end()

    async def next_frame(self) -> bytes:
        """The next frame for the media connection."""
        while not self._frames:
            self._there.clear()
            await self._there.wait()
        return self._frames.popleft()

    def _begin(self, request: Listen) -> None:
        if self._metered and not request.anyway:
            self._refuse(request, "metered_link", "this box pays for its data by the megabyte")
            return
        loop = asyncio.get_running_loop()
        encoder = _Encoder(
            request,
            self._timebase,
            self._now,
            out=lambda data: _safely(loop, lambda: self._took(encoder, data)),
            failed=lambda why: _safely(loop, lambda: self._gave_up(encoder, why)),
        )
        ear: Ear = encoder.hear
        if not self._player.hear(ear):
            self._refuse(request, "nothing_to_hear", "this agent keeps time and decodes nothing")
            return
        self._encoder = encoder
        self._extend(request)
        encoder.start()
        self.changed()

    def _extend(self, request: Listen) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        over = "nobody asked for more"
        self._deadline = asyncio.get_running_loop().call_later(request.seconds, lambda: self._end("over", over))
        self.say(Listening(tap=request.tap, on=True))

    def _refuse(self, request: Listen, code: str, detail: str) -> None:
        self.say(Listening(tap=request.tap, on=False, code=code, detail=detail))

    def _took(self, encoder: _Encoder, data: bytes) -> None:
        if encoder is self._encoder:
            self._frames.append(data)
            self._there.set()

    def _gave_up(self, encoder: _Encoder, why: str) -> None:
        if encoder is self._encoder:
            self._end("failed", why)

    def _end(self, code: str | None = None, detail: str = "") -> None:
        """Nobody is heard any more; with a ``code``, the controller is told why."""
        encoder, self._encoder = self._encoder, None
        if encoder is None:
            return
        self._player.hear(None)
        encoder.close()
        self._frames.clear()
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if code is not None:
            self._refuse(encoder.request, code, detail)
        self.changed()


def _safely(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
        loop.call_soon_threadsafe(call)

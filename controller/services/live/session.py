"""One live session: from the first chime to the last, whatever the speaker and the network do.

Rules kept here:

1. Opening chime, speech, closing chime travel in one stream, so every cluster hears all of it, in step.
2. On air it never runs dry: a speaker who is away (:attr:`LiveState.ABSENT`) is silence for as long as he may come
   back, then the session ends. A long silence is told to him.
3. It ends at its hard stop. The signed stream itself ends a moment later, so agents stop even if we do not.
4. What was sent is recorded, to the packet.
5. An address goes on air once its first sound is at hand; one that is lost before, or silent for
   :attr:`LiveTimes.source`, ends the session with nothing sent. One that cannot be heard for
   :attr:`LiveTimes.silence` later ends it too; why is shown meanwhile.
6. A STOP order silences at once and plays no chime.

Not here: who may speak where (:mod:`controller.services.live.desk`), when packets play
(:mod:`controller.services.live.pacing`), fetching of addresses (:mod:`controller.services.carrier`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from audio.errors import AudioError
from audio.stream import Level, SpeechFormat, SpeechPacket
from controller.services.chunks import Chunk
from controller.services.leads import StreamLead
from controller.services.live.means import Billing, Feed, Means, Speech
from controller.services.live.model import WARNING, LiveState, LiveView, Speaker
from controller.services.live.pacing import STALE, Arrivals, LivePacer
from controller.services.streams import CarriedStream
from controller.services.tapes import Tape
from schedules.instants import MediaUs

#: Quieter than this is silence, in dBFS RMS.
SILENCE_DB: Final = -60.0
#: Signed streams outlive the hard stop by this: the closing chime, and the last words on their way.
AFTER_HARD_STOP: Final = timedelta(seconds=15)
_CHIME_S: Final = 10.0  # a chime that does not come out is given up
_BEND_S: Final = 1.0
_HEAR_S: Final = 0.05

_log = structlog.get_logger(__name__)


class LiveSession:
    """A session. :meth:`run` is its whole life; the other methods steer it and never wait (but :meth:`extend`)."""

    def __init__(
        self, billing: Billing, means: Means, streams: list[CarriedStream], tape: Tape, feed: Feed | None
    ) -> None:
        self.billing = billing
        self._m = means
        self.streams = streams
        self._tape = tape
        self._feed = feed
        self._kind = billing.input.source_kind
        self._lead = StreamLead(means.opener.lead_us(streams, self._kind))
        self._pacer = LivePacer(self._kind, self._lead.lead_us)
        self._remaining = billing.clusters
        self._speaker: Speaker | None = None
        self._format: SpeechFormat | None = None
        self._arrivals = Arrivals()
        self._encoder: Speech | None = None
        self._sent_until: MediaUs | None = None
        self._own = 0  # packets of chimes that came out
        self._ending = asyncio.Event()
        self._news = asyncio.Event()
        self._code = ""
        self._silenced = False
        self._warned = False
        self._silence_told = False
        self._level: Level | None = None
        self._heard_at = means.clock.now()
        self._absent_since: datetime | None = None
        self.state = LiveState.WAITING
        self.opened = means.clock.now()
        self.on_air: datetime | None = None
        self.ends: datetime | None = None
        self.ended: datetime | None = None
        self.stale_frames = 0
        #: Told when it enters another state or lasts longer. They must be quick and must not raise.
        self.listeners: list[Callable[[LiveSession], None]] = []

    # --- the speaker's side ----------------------------------------------------------------------------------------

    def attach(self, speaker: Speaker, what: SpeechFormat) -> None:
        """The speaker's connection is here (again). An older one of the same speaker is dismissed."""
        if self._speaker is not None:
            self._speaker.dismiss("replaced", "another connection of yours took over the microphone")
        self._speaker, self._format = speaker, what
        self._arrivals = Arrivals()
        if self._encoder is not None:
            self._encoder.tell_format(what)
        if self.state is LiveState.ABSENT:
            self._enter(LiveState.ON_AIR)
        self._absent_since = None
        self._news.set()
        self._tell_state()

    def detach(self, speaker: Speaker) -> None:
        """The connection is gone."""
        if self._speaker is not speaker:
            return
        self._speaker = None
        self._absent_since = self._m.clock.now()
        if self.state is LiveState.ON_AIR:
            self._enter(LiveState.ABSENT)

    def hear(self, frame: bytes, frame_us: int) -> None:
        """A frame of speech of so many microseconds. What comes before its turn, or far too late, is left out."""
        late = self._arrivals.late(frame_us, self._m.media.now())
        if self.state is not LiveState.ON_AIR or self._encoder is None:
            return
        if late > STALE:
            self.stale_frames += 1
            return
        with contextlib.suppress(AudioError):  # an encoder that is gone ends the session in run()
            self._encoder.speech(frame)

    # --- the desk's side -------------------------------------------------------------------------------------------

    def stop(self, code: str) -> None:
        """End it, with the closing chime."""
        if not self._ending.is_set():
            self._code = code
            self._ending.set()

    def silence(self, clusters: frozenset[str] | None) -> None:
        """A STOP order: at once, in these clusters (None: everywhere)."""
        left = frozenset() if clusters is None else self._remaining - clusters
        if left == self._remaining:
            return
        self._remaining = left
        if not left:
            self._silenced = True
            self.stop("stopped")

    async def extend(self, ends: datetime) -> None:
        """Let it last until ``ends``.

        Raises:
            JournalError: no number can be had; it ends when it would have.
        """
        await self._m.opener.extend(self.streams, ends + AFTER_HARD_STOP, actor=self.billing.actor.audit_name)
        self.ends = ends
        self._warned = False
        self._tell_state()

    @property
    def stream_ids(self) -> frozenset[int]:
        """What boxes call its sound."""
        return frozenset(stream.stream_id for stream in self.streams)

    def view(self) -> LiveView:
        """As people see it."""
        silent = (self._m.clock.now() - self._heard_at).total_seconds() if self.state is LiveState.ON_AIR else 0.0
        return LiveView(
            id=self.billing.id,
            title=self.billing.title,
            state=self.state,
            priority=int(self.billing.priority),
            input=self.billing.input,
            speaker=self.billing.actor.name,
            clusters=self._remaining,
            agents=len(frozenset().union(*(one.agents for one in self.streams))) if self.streams else 0,
            left_out=len(frozenset().union(*(one.left_out for one in self.streams))) if self.streams else 0,
            opened=self.opened,
            on_air=self.on_air,
            ends=self.ends,
            ended=self.ended,
            code=self._code or (self._feed.trouble or ("",))[0] if self._feed is not None else self._code,
            peak_db=None if self._level is None else round(self._level.peak_db, 1),
            rms_db=None if self._level is None else round(self._level.rms_db, 1),
            silent_s=round(silent, 1),
            lead_ms=self._pacer.lead // 1000,
            tape_id=None if self._tape.empty else self._tape.id,
            alert_id=self.billing.alert_id,
        )

    # --- its life --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Speak. Returns when it is over; whatever happens, the streams are closed."""
        try:
            async with self._m.speech() as encoder:
                self._encoder = encoder
                if self._format is not None:
                    encoder.tell_format(self._format)
                await self._with_encoder(encoder)
        except AudioError as error:
            _log.warning("live_session_failed", session=self.billing.id, code=error.code, why=str(error))
            self._code = self._code or error.code
        finally:
            self._encoder = None
            self._enter(LiveState.ENDED)
            self.ended = self._m.clock.now()
            self._tape.close()
            if self._speaker is not None:
                self._speaker.dismiss(self._code or "ended", "the session is over")
            try:
                await (self._m.opener.close if self._silenced else self._m.opener.end)(self.streams)
            finally:
                self.streams = []

    async def _with_encoder(self, encoder: Speech) -> None:
        taking = asyncio.create_task(self._take(encoder), name="live-take")
        tasks = {taking, asyncio.create_task(self._direct(encoder, taking), name="live-direct")}
        if self._feed is None:
            tasks.add(asyncio.create_task(self._tick(), name="live-tick"))
        direct = next(task for task in tasks if task.get_name() == "live-direct")
        try:
            while not direct.done():
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                tasks -= done
                for task in done - {direct}:
                    task.result()  # a fault of the encoder ends the session
            direct.result()
        finally:
            for task in {*tasks, direct}:
                task.cancel()
            await asyncio.gather(*tasks, direct, return_exceptions=True)

    async def _direct(self, encoder: Speech, taking: asyncio.Task[None]) -> None:
        """The order of things."""
        feeding = None if self._feed is None else asyncio.ensure_future(self._feed(self._publish))
        try:
            came = await (self._speaker_came() if feeding is None else self._source_came(feeding))
            if not came:
                self._code = self._code or ("nobody_spoke" if feeding is None else "source_silent")
                return
            await self._perform(encoder, feeding)
        finally:
            if feeding is not None:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
        self._enter(LiveState.CLOSING)
        if not self._silenced:
            await self._sign_off(encoder, taking)

    async def _perform(self, encoder: Speech, feeding: asyncio.Future[None] | None) -> None:
        """From the opening chime to the last word."""
        self._go_on_air()
        self._pacer.begin(MediaUs(self._m.media.now() + self._m.times.opening_us))
        if self.billing.chime_before:
            self._enter(LiveState.CHIME)
            encoder.chime("before")
            await self._own_came_out()
        if self._feed is None:
            await self._turn_came()
        else:
            self._feed.begin(self._pacer.ends)
        self._enter(LiveState.ON_AIR)
        self._heard_at = self._m.clock.now()
        await self._until_over(feeding)

    async def _source_came(self, feeding: asyncio.Future[None]) -> bool:
        """Until the address can be heard; it is told why not."""
        feed, loop = self._feed, asyncio.get_running_loop()
        assert feed is not None  # noqa: S101 - it is being fed
        deadline = loop.time() + self._m.times.source.total_seconds()
        while not self._ending.is_set() and loop.time() < deadline:
            if feed.sounds:
                return True
            if feed.sounds is False or feeding.done():
                self._code = (feed.trouble or ("source_ended",))[0]
                return False
            await asyncio.sleep(_HEAR_S)
        return False

    async def _speaker_came(self) -> bool:
        deadline = asyncio.get_running_loop().time() + self._m.times.speaker.total_seconds()
        while self._speaker is None and not self._ending.is_set():
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, self._m.times.look_s)):
                    self._news.clear()
                    await self._news.wait()
        return self._speaker is not None and not self._ending.is_set()

    def _go_on_air(self) -> None:
        self.on_air = self._m.clock.now()
        self.ends = self.on_air + self.billing.duration
        _log.info("live_on_air", session=self.billing.id, clusters=len(self.billing.clusters))

    async def _own_came_out(self) -> None:
        """Until the chime was handed on whole; it sounds meanwhile."""
        begun, before = asyncio.get_running_loop().time(), -1
        while asyncio.get_running_loop().time() - begun < _CHIME_S and not self._ending.is_set():
            await asyncio.sleep(0.05)
            if self._own and self._own == before:
                break
            before = self._own
        self._send(self._pacer.flush())

    async def _turn_came(self) -> None:
        """Until a word that is spoken now follows what was sent."""
        while not self._ending.is_set() and not self._pacer.wants_speech(self._m.media.now()):  # noqa: ASYNC110 - a time
            await asyncio.sleep(0.01)

    async def _until_over(self, feeding: asyncio.Future[None] | None) -> None:
        """On air, until somebody or something ends it."""
        bent = 0.0
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._m.times.look_s):
                    await self._ending.wait()
            if feeding is not None and feeding.done():
                feeding.result()
                self.stop("source_ended")
            self._look(self._m.clock.now())
            if self._m.opener.stale(self.streams, self._remaining, self._kind):
                await self._m.opener.retarget(self.streams, self._remaining, self._kind)
            self._follow_lead()
            bent += self._m.times.look_s
            if bent >= _BEND_S and self._feed is None and self._encoder is not None:
                bent = 0.0
                self._encoder.bend(self._pacer.bend(self._m.media.now()))

    def _follow_lead(self) -> None:
        """Agents that need more for a while get it: the bundles' deadline moves, and a little silence makes room."""
        need = self._m.opener.lead_us(self.streams, self._kind)
        if self._lead.wants_anchor(need, self._m.media.now()):
            _log.info("live_lead_grew", session=self.billing.id, lead_ms=need // 1000)
            self._pacer.lead = self._lead.anchor(need)

    def _look(self, now: datetime) -> None:
        """What time does to a session."""
        if self.ends is not None and now >= self.ends:
            self.stop("time_is_up")
        elif self.ends is not None and now >= self.ends - WARNING and not self._warned:
            self._warned = True
            self._tell({"type": "warning", "code": "time", "left_s": round((self.ends - now).total_seconds())})
        trouble = None if self._feed is None else self._feed.trouble
        if trouble is not None and now - trouble[1] >= self._m.times.silence:
            self.stop(trouble[0])
        if self._absent_since is not None and self.billing.input.spoken:
            if now - self._absent_since >= self._m.times.reconnect:
                self.stop("speaker_gone")
        elif now - self._heard_at >= self._m.times.silence and not self._silence_told:
            self._silence_told = True
            self._tell(
                {"type": "warning", "code": "silence", "silent_s": round((now - self._heard_at).total_seconds())}
            )

    async def _sign_off(self, encoder: Speech, taking: asyncio.Task[None]) -> None:
        """The last words, the closing chime, the end of the encoder."""
        self._send(self._pacer.flush())
        last, now = self._sent_until, self._m.media.now()
        if last is None or last < now + self._pacer.lead:
            last = MediaUs(now + self._pacer.lead)
        if self._feed is not None:
            self._pacer.begin(last)
        if self.billing.chime_after and self._sent_until is not None:
            encoder.chime("after")
        encoder.end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CHIME_S):
                await asyncio.shield(taking)
        self._send(self._pacer.flush())

    # --- sound -----------------------------------------------------------------------------------------------------

    async def _take(self, encoder: Speech) -> None:
        """What the encoder makes."""
        async for made in encoder:
            if isinstance(made, SpeechPacket):
                self._own += made.own
                for chunk in self._pacer.push((made.packet,), self._m.media.now(), speech=not made.own):
                    self._send(chunk)
            else:
                self._meter(made)

    async def _tick(self) -> None:
        """Send what cannot wait longer."""
        while True:
            now = self._m.media.now()
            deadline = self._pacer.deadline
            if self.state in (LiveState.WAITING, LiveState.ENDED) or deadline is None:
                await asyncio.sleep(0.05)
            elif now >= deadline:
                self._send(self._pacer.tick(now))
            else:
                await asyncio.sleep(min((deadline - now) / 1e6, 0.05))

    def _send(self, chunk: Chunk | None) -> None:
        if chunk is not None:
            self._publish(chunk)

    def _publish(self, chunk: Chunk) -> None:
        if self._silenced or not self.streams:
            return
        self._sent_until = chunk.ends
        if chunk.level is not None:
            self._meter(chunk.level)
        self._m.opener.publish(self.streams, chunk)
        self._tape.write(chunk)

    def _meter(self, level: Level) -> None:
        self._level = level
        if level.rms_db > SILENCE_DB:
            self._heard_at = self._m.clock.now()
            self._silence_told = False
        self._tell({"type": "meter", "peak_db": round(level.peak_db, 1), "rms_db": round(level.rms_db, 1)})

    # --- telling ---------------------------------------------------------------------------------------------------

    def _enter(self, state: LiveState) -> None:
        if state is not self.state:
            self.state = state
            self._tell_state()

    def _tell_state(self) -> None:
        now = self._m.clock.now()
        left = None if self.ends is None else max(0, round((self.ends - now).total_seconds()))
        self._tell({"type": "state", "state": self.state.value, "left_s": left, "code": self._code})
        for listener in self.listeners:
            listener(self)

    def _tell(self, message: dict[str, Any]) -> None:
        if self._speaker is not None:
            self._speaker.tell(message)

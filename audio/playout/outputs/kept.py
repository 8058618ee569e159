"""Keeping an output alive: opened when there is something to sound, let go when there is not, opened again when lost.

Rules kept here:

1. Idle costs nothing: the thread sleeps until woken (or until a device is due to be looked at). A device that takes
   a while to tell the time well is opened ahead, when :meth:`KeptOutput.warm` says that something will sound.
2. A lost output is tried again after 0.5 s, then twice as long each time, up to 30 s. Meanwhile the time of what is
   armed passes, so that it goes on where the clock is once the output is back.
3. A loss and a return are each told once.

Not here: how a device is opened and fed (the subclasses).
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import ClassVar

from audio.playout.clock import monotonic_us
from audio.playout.errors import OutputError
from audio.playout.outputs.port import Driver
from audio.playout.player import OutputState, OutputStatus, Timing
from schedules.instants import SAMPLE_RATE, MonoUs

_BACKOFF_FIRST_S = 0.5
_BACKOFF_MOST_S = 30.0
_LOSE_EVERY_S = 0.1
_LOSE_MOST_FRAMES = SAMPLE_RATE


class KeptOutput(ABC):
    """One thread that opens, serves, and opens again."""

    exact: ClassVar[bool] = True
    #: Look at an idle device this often, so that an unplugged one is known before it is needed; None: never.
    look_every_s: ClassVar[float | None] = None

    def __init__(self, name: str) -> None:
        self._name = name
        self._driver: Driver | None = None
        self._thread: threading.Thread | None = None
        self._bell = threading.Event()
        self._closing = threading.Event()
        self._status = OutputStatus.IDLE
        self._trouble: OutputError | None = None
        self._reopened = 0
        self._underruns = 0
        self._warm_until = MonoUs(0)

    # For subclasses ----------------------------------------------------------------------------------------------

    @abstractmethod
    def _open(self) -> None:
        """Open the device. Raises :class:`OutputError`."""

    def _begin(self) -> None:
        """Let it run: blocks are asked for from now on. Raises :class:`OutputError`."""
        return

    @abstractmethod
    def _serve(self, driver: Driver) -> None:
        """Feed it until the driver has been idle for a while, or :attr:`_closing` is set. Raises when lost."""

    @abstractmethod
    def _release(self) -> None:
        """Let the device go, whatever state it is in. Does not raise."""

    def _timing(self) -> Timing:
        return Timing.EXACT

    def _latency_us(self) -> int:
        return 0

    # The port ----------------------------------------------------------------------------------------------------

    def probe(self) -> None:
        """Open it and let it go again."""
        try:
            self._open()
        finally:
            self._release()

    def start(self, driver: Driver) -> None:
        """Serve ``driver`` from now on."""
        self._driver = driver
        self._thread = threading.Thread(target=self._run, args=(driver,), name="loa-output", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """The driver is not idle any more."""
        self._bell.set()

    def warm(self, until: MonoUs) -> None:
        """Keep the device open until then, where that is of use."""
        if self.look_every_s is not None and until > self._warm_until:
            self._warm_until = until
            self._bell.set()

    def _wanted(self, driver: Driver) -> bool:
        """Whether the device is to be open."""
        return not driver.idle or monotonic_us() < self._warm_until

    def state(self) -> OutputState:
        """How it is."""
        trouble = self._trouble
        return OutputState(
            name=self._name,
            status=self._status,
            timing=self._timing(),
            code=trouble.code if trouble else None,
            detail=str(trouble) if trouble else None,
            latency_us=self._latency_us(),
            underruns=self._underruns,
            reopened=self._reopened,
        )

    def close(self) -> None:
        """Let it go."""
        self._closing.set()
        self._bell.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    # The thread --------------------------------------------------------------------------------------------------

    def _run(self, driver: Driver) -> None:
        pause = _BACKOFF_FIRST_S
        look = self.look_every_s is not None  # a device is looked at once at the start, too
        while not self._closing.is_set():
            if not look and self._trouble is None and not self._wanted(driver):
                self._status = OutputStatus.IDLE
                look = not self._bell.wait(self.look_every_s)
                self._bell.clear()
                continue
            look = False
            lost = self._once(driver)
            if lost is None:
                pause = _BACKOFF_FIRST_S
                continue
            self._fail(driver, lost)
            self._outlast(driver, pause)
            pause = min(pause * 2, _BACKOFF_MOST_S)

    def _once(self, driver: Driver) -> OutputError | None:
        """Open, serve until idle, release. The reason, if it was lost."""
        try:
            self._open()
            driver.begin()
            self._begin()
            self._status = OutputStatus.RUNNING
            if self._trouble is not None:
                self._trouble = None
                self._reopened += 1
                driver.trouble("output_back", f"{self._name} is back")
            self._serve(driver)
        except OutputError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whatever a device's library raises must not end the thread
            return OutputError(f"{self._name} failed: {type(error).__name__}: {error}", code="output_lost")
        finally:
            self._release()
        return None

    def _fail(self, driver: Driver, error: OutputError) -> None:
        self._status = OutputStatus.FAILED
        if self._trouble is None or self._trouble.code != error.code:
            driver.trouble(error.code, str(error))
        self._trouble = error

    def _outlast(self, driver: Driver, pause_s: float) -> None:
        """Let ``pause_s`` pass, and with it the time of what is armed."""
        passed = monotonic_us()
        until = passed + round(pause_s * 1e6)
        while not self._closing.is_set() and (now := monotonic_us()) < until:
            frames = min((now - passed) * SAMPLE_RATE // 1_000_000, _LOSE_MOST_FRAMES)
            if driver.idle or frames == _LOSE_MOST_FRAMES:
                passed = now
            elif frames > 0:
                driver.lose(frames, passed)
                passed = MonoUs(passed + frames * 1_000_000 // SAMPLE_RATE)
            self._closing.wait(min(_LOSE_EVERY_S, (until - now) / 1e6))

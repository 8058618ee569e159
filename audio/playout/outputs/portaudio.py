"""The sound card, by PortAudio (the only place of sounddevice). ALSA and PulseAudio, which is reached through ALSA.

Rules kept here:

1. The library is imported when a device is first opened, not before: it costs 21 MB that WAV and null do without.
2. The callback does three things: read the clock, ask for a block, copy it. An exception in it is a lost device, not
   a silent one.
3. A device that has stopped calling for a second is lost.
4. While idle the device is closed (30 s after the last sound) and looked at once a minute. Half a minute before what is
   planned it is opened again: PulseAudio's times are wrong by milliseconds for up to 20 s after opening.

PulseAudio's ALSA plug-in takes the sink from ``PULSE_SINK``, which libpulse reads when a stream is opened; opening is
therefore done under one lock in the process.

Not here: what a time means (:mod:`audio.playout.dac`), reopening (:mod:`audio.playout.outputs.kept`).
"""

from __future__ import annotations

import os
import threading
from typing import Any, ClassVar, Literal

from audio.playout.clock import monotonic_us
from audio.playout.dac import StreamClock
from audio.playout.errors import OutputError
from audio.playout.outputs.kept import KeptOutput
from audio.playout.outputs.port import Driver
from audio.playout.player import Timing
from schedules.instants import SAMPLE_RATE

Api = Literal["alsa", "pulse"]

BLOCK_FRAMES = 960

#: Seconds between rendering and the converter: room for a late callback, and for PulseAudio to be steady.
LATENCY_S = 0.1

_LINGER_US = 30_000_000
_DEAD_US = 1_000_000
_LOOK_S = 0.1
_PULSE_DEVICE = "pulse"

_library_lock = threading.Lock()
_open_streams = 0


def _sounddevice() -> Any:
    """The library, imported late."""
    try:
        import sounddevice  # noqa: PLC0415 - 21 MB that only a sound card needs
    except OSError as error:
        raise OutputError(
            "PortAudio is not installed: sudo apt install libportaudio2 (and libasound2-plugins for PulseAudio)",
            code="no_portaudio",
        ) from error
    except ImportError as error:
        raise OutputError(
            "the sounddevice package is missing: pip install 'loa[agent]'", code="no_portaudio"
        ) from error
    return sounddevice


def _refresh(library: Any) -> None:
    """Let PortAudio look for devices again. Only while nothing is open: it would close everything."""
    if _open_streams == 0:
        library._terminate()  # noqa: SLF001 - the documented way to see a device that was plugged in
        library._initialize()  # noqa: SLF001


def _outputs(library: Any) -> list[tuple[int, str, int]]:
    """Index, name and channels of every device that can sound."""
    return [
        (index, str(device["name"]), int(device["max_output_channels"]))
        for index, device in enumerate(library.query_devices())
        if device["max_output_channels"] > 0
    ]


def _no_device(wanted: str, found: list[tuple[int, str, int]], hint: str) -> OutputError:
    names = "; ".join(f"{index}: {name}" for index, name, _ in found) or "none at all"
    return OutputError(f"{wanted}. Devices that can sound: {names}. {hint}", code="no_device")


def choose(api: Api, wanted: str | None, found: list[tuple[int, str, int]]) -> tuple[int, int]:
    """Index and channels of the device to use.

    ``wanted`` for ALSA is an index, a name, or a part of exactly one name; None is the default device.

    Raises:
        OutputError: none or several fit (``no_device``).
    """
    if api == "pulse":
        fitting = [device for device in found if device[1] == _PULSE_DEVICE]
        if not fitting:
            hint = "Install ALSA's PulseAudio plug-in: sudo apt install libasound2-plugins"
            raise _no_device("PulseAudio cannot be reached through ALSA", found, hint)
    elif wanted is None:
        fitting = [device for device in found if device[1] == "default"] or found[:1]
    elif wanted.isdecimal():
        fitting = [device for device in found if device[0] == int(wanted)]
    else:
        fitting = [device for device in found if device[1] == wanted]
        fitting = fitting or [device for device in found if wanted.casefold() in device[1].casefold()]
    if len(fitting) != 1:
        count = "no device" if not fitting else f"{len(fitting)} devices"
        name = f"is called {wanted!r}" if wanted else "can sound"
        hint = "Plug one in, or choose with --output alsa:NAME, or try without sound with --output wav:FILE"
        raise _no_device(f"{count} {name}", found, hint)
    return fitting[0][0], fitting[0][2]


class SounddeviceOutput(KeptOutput):
    """A PortAudio stream."""

    exact: ClassVar[bool] = False
    look_every_s: ClassVar[float | None] = 60.0

    def __init__(self, api: Api, device: str | None = None, *, latency_s: float = LATENCY_S) -> None:
        super().__init__(api if device is None else f"{api}:{device}")
        self._api: Api = api
        self._device = device
        self._latency_s = latency_s
        self._stream: Any = None
        self._clock: StreamClock | None = None
        self._driver_now: Driver | None = None
        self._last_call = 0
        self._crash: BaseException | None = None

    def _timing(self) -> Timing:
        clock = self._clock
        if clock is None:
            return Timing.UNKNOWN
        return Timing.DEGRADED if clock.degraded else Timing.DAC

    def _latency_us(self) -> int:
        return self._clock.latency_us if self._clock else 0

    def _open(self) -> None:
        global _open_streams  # noqa: PLW0603 - PortAudio itself is one per process
        library = _sounddevice()
        with _library_lock:
            try:
                _refresh(library)
                index, channels = choose(self._api, self._device, _outputs(library))
                self._stream = self._stream_of(library, index, channels)
            except library.PortAudioError as error:
                raise self._refused(library, error) from error
            _open_streams += 1
        self._clock = StreamClock(round(self._stream.latency * 1e6))
        self._crash = None

    def _stream_of(self, library: Any, index: int, channels: int) -> Any:
        """Mono where the device takes it, else the same sound on both sides."""
        layouts = (1, 2) if channels > 1 else (1,)
        before = os.environ.get("PULSE_SINK")
        if self._api == "pulse" and self._device is not None:
            os.environ["PULSE_SINK"] = self._device
        try:
            for count in layouts:
                try:
                    return library.OutputStream(
                        samplerate=SAMPLE_RATE,
                        blocksize=BLOCK_FRAMES,
                        device=index,
                        channels=count,
                        dtype="float32",
                        latency=self._latency_s,
                        callback=self._callback,
                        prime_output_buffers_using_stream_callback=False,
                    )
                except library.PortAudioError:
                    if count == layouts[-1]:
                        raise
        finally:
            if before is None:
                os.environ.pop("PULSE_SINK", None)
            else:
                os.environ["PULSE_SINK"] = before
        raise AssertionError("unreachable: the last layout either opens or raises")

    def _refused(self, library: Any, error: Exception) -> OutputError:
        reason = str(error)
        if "unavailable" in reason.lower() or "busy" in reason.lower():
            return OutputError(f"{self._name} is in use by another program, or gone: {reason}", code="device_busy")
        hint = "Is the sound server running, and does the sink exist (pactl list short sinks)?"
        if self._api == "alsa":
            hint = "Is it plugged in, and may this user open it (group audio)?"
        return _no_device(f"{self._name} cannot be opened: {reason}", _outputs(library), hint)

    def _begin(self) -> None:
        self._driver_now = self._driver
        self._last_call = monotonic_us()
        try:
            self._stream.start()
        except Exception as error:
            raise OutputError(f"{self._name} does not start: {error}", code="output_lost") from error

    def _callback(self, outdata: Any, frames: int, times: Any, status: Any) -> None:
        now = monotonic_us()
        driver, clock = self._driver_now, self._clock
        self._last_call = now
        if driver is None or clock is None or self._crash is not None:
            outdata.fill(0)
            return
        try:
            dry = bool(status.output_underflow)
            self._underruns += dry
            dac = clock.instant(now, times.currentTime, times.outputBufferDacTime, frames)
            outdata[:] = driver.render(frames, dac, glitch=dry, called=now)[:, None]
        except Exception as error:  # noqa: BLE001 - it would only be printed by the library; the thread tells it
            outdata.fill(0)
            self._crash = error

    def _serve(self, driver: Driver) -> None:
        idle_since = None if self._wanted(driver) else monotonic_us() - _LINGER_US
        while not self._closing.is_set():
            self._closing.wait(_LOOK_S)
            now = monotonic_us()
            if self._crash is not None:
                raise OutputError(f"{self._name}: rendering failed: {self._crash!r}", code="output_lost")
            if not self._stream.active or now - self._last_call > _DEAD_US:
                raise OutputError(
                    f"{self._name} has stopped taking sound: unplugged, or its sound server is gone",
                    code="output_lost",
                )
            if self._wanted(driver):
                idle_since = None
            elif idle_since is None:
                idle_since = now
            elif now - idle_since >= _LINGER_US:
                return

    def _release(self) -> None:
        global _open_streams  # noqa: PLW0603 - PortAudio itself is one per process
        stream, self._stream = self._stream, None
        self._driver_now = None
        if stream is None:
            return
        with _library_lock:
            stream.abort(ignore_errors=True)
            stream.close(ignore_errors=True)
            _open_streams -= 1

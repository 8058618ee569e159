"""Sound from this machine's inputs: a mixing desk on the line-in, a microphone. 48 kHz, mono, 16 bit, 10 ms at a time.

Rules kept here:

1. The callback of PortAudio only hands its bytes over; nothing is waited for in it.
2. Capture follows the device's own clock; who receives it must expect it to be some 100 ppm off.

Not here: encoding, networks. The only place of PortAudio's input side.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from audio.errors import AudioError

RATE: Final = 48_000
#: Samples of 20 ms; half of it is handed over at a time.
BLOCK: Final = 960


class CaptureError(AudioError):
    """An input cannot be opened: ``no_portaudio``, ``no_such_input``, ``input_refused``."""

    default_code = "input_refused"


@dataclass(frozen=True, slots=True)
class Input:
    """An input of this machine."""

    number: int
    name: str
    api: str
    channels: int
    rate: int
    default: bool


def inputs() -> tuple[Input, ...]:
    """The inputs of this machine.

    Raises:
        CaptureError: ``no_portaudio``.
    """
    library = _library()
    default = library.default.device[0]
    apis = library.query_hostapis()
    return tuple(
        Input(
            number=number,
            name=str(each["name"]),
            api=str(apis[each["hostapi"]]["name"]),
            channels=int(each["max_input_channels"]),
            rate=round(each["default_samplerate"]),
            default=number == default,
        )
        for number, each in enumerate(library.query_devices())
        if each["max_input_channels"] > 0
    )


class LineIn:
    """An open input. ``heard`` gets every block, on PortAudio's thread.

    Args:
        device: a number or a part of a name as :func:`inputs` tells, ``pulse`` or ``pulse:SOURCE``; empty = default.
        heard: called with 960 bytes every 10 ms.
    """

    def __init__(self, device: str, heard: Callable[[bytes], None]) -> None:
        library = _library()
        kind, colon, source = device.partition(":")
        if kind == "pulse" and colon:
            os.environ["PULSE_SOURCE"] = source  # read by libpulse when the stream is opened
            device = "pulse"
        name: str | int | None = int(device) if device.isdecimal() else (device or None)
        try:
            self._stream = library.RawInputStream(
                samplerate=RATE,
                blocksize=BLOCK // 2,
                device=name,
                channels=1,
                dtype="int16",
                latency=0.02,
                callback=lambda data, _frames, _time, _status: heard(bytes(data)),
            )
        except ValueError as error:
            raise CaptureError(f"there is no input {device!r}: {error}", code="no_such_input") from error
        except library.PortAudioError as error:
            raise CaptureError(f"the input {device!r} cannot be opened: {error}") from error

    def __enter__(self) -> Self:
        self._stream.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.abort()
        self._stream.close()


def _library() -> Any:
    try:
        import sounddevice  # noqa: PLC0415 - loads PortAudio, which need not be there
    except OSError as error:
        raise CaptureError(
            f"PortAudio is missing ({error}); install libportaudio2 for line-in", code="no_portaudio"
        ) from error
    return sounddevice

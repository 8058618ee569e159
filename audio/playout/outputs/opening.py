"""From what stands after ``--output`` to an output."""

from __future__ import annotations

from pathlib import Path

from audio.playout.errors import OutputError
from audio.playout.outputs.paced import NullOutput, WavOutput
from audio.playout.outputs.port import Output
from audio.playout.outputs.portaudio import SounddeviceOutput
from audio.playout.outputs.skewed import SkewedOutput

_HELP = "use alsa, alsa:DEVICE, pulse, pulse:SINK, wav:FILE or null"


def open_output(spec: str) -> Output:
    """The output that ``spec`` names: ``alsa[:DEV]``, ``pulse[:SINK]``, ``wav:FILE`` or ``null``.

    For measuring there is ``skewed:PPM:FILE``, a converter in software whose crystal is off.

    Touches no device; :meth:`Output.probe` does, for those who want to know before they start.

    Raises:
        OutputError: it names none (``bad_output``).
    """
    kind, colon, rest = spec.partition(":")
    if colon and not rest:
        raise OutputError(f"nothing follows the colon in output {spec!r}: {_HELP}", code="bad_output")
    if kind == "null" and not colon:
        return NullOutput()
    if kind == "wav" and rest:
        return WavOutput(Path(rest))
    if kind == "skewed":
        return _skewed(spec, rest)
    if kind == "alsa":
        return SounddeviceOutput("alsa", rest or None)
    if kind == "pulse":
        return SounddeviceOutput("pulse", rest or None)
    raise OutputError(f"unknown output {spec!r}: {_HELP}", code="bad_output")


def _skewed(spec: str, rest: str) -> SkewedOutput:
    ppm, colon, path = rest.partition(":")
    try:
        return SkewedOutput(Path(path), float(ppm if colon and path else "nothing"))
    except ValueError:
        raise OutputError(f"output {spec!r} is not skewed:PPM:FILE", code="bad_output") from None

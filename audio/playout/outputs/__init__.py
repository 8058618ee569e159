"""Where sound goes: PortAudio (ALSA, PulseAudio), a WAV file, nothing. See :mod:`audio.playout.outputs.port`."""

from __future__ import annotations

from audio.playout.outputs.kept import KeptOutput
from audio.playout.outputs.opening import open_output
from audio.playout.outputs.paced import NullOutput, WavOutput
from audio.playout.outputs.port import Driver, Output
from audio.playout.outputs.portaudio import SounddeviceOutput

__all__ = ["Driver", "KeptOutput", "NullOutput", "Output", "SounddeviceOutput", "WavOutput", "open_output"]

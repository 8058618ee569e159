"""A hall without a sound card: a private PulseAudio whose null sink carries one loudspeaker on each channel.

Both loudspeakers are recorded on one sample clock (the null sink's monitor), so what lies between them is measured
to the sample. See CONTRIBUTING.md for doing the same by hand.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from audio.pcm import Samples, from_s16

PROGRAMS = {"pulseaudio": "pulseaudio", "pactl": "pulseaudio-utils", "parec": "pulseaudio-utils"}
PLUGIN = ("libasound_module_pcm_pulse.so", "libasound2-plugins")
_START_S = 10.0


def require_sound_server() -> None:
    """Fail in clear words when the machine lacks what the test needs; skip only when told to."""
    if os.environ.get("LOA_SKIP_SYSTEM") == "1":
        pytest.skip("LOA_SKIP_SYSTEM=1")
    missing = {package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    if not any(Path("/usr/lib").glob(f"*/alsa-lib/{PLUGIN[0]}")):
        missing.add(PLUGIN[1])
    try:
        import sounddevice  # noqa: F401, PLC0415 - whether PortAudio is there is the question
    except OSError:
        missing.add("libportaudio2")
    if missing:
        pytest.fail(
            f"this test plays through PulseAudio and needs: {' '.join(sorted(missing))}. "
            "`make setup` installs them; LOA_SKIP_SYSTEM=1 leaves such tests out."
        )


class Hall:
    """The sound server and the recorder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "pulse.sock"
        self._server: subprocess.Popen[bytes] | None = None
        self._recorder: subprocess.Popen[bytes] | None = None
        self._recording = folder / "hall.raw"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to reach this hall and no other sound server."""
        folder = str(self._folder)
        return {
            "PULSE_SERVER": f"unix:{self._socket}",
            "HOME": folder,
            "XDG_RUNTIME_DIR": folder,
            "XDG_CONFIG_HOME": folder,
        }

    def open(self) -> None:
        remap = "module-remap-sink sink_name={0} master=hall channels=1 channel_map=mono remix=no "
        remap += "master_channel_map=front-{0}"
        modules = (
            f"module-native-protocol-unix auth-anonymous=1 socket={self._socket}",
            "module-null-sink sink_name=hall rate=48000 channels=2",
            remap.format("left"),
            remap.format("right"),
        )
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]
        command += [part for module in modules for part in ("-L", module)]
        with (self._folder / "pulseaudio.log").open("ab") as log:
            self._server = subprocess.Popen(
                command, env=os.environ | self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        until = time.monotonic() + _START_S
        while "right" not in self._sinks():
            if self._server.poll() is not None or time.monotonic() > until:
                pytest.fail(f"pulseaudio did not start: {(self._folder / 'pulseaudio.log').read_text()}")
            time.sleep(0.05)

    def _sinks(self) -> str:
        listed = subprocess.run(
            ["pactl", "list", "short", "sinks"],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
        return listed.stdout

    def record(self) -> None:
        command = ["parec", "--device=hall.monitor", "--rate=48000", "--channels=2", "--format=s16le", "--raw"]
        command.append("--latency-msec=20")  # a patient recorder makes the sink late for everyone
        with self._recording.open("wb") as file:
            self._recorder = subprocess.Popen(command, env=os.environ | self.environment, stdout=file)
        until = time.monotonic() + _START_S
        while self._recording.stat().st_size == 0:
            if time.monotonic() > until:
                pytest.fail("parec recorded nothing")
            time.sleep(0.05)

    def recorded(self) -> tuple[Samples, Samples]:
        """Stop recording: the left and the right loudspeaker."""
        if self._recorder is not None:
            self._recorder.terminate()
            self._recorder.wait(timeout=5)
            self._recorder = None
        data = self._recording.read_bytes()
        both = from_s16(data[: len(data) // 4 * 4]).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def close(self) -> None:
        for process in (self._recorder, self._server):
            if process is not None:
                process.terminate()
                process.wait(timeout=5)
        self._recorder = self._server = None


def pink_noise(seconds: float, seed: int = 7) -> Samples:
    """Noise with equal energy in each octave from 100 Hz to 8 kHz: it correlates sharply and survives Opus."""
    frames = round(seconds * 48_000)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(frames))
    hertz = np.fft.rfftfreq(frames, 1 / 48_000)
    shape = np.where((hertz > 100) & (hertz < 8_000), 1 / np.sqrt(np.maximum(hertz, 1)), 0)
    noise = np.fft.irfft(spectrum * shape, frames)
    return np.asarray(0.1 * noise / noise.std(), np.float32)


def find(programme: Samples, recording: Samples) -> tuple[int, float]:
    """Where ``programme`` begins in ``recording``, and how like it what is there is (1 = the same)."""
    size = 1 << (len(programme) + len(recording)).bit_length()
    product = np.fft.irfft(np.fft.rfft(recording, size) * np.conj(np.fft.rfft(programme, size)), size)
    place = int(np.argmax(product[: max(1, len(recording) - len(programme) + 1)]))
    there = recording[place : place + len(programme)]
    norm = float(np.linalg.norm(programme) * np.linalg.norm(there))
    return place, float(product[place]) / norm if norm else 0.0


def offset_us(left: Samples, right: Samples) -> float:
    """How much later ``right`` is than ``left``: the peak of the phase correlation, between samples by a parabola."""
    size = 2 * len(left)
    cross = np.fft.rfft(right, size) * np.conj(np.fft.rfft(left, size))
    hertz = np.fft.rfftfreq(size, 1 / 48_000)
    cross = np.where((hertz > 150) & (hertz < 7_000), cross / np.maximum(np.abs(cross), 1e-12), 0)
    peak = np.fft.irfft(cross, size)
    top = int(np.argmax(peak))
    before, at, after = (float(peak[(top + step) % size]) for step in (-1, 0, 1))
    fraction = 0.5 * (before - after) / (before - 2 * at + after)
    return (top + fraction if top < size // 2 else top + fraction - size) / 48_000 * 1e6

"""The process that speaks: ``python -m audio.speech.worker``.

One job (a line of JSON: voice, words a minute, text, file) on stdin; a line of JSON back: ``{"frames": n}`` or
``{"code": …, "message": …}``. eSpeak NG is GPL and keeps its state in globals, so it lives in a process of its own.

Not here: which text is spoken, and whether it may go on air.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

from audio import jail
from audio.errors import AudioError, SpeechError

# speak_lib.h of eSpeak NG 1.52
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_RATE = 1
_POSITION_CHARACTER = 1
_OK = 0

_CPU_S = 120.0

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def main() -> int:
    """Do one job. Returns 0 when an answer was given, whatever it says."""
    job = json.loads(sys.stdin.readline())
    jail.enter(int(job["parent"]))
    try:
        answer: dict[str, Any] = {"frames": _speak(job)}
    except AudioError as error:
        answer = {"code": error.code, "message": str(error)}
    except OSError as error:
        answer = {"code": "not_stored", "message": f"the speech cannot be written: {error.strerror}"}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def _speak(job: dict[str, Any]) -> int:
    from audio.codec import Resampler  # noqa: PLC0415 - after the jail was entered
    from audio.pcm import from_s16, write_wav  # noqa: PLC0415

    library, rate = _library()
    jail.allow_cpu(_CPU_S)
    if library.espeak_SetVoiceByName(job["voice"].encode()) != _OK:
        raise SpeechError(f"there is no voice {job['voice']!r}", code="no_voice")
    library.espeak_SetParameter(_RATE, int(job["words_a_minute"]), 0)
    spoken = bytearray()

    def hear(samples: Any, count: int, _events: Any) -> int:
        if count > 0:
            spoken.extend(ctypes.string_at(samples, count * 2))
        return 0

    callback = _Callback(hear)
    library.espeak_SetSynthCallback(callback)
    text = job["text"].encode() + b"\0"
    status = library.espeak_Synth(text, len(text), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None)
    if status != _OK or library.espeak_Synchronize() != _OK:
        raise SpeechError("the speech engine failed", code="speech_failed")
    if not spoken:
        raise SpeechError("there is nothing in this text that can be spoken", code="no_text")
    resampler = Resampler()
    head, tail = resampler.push(from_s16(bytes(spoken)), rate), resampler.flush()
    return write_wav(Path(job["out"]), _joined(head, tail))


def _joined(head: Any, tail: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - after the jail was entered

    return np.concatenate((head, tail))


def _library() -> tuple[ctypes.CDLL, int]:
    """ESpeak NG with its data, and its sample rate."""
    try:
        import espeakng_loader  # noqa: PLC0415 - an extra of the controller
    except ImportError as error:
        raise SpeechError(
            "the speech engine is not installed: install loa[controller]", code="not_installed"
        ) from error
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    data = str(espeakng_loader.get_data_path()).encode()
    rate = library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data, _DONT_EXIT)
    if rate <= 0:
        raise SpeechError("the speech engine does not find its voices: install it again", code="not_installed")
    return library, int(rate)


if __name__ == "__main__":
    sys.exit(main())

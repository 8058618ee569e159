"""Text into speech. :class:`SpeechEngine` is the port; :class:`EspeakEngine` is always there and speaks Vietnamese.

:class:`PiperEngine` runs a neural voice that the operator installed; :class:`Voices` takes the first that speaks.

Importing this package loads neither numpy nor the engine.
"""

from __future__ import annotations

from audio.speech.espeak import MAX_TEXT, VOICES, WORDS_A_MINUTE, EspeakEngine, SpeechEngine
from audio.speech.piper import PiperEngine, Voices

__all__ = ["MAX_TEXT", "VOICES", "WORDS_A_MINUTE", "EspeakEngine", "PiperEngine", "SpeechEngine", "Voices"]

"""Text into speech. :class:`SpeechEngine` is the port; :class:`EspeakEngine` is always there and speaks Vietnamese.

Importing this package loads neither numpy nor the engine.
"""

from __future__ import annotations

from audio.speech.espeak import MAX_TEXT, VOICES, WORDS_A_MINUTE, EspeakEngine, SpeechEngine

__all__ = ["MAX_TEXT", "VOICES", "WORDS_A_MINUTE", "EspeakEngine", "SpeechEngine"]

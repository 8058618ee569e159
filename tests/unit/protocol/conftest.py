"""Property tests without a deadline (a busy machine is no fault) and with the same examples in every run."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("protocol", deadline=None, derandomize=True)
settings.load_profile("protocol")

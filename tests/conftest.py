"""Property tests judge what they find, not how busy the machine is; and with the same examples in every run.

``LOA_FAULT=long`` draws others each time.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "house",
    deadline=None,
    derandomize=os.environ.get("LOA_FAULT") != "long",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")

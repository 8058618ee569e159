"""Property tests judge what they find, not how busy the machine is: no deadline, no complaint about slow drawing."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

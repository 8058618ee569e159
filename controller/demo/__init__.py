"""The demo: a seeded district with its agents on one machine (``loa-controller demo``)."""

"""Sources as the controller fetches them: radio over HTTP, Icecast, SHOUTcast and HLS; feeds of warnings (CAP).

Bytes come in, titles and tricks stay out. Not here: decoding, timing, reconnecting.
"""

from __future__ import annotations

from controller.feeds.addresses import AddressPolicy, GuardedResolver
from controller.feeds.cap_feed import CapDocument, CapFeed, CapFeedTimeouts, PollResult
from controller.feeds.errors import FeedBusyError, FeedContentError, FeedError, FeedLostError, FeedRefusedError
from controller.feeds.hls import HlsStation
from controller.feeds.icy import IcyStripper
from controller.feeds.station import FeedTimeouts, Station, open_station

__all__ = [
    "AddressPolicy",
    "CapDocument",
    "CapFeed",
    "CapFeedTimeouts",
    "FeedBusyError",
    "FeedContentError",
    "FeedError",
    "FeedLostError",
    "FeedRefusedError",
    "FeedTimeouts",
    "GuardedResolver",
    "HlsStation",
    "IcyStripper",
    "PollResult",
    "Station",
    "open_station",
]

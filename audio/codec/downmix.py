"""Any number of channels into one, as ITU-R BS.775 has it: a village loudspeaker is mono.

Rules kept here:

1. Front channels count 0.71, centre 1, surrounds 0.5, the bass channel nothing; a stereo file comes out as loud as
   it was. Channels that carry no name share the power equally.
2. The mix may exceed full scale: it is floating point, and the loudness stage brings it down.
3. One channel can be taken alone, for recordings whose channels cancel each other.

Not here: the decision to take one channel (:mod:`audio.ingest.analysis`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audio.pcm import Samples

_HALF_POWER = 0.5**0.5
_WEIGHTS = {
    "FC": 1.0,
    "FL": _HALF_POWER,
    "FR": _HALF_POWER,
    "FLC": _HALF_POWER,
    "FRC": _HALF_POWER,
    "DL": _HALF_POWER,
    "DR": _HALF_POWER,
    "SL": 0.5,
    "SR": 0.5,
    "BL": 0.5,
    "BR": 0.5,
    "BC": 0.5,
    "LFE": 0.0,
    "LFE2": 0.0,
}


def weights(channels: Sequence[str]) -> NDArray[np.float32]:
    """The factor of each channel in the mono mix."""
    if len(channels) == 1:
        return np.ones(1, np.float32)
    named = [_WEIGHTS.get(name) for name in channels]
    if any(weight is None for weight in named) or not any(named):
        return np.full(len(channels), len(channels) ** -0.5, np.float32)
    return np.array(named, np.float32)


def mono(planes: NDArray[np.float32], channels: Sequence[str], only: int | None = None) -> Samples:
    """One channel out of ``planes`` (a row per channel): the mix, or the channel ``only`` if there is one."""
    if len(planes) == 1:
        only = 0
    if only is not None and only < len(planes):
        return np.asarray(planes[only], np.float32)
    return np.asarray(weights(channels) @ planes, np.float32)

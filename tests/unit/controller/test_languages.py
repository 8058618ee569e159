"""Which language an answer is in."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from controller.api.languages import tongue_of
from controller.services.alerts.wording import Tongue


@pytest.mark.parametrize(
    ("header", "tongue"),
    [
        (None, Tongue.VI),
        ("", Tongue.VI),
        ("en", Tongue.EN),
        ("en-GB,vi;q=0.5", Tongue.EN),
        ("vi-VN,vi;q=0.9,en;q=0.8", Tongue.VI),
        ("en;q=0.3, vi;q=0.7", Tongue.VI),
        ("fr, de;q=0.9, EN;q=0.1", Tongue.EN),
        ("fr, *", Tongue.VI),
        ("en;q=0", Tongue.VI),
        ("en;q=lots, en;level=1", Tongue.VI),
        (",;,;;q=,en" * 3_000, Tongue.EN),
    ],
)
def test_the_first_of_ours_that_is_wished_for(header: str | None, tongue: Tongue) -> None:
    request = make_mocked_request("GET", "/", headers={} if header is None else {"Accept-Language": header})
    assert tongue_of(request) is tongue

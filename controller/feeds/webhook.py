"""Posts JSON to an address that the operator chose: a bridge to SMS, mail or a chat.

Rules kept here: one request a message, with a time limit, following no redirect; anything but a 2xx is a refusal in
words. The address and the token come from the settings file, so no guard against odd addresses stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import aiohttp

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_GOOD: Final = range(200, 300)


class WebhookError(Exception):
    """It did not take the message."""


class Webhook:
    """One address. ``token`` is sent as a bearer token."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    async def __call__(self, message: Mapping[str, str]) -> None:
        """Deliver one message.

        Raises:
            WebhookError: it was not taken.
        """
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as http,
                http.post(self._url, json=dict(message), headers=self._headers, allow_redirects=False) as answer,
            ):
                if answer.status not in _GOOD:
                    raise WebhookError(f"it answered {answer.status}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise WebhookError(str(error) or type(error).__name__) from error

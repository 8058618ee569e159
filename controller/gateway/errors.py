"""What the agents' listener can refuse.

* ``GatewayError`` (``gateway_error``)
  * ``ListenError`` (``listen_failed``): the address cannot be opened, or plain was asked for off loopback.
  * ``RangeError`` (``range_not_satisfiable``): the bytes asked for lie outside the file.
  * ``UnknownStreamError`` (``unknown_stream``): no such live stream is open.

Every class has a stable ``code``; messages say what to do.
"""

from __future__ import annotations

from typing import ClassVar


class GatewayError(Exception):
    """Something the agents' listener refuses."""

    code: ClassVar[str] = "gateway_error"


class ListenError(GatewayError):
    """The listener cannot be opened as configured."""

    code = "listen_failed"


class RangeError(GatewayError):
    """The bytes asked for lie outside the file."""

    code = "range_not_satisfiable"


class UnknownStreamError(GatewayError):
    """A live stream was named that is not open."""

    code = "unknown_stream"

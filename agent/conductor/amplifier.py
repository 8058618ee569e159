"""The relay that powers the amplifier: a port with two real forms, nothing and a GPIO line.

Rules kept here:

1. Default is off. The line is requested as an output at off, and the kernel takes it back when this process dies.
2. A port that fails is a fault (``amplifier_failed``), never a reason not to sound.

Not here: when it is on (the arbiter decides, with its lead and tail).

GPIO is driven through the character device (``/dev/gpiochipN``, uAPI v2): no library, and unlike
``/sys/class/gpio`` it works under ``ProtectKernelTunables`` and releases the line by itself.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from typing import Protocol

from agent.errors import AgentError
from schedules.model import Amplifier

_GPIO_V2_GET_LINE = 0xC250B407
_GPIO_V2_SET_VALUES = 0xC010B40F
_FLAG_OUTPUT = 1 << 3
_REQUEST_BYTES = 592
_FD_OFFSET = 588


class AmplifierPort(Protocol):
    """Something that powers an amplifier."""

    def switch(self, *, on: bool) -> None:
        """Power it, or not.

        Raises:
            OSError: the hardware does not answer.
        """
        ...

    def close(self) -> None:
        """Leave it off."""
        ...


class NoAmplifier:
    """A loudspeaker that is always powered."""

    def switch(self, *, on: bool) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class GpioAmplifier:
    """One line of a GPIO chip."""

    def __init__(self, pin: int, *, chip: Path = Path("/dev/gpiochip0")) -> None:
        """Request the line as an output at off.

        Raises:
            OSError: no such chip or line, it is taken, or the user may not (group ``gpio``).
        """
        chip_fd = os.open(chip, os.O_RDWR | os.O_CLOEXEC)
        try:
            request = bytearray(line_request(pin))
            fcntl.ioctl(chip_fd, _GPIO_V2_GET_LINE, request, True)  # noqa: FBT003 - the ioctl's own signature
        finally:
            os.close(chip_fd)
        self._line: int = struct.unpack_from("=i", request, _FD_OFFSET)[0]

    def switch(self, *, on: bool) -> None:
        """See :class:`AmplifierPort`."""
        fcntl.ioctl(self._line, _GPIO_V2_SET_VALUES, struct.pack("=QQ", int(on), 1))

    def close(self) -> None:
        """See :class:`AmplifierPort`."""
        if self._line >= 0:
            try:
                self.switch(on=False)
            finally:
                os.close(self._line)
                self._line = -1


def line_request(pin: int) -> bytes:
    """``struct gpio_v2_line_request`` for one output line at 0 (linux/gpio.h)."""
    offsets = struct.pack("=64I", pin, *([0] * 63))
    # flags = output; one attribute: output values (id 2) = 0 for line mask 1.
    attribute = struct.pack("=IIQQ", 2, 0, 0, 1)
    config = struct.pack("=QI20x", _FLAG_OUTPUT, 1) + attribute.ljust(240, b"\0")
    request = offsets + b"loa amplifier".ljust(32, b"\0") + config + struct.pack("=II20xi", 1, 0, -1)
    assert len(request) == _REQUEST_BYTES  # noqa: S101 - the kernel's layout
    return request


def open_amplifier(settings: Amplifier) -> AmplifierPort:
    """The port that ``settings`` name.

    Raises:
        AgentError: ``amplifier_failed``, in words.
    """
    if settings.port == "none" or settings.pin is None:
        return NoAmplifier()
    try:
        return GpioAmplifier(settings.pin)
    except OSError as error:
        raise AgentError("amplifier_failed", f"GPIO line {settings.pin} cannot be used: {error.strerror}") from error

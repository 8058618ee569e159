"""The box's own condition, read from ``/proc`` and ``/sys`` in well under a millisecond.

Every number is finite or None; None means that this machine does not tell. Blocking only as far as ``/proc`` is.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_MEBIBYTE = 1024 * 1024

#: A sensor that says more is broken, not hot.
_PLAUSIBLE_CELSIUS = (-60.0, 200.0)


@dataclass(frozen=True, slots=True)
class Condition:
    """One reading of the box."""

    temperature_c: float | None
    disk_free_mib: int | None
    disk_total_mib: int | None
    memory_available_mib: int | None
    memory_used_mib: float | None  # resident size of this process
    load_1m: float | None
    uptime_s: int | None


class Probe:
    """Reads :class:`Condition`."""

    def __init__(self, data: Path | None, *, root: Path = Path("/")) -> None:
        """``data``: the folder whose disk matters; ``root`` lets a test show another machine."""
        self._data = data
        self._root = root

    def read(self) -> Condition:
        """Look around once."""
        disk = self._disk()
        return Condition(
            temperature_c=self._temperature(),
            disk_free_mib=disk[0],
            disk_total_mib=disk[1],
            memory_available_mib=self._available_memory(),
            memory_used_mib=self._resident(),
            load_1m=round(os.getloadavg()[0], 2),
            uptime_s=self._uptime(),
        )

    def _temperature(self) -> float | None:
        readings = []
        for sensor in sorted((self._root / "sys/class/thermal").glob("thermal_zone*/temp")):
            text = _read(sensor)
            if text is not None and text.lstrip("-").isdigit():
                celsius = int(text) / 1000
                if _PLAUSIBLE_CELSIUS[0] < celsius < _PLAUSIBLE_CELSIUS[1]:
                    readings.append(celsius)
        return max(readings, default=None)

    def _disk(self) -> tuple[int | None, int | None]:
        try:
            disk = os.statvfs(self._data or Path("/"))
        except OSError:
            return None, None
        return disk.f_bavail * disk.f_frsize // _MEBIBYTE, disk.f_blocks * disk.f_frsize // _MEBIBYTE

    def _available_memory(self) -> int | None:
        for line in (_read(self._root / "proc/meminfo") or "").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) // 1024
        return None

    def _resident(self) -> float | None:
        text = _read(self._root / "proc/self/statm")
        if text is None:
            return None
        return round(int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MEBIBYTE, 1)

    def _uptime(self) -> int | None:
        text = _read(self._root / "proc/uptime")
        return None if text is None else int(float(text.split()[0]))


def _read(path: Path) -> str | None:
    """A small file of the kernel, or None where there is no such sensor."""
    try:
        return path.read_text().strip()
    except OSError:
        return None

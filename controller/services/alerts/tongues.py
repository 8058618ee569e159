"""Names of the languages spoken on loudspeakers in Vietnam, by BCP 47 code, in both languages of the desk. Pure."""

from __future__ import annotations

from typing import Final

#: Code → (in Vietnamese, in English), as the console names them.
_NAMES: Final = {
    "vi": ("Việt", "Vietnamese"),
    "en": ("Anh", "English"),
    "bru": ("Bru-Vân Kiều", "Bru (Vân Kiều)"),
    "pac": ("Pa Kô", "Pacoh (Pa Kô)"),
    "bdq": ("Ba Na", "Bahnar"),
    "cja": ("Chăm", "Cham"),
    "cjm": ("Chăm", "Cham"),
    "hre": ("Hrê", "Hrê"),
    "hmn": ("Mông", "Hmong"),
    "mww": ("Mông", "Hmong"),
    "jra": ("Gia Rai", "Jarai"),
    "rad": ("Ê Đê", "Rade"),
    "kpm": ("K’Ho", "Koho"),
    "km": ("Khmer", "Khmer"),
    "ktv": ("Cơ Tu", "Katu"),
    "mtq": ("Mường", "Mường"),
    "nut": ("Nùng", "Nùng"),
    "sed": ("Xơ Đăng", "Sedang"),
    "blt": ("Thái", "Thái (Tai Dam)"),
    "tyz": ("Tày", "Tày"),
    "ium": ("Dao", "Dao (Iu Mien)"),
    "oyb": ("Tà Ôi", "Ta Oi"),
    "zh": ("Hoa", "Chinese"),
}


def in_vietnamese(code: str) -> str:
    """As in *tiếng Bru-Vân Kiều* for ``bru``; a code nobody listed is said as it is."""
    return f"tiếng {_NAMES[code][0] if code in _NAMES else code}"


def in_english(code: str) -> str:
    """As in *Bru (Vân Kiều)* for ``bru``; a code nobody listed is said as it is."""
    return _NAMES[code][1] if code in _NAMES else code

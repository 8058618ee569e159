"""The seeded district: modelled on Đakrông, Quảng Trị, as it was before July 2025.

Commune names are real; the number of clusters in each and the coordinates are approximate and serve the demo only.
Languages are BCP 47: ``vi`` Vietnamese, ``bru`` Eastern Bru (Bru-Vân Kiều), ``pac`` Pacoh (Pa Kô).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

DISTRICT = "Đakrông"
TIMEZONE = "Asia/Ho_Chi_Minh"

#: What the demo's bulletin says, once, to everyone.
BULLETIN_TITLE = "Bản tin sáng: tiêm phòng cho trẻ em"
BULLETIN_TEXT = (
    "Đây là đài truyền thanh huyện Đakrông. Sáng mai, trạm y tế các xã tổ chức tiêm phòng miễn phí "
    "cho trẻ em dưới năm tuổi. Mời bà con đưa trẻ đến đúng giờ. Xin cảm ơn."
)
RADIO_TITLE = "Tiếp sóng: Đài phát thanh thử nghiệm"
RADIO_TEXT = "Quý vị đang nghe chương trình tiếp sóng của đài phát thanh thử nghiệm."


@dataclass(frozen=True, slots=True)
class Commune:
    """One commune: how many clusters stand there, about where, and in which languages they speak."""

    name: str
    clusters: int
    latitude: float
    longitude: float
    languages: tuple[str, ...]


COMMUNES: tuple[Commune, ...] = (
    Commune("Krông Klang", 9, 16.701, 106.829, ("vi",)),
    Commune("A Bung", 10, 16.370, 107.083, ("vi", "pac")),
    Commune("A Ngo", 11, 16.396, 107.058, ("vi", "pac")),
    Commune("A Vao", 9, 16.452, 106.957, ("vi", "pac")),
    Commune("Ba Lòng", 10, 16.623, 107.013, ("vi",)),
    Commune("Ba Nang", 11, 16.560, 106.838, ("vi", "bru")),
    Commune("Đakrông", 16, 16.655, 106.833, ("vi", "bru")),
    Commune("Húc Nghì", 8, 16.513, 107.013, ("vi", "pac")),
    Commune("Hướng Hiệp", 14, 16.722, 106.893, ("vi", "bru")),
    Commune("Mò Ó", 9, 16.690, 106.887, ("vi", "bru")),
    Commune("Tà Long", 12, 16.566, 106.935, ("vi", "bru")),
    Commune("Tà Rụt", 12, 16.431, 107.012, ("vi", "pac")),
    Commune("Triệu Nguyên", 10, 16.660, 107.044, ("vi",)),
)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at the desk of the demo, who enters the console with one click as ``door``."""

    door: str
    english: str
    name: str
    display_name: str
    roles: tuple[str, ...]


#: The administrator is made by the first start. Who approves also confirms alerts: who writes or composes does not.
ADMIN_DOOR: tuple[str, str] = ("admin", "admin")
PEOPLE: tuple[Person, ...] = (
    Person("radio_officer", "radio officer", "phat-thanh", "Hồ Thị Lan, đài truyền thanh", ("editor", "operator")),
    Person("duty_officer", "duty officer", "truc-ban", "Nguyễn Văn Hùng, trực ban", ("duty_officer",)),
    Person("second_duty_officer", "second duty officer", "truc-ban-2", "Phạm Thị Hoa, trực ban", ("duty_officer",)),
    Person("technician", "technician", "ky-thuat", "Trần Minh, kỹ thuật", ("technician",)),
    Person("approver", "approver", "phe-duyet", "Lê Văn Bình, Phó Chủ tịch", ("approver", "duty_officer")),
)


@dataclass(frozen=True, slots=True)
class SeedCluster:
    """One loudspeaker cluster to create."""

    commune: str
    name: str
    latitude: float
    longitude: float
    languages: tuple[str, ...]
    contact_name: str
    contact_phone: str


#: Whom to telephone: invented people with invented numbers.
_GIVEN_NAMES = ("Thới", "Lợi", "Pưn", "Nhiên", "Mừng", "Sinh", "Xuân", "Lăng", "Thiết", "Đông", "Văng")


def seed_clusters(count: int) -> tuple[SeedCluster, ...]:
    """``count`` clusters over the 13 communes, in proportion; 141 gives exactly the district's own numbers.

    Raises:
        ValueError: ``count`` is below 1.
    """
    if count < 1:
        raise ValueError("a district needs at least one cluster")
    total = sum(commune.clusters for commune in COMMUNES)
    seeds: list[SeedCluster] = []
    done = 0
    for commune in COMMUNES:
        done += commune.clusters
        # Cumulative rounding keeps the sum exact whatever the count.
        before = len(seeds)
        share = round(count * done / total) - before
        seeds.extend(_cluster(commune, number, before + number) for number in range(1, share + 1))
    return tuple(seeds)


def _cluster(commune: Commune, number: int, overall: int) -> SeedCluster:
    # A sunflower spiral spreads the clusters about 600 m apart around the commune's centre (0.0055° of latitude).
    radius, angle = 0.0055 * math.sqrt(number), number * math.pi * (3 - math.sqrt(5))
    return SeedCluster(
        commune=commune.name,
        name=f"{commune.name} {number}",
        latitude=round(commune.latitude + radius * math.sin(angle), 5),
        longitude=round(commune.longitude + radius * math.cos(angle), 5),
        languages=commune.languages,
        contact_name=f"Hồ Văn {_GIVEN_NAMES[overall % len(_GIVEN_NAMES)]}, trưởng thôn",
        contact_phone=f"0900 000 {overall:03d}",
    )

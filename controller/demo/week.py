"""The week of the demo's district: what its desk has on the grid beside the bulletin and the relay that begin at once.

Pure. The hours are those of a real district's station. A demo must run at any hour, so programmes that would meet its
quiet hours, or what it plays right after the start, begin later than usual: at the next free quarter of an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

_DAY: Final = 24 * 60
_STEP: Final = 15
#: Kept free around the start: what should have begun an hour ago would be joined, and the first relay is half an hour.
_BEFORE, _AFTER = timedelta(hours=1), timedelta(minutes=50)
#: Usual quiet hours, and between which hours of the day the demo's own first hour keeps clear of them.
USUAL_QUIET: Final = ("21:30", "04:45")
_FROM, _UNTIL = time(5, 50), time(20, 15)


@dataclass(frozen=True, slots=True)
class Slot:
    """One programme of the week.

    ``days`` are RFC 5545's (empty: every day), ``communes`` empty means the district; ``minutes`` is the length of a
    relay, 0 for recordings. ``rejected``: why its approval was taken back; a hole that the grid shows.
    """

    title: str
    text: str
    hour: int
    minute: int
    days: str = ""
    minutes: int = 0
    communes: tuple[str, ...] = ()
    priority: str = "PROGRAMME"
    repeat: int = 1
    rejected: str = ""

    @property
    def rrule(self) -> str:
        """How it recurs."""
        return f"FREQ=WEEKLY;BYDAY={self.days}" if self.days else "FREQ=DAILY"

    @property
    def length(self) -> int:
        """Minutes kept free for it."""
        return self.minutes or 10


STATION_TITLE: Final = "Đài tỉnh (luồng thử nghiệm)"
#: A recording that waits for approval: title and text.
WAITING: Final = (
    "Thông báo cắt điện ngày thứ bảy",
    "Điện lực Đakrông thông báo tạm ngừng cấp điện từ bảy giờ đến mười một giờ sáng thứ bảy để sửa đường dây.",
)
WEEK: Final[tuple[Slot, ...]] = (
    Slot("Chào buổi sáng: thời tiết và lịch sản xuất",
         "Chào buổi sáng bà con. Hôm nay trời nhiều mây, chiều có mưa rào rải rác. Bà con tranh thủ phơi lúa, "
         "kiểm tra mương nước và che chắn chuồng trại trước khi mưa.", 5, 0, repeat=2),
    Slot("Tiếp sóng: Thời sự đài tỉnh", "", 5, 30, minutes=30, priority="RELAY"),
    Slot("Thông báo lịch chợ phiên",
         "Chợ phiên Krông Klang họp vào sáng chủ nhật. Bà con mang nông sản đến bán vui lòng gửi xe đúng nơi quy định, "
         "giữ gìn vệ sinh chung.", 9, 0, "SA", communes=("Krông Klang", "Mò Ó", "Hướng Hiệp")),
    Slot("Phòng bệnh cho trâu bò",
         "Trời chuyển lạnh, trâu bò dễ mắc bệnh. Bà con giữ chuồng khô ráo, dự trữ rơm, cho ăn đủ và gọi thú y xã khi "
         "con vật bỏ ăn.", 11, 0, "MO,WE,FR", communes=("Ba Nang", "Tà Long", "Đakrông"), repeat=2),
    Slot("Chuyện bản làng",
         "Chuyện bản làng hôm nay kể về tổ vay vốn của chị em bản A Đeng. Từ năm triệu đồng ban đầu, cả tổ nay đã có "
         "vườn chuối và đàn dê.", 16, 30, "TU,TH", communes=("A Bung", "A Ngo", "A Vao", "Tà Rụt", "Húc Nghì")),
    Slot("Bản tin chiều của huyện",
         "Đây là bản tin chiều của đài truyền thanh huyện. Ủy ban nhân dân các xã tiếp nhận hồ sơ làm căn cước cho học "
         "sinh từ mười bốn tuổi. Bà con mang theo giấy khai sinh của các em.", 17, 0, priority="PRIORITY_BULLETIN"),
    Slot("Tiếp sóng: Chương trình tiếng Bru - Vân Kiều", "", 17, 30, "MO,WE,FR,SU", minutes=20, priority="RELAY"),
    Slot("Phòng sốt xuất huyết",
         "Mùa mưa muỗi nhiều. Bà con lật úp chum vại, phát quang bụi rậm, ngủ màn cả ban ngày. Sốt cao hai ngày không "
         "đỡ thì đến trạm y tế xã.", 18, 15, "TU,TH,SA", rejected="Số điện thoại trạm y tế đã cũ, đề nghị đọc lại"),
    Slot("Văn nghệ cuối tuần",
         "Mời bà con nghe chương trình văn nghệ cuối tuần với những làn điệu dân ca của quê hương.", 19, 0, "SA,SU"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Busy:
    """Hours of a day in which nothing of the week may begin or sound, in minutes from midnight; may pass midnight."""

    begin: int
    end: int

    def meets(self, minute: int, length: int) -> bool:
        """Whether ``[minute, minute + length)`` of any day has a minute in common with this."""
        span = (self.end - self.begin) % _DAY
        return (minute - self.begin) % _DAY < span or (self.begin - minute) % _DAY < length


def quiet_hours(local: datetime) -> tuple[str, str] | None:
    """The usual quiet hours, unless the demo would begin within or shortly before them (None)."""
    return USUAL_QUIET if _FROM <= local.time() <= _UNTIL else None


def place(slots: Sequence[Slot], local: datetime, quiet: tuple[str, str]) -> tuple[tuple[Slot, datetime], ...]:
    """Each programme with its first local start, in the week of ``local``."""
    busy = [Busy(_minute(quiet[0]), _minute(quiet[1])), Busy(_of(local - _BEFORE), _of(local + _AFTER))]
    placed = []
    for slot in slots:
        minute = slot.hour * 60 + slot.minute
        while any(each.meets(minute, slot.length) for each in busy):
            minute = (minute + _STEP) % _DAY
        busy.append(Busy(minute, (minute + slot.length) % _DAY))
        placed.append((slot, datetime.combine(_first_day(slot, local.date()), time(minute // 60, minute % 60))))
    return tuple(placed)


def _first_day(slot: Slot, today: date) -> date:
    monday = today - timedelta(days=today.weekday())
    weekdays = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
    return monday + timedelta(days=weekdays.index(slot.days[:2]) if slot.days else 0)


def _minute(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def _of(moment: datetime) -> int:
    return moment.hour * 60 + moment.minute

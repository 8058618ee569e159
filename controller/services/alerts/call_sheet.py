"""The call sheet: whom to telephone, because the loudspeakers there are silent. Plain text and printable HTML. Pure.

Rules kept here: no scripts, nothing loaded from anywhere, every text escaped; a village without a contact is listed all
the same; it is in Vietnamese, because village heads' numbers are dialled by people who read it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from html import escape
from zoneinfo import ZoneInfo

from controller.services.alerts.board import Row
from controller.services.alerts.model import Alert
from controller.services.directory import Directory

_WHY = {
    "no_box": "chưa có thiết bị",
    "missed": "không nhận được",
    "queued": "mất liên lạc",
    "refused": "thiết bị từ chối",
    "muted": "đang bị tắt tiếng",
    "stopped": "đã dừng trước khi phát",
    "delivered": "đã gửi, chưa trả lời",
    "verified": "đã nhận, chưa phát",
}

_STYLE = (
    "body{font:12pt sans-serif;margin:1.5cm}table{border-collapse:collapse;width:100%}"
    "td,th{border:1px solid #000;padding:4px 6px;text-align:left}thead{display:table-header-group}"
)
#: What a browser may do with the sheet: this one style, by its hash (CSP 3, 2.3.1), and nothing else.
SHEET_POLICY = f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"


@dataclass(frozen=True, slots=True)
class Call:
    """One telephone call to make."""

    area: str
    cluster: str
    contact: str
    phone: str
    why: str


@dataclass(frozen=True, slots=True)
class CallSheet:
    """Everything that is printed."""

    title: str
    given: datetime | None
    printed: datetime
    zone: str
    words: str
    calls: tuple[Call, ...]
    over: bool = False  # the calls tell that the alert is over, to who heard it and did not hear its end

    @property
    def heading(self) -> str:
        """What the calls are about."""
        return f"{'ĐÃ KẾT THÚC' if self.over else 'CẢNH BÁO'}: {self.title}"

    @property
    def count(self) -> str:
        """How many calls, in words."""
        what = "Số cụm loa đã nghe cảnh báo mà chưa nghe lời kết thúc" if self.over else "Số cụm loa chưa phát"
        return f"{what}: {len(self.calls)}"


def make_sheet(alert: Alert, red: Sequence[Row], directory: Directory, now: datetime) -> CallSheet:
    """The sheet of the clusters on the red list: the alert's own, or once people were told of its end, of that."""
    calls = []
    for row in red:
        cluster = directory.clusters.get(row.cluster_id)
        if cluster is not None:
            area = directory.area(cluster.area_id).name
            why = _WHY.get(row.state, row.state) + (f" ({row.code})" if row.code else "")
            calls.append(Call(area, cluster.name, cluster.contact_name, cluster.contact_phone, why))
    told = alert.farewell
    words = "" if alert.message is None else next((each.text for each in alert.message.spoken), "")
    first = next((directory.clusters[each].area_id for each in alert.clusters if each in directory.clusters), None)
    zone = directory.timezone_of(first) if first is not None else "Asia/Ho_Chi_Minh"
    given = None if alert.given is None else alert.given.at
    calls.sort(key=lambda each: (each.area, each.cluster))
    if told is not None:
        return CallSheet(alert.title, told.start, now, zone, told.words, tuple(calls), over=True)
    return CallSheet(alert.title, given, now, zone, words, tuple(calls))


def as_text(sheet: CallSheet) -> str:
    """For a terminal, or a printer that knows nothing else."""
    lines = [
        f"DANH SÁCH GỌI ĐIỆN – {sheet.heading}",
        f"Phát lúc {_local(sheet.given, sheet.zone)}; in lúc {_local(sheet.printed, sheet.zone)}",
        sheet.count,
        "",
        f"Nội dung cần báo: {sheet.words or '(lời nói trực tiếp)'}",
        "",
    ]
    area = None
    for number, call in enumerate(sheet.calls, start=1):
        if call.area != area:
            lines.append(f"== {call.area} ==")
            area = call.area
        who = call.contact or "(chưa có người liên hệ)"
        lines.append(f"[ ] {number}. {call.cluster}: {who}, {call.phone or 'chưa có số điện thoại'} – {call.why}")
    return "\n".join(lines) + "\n"


def as_html(sheet: CallSheet) -> str:
    """For printing from a browser."""
    rows = "".join(
        f"<tr><td>☐</td><td>{number}</td><td>{escape(call.area)}</td><td>{escape(call.cluster)}</td>"
        f"<td>{escape(call.contact or '–')}</td><td><strong>{escape(call.phone or '–')}</strong></td>"
        f"<td>{escape(call.why)}</td></tr>"
        for number, call in enumerate(sheet.calls, start=1)
    )
    return (
        '<!doctype html><html lang="vi"><head><meta charset="utf-8"><title>Danh sách gọi điện</title>'
        f"<style>{_STYLE}</style></head><body>"
        f"<h1>Danh sách gọi điện</h1><h2>{escape(sheet.heading)}</h2>"
        f"<p>Phát lúc {_local(sheet.given, sheet.zone)}; in lúc {_local(sheet.printed, sheet.zone)}. "
        f"{sheet.count}.</p>"
        f"<p><strong>Nội dung cần báo:</strong> {escape(sheet.words or '(lời nói trực tiếp)')}</p>"
        "<table><thead><tr><th></th><th>STT</th><th>Xã/phường</th><th>Cụm loa</th><th>Người liên hệ</th>"
        f"<th>Điện thoại</th><th>Tình trạng</th></tr></thead><tbody>{rows}</tbody></table></body></html>"
    )


def _local(at: datetime | None, zone: str) -> str:
    return "–" if at is None else at.astimezone(ZoneInfo(zone)).strftime("%H:%M:%S ngày %d/%m/%Y")

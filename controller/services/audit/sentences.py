"""What every action of the log is called, in both languages of the desk. Pure.

A phrase is what stands after the name of who did it. ``{it}`` is what it was done to; ``{places}`` where an order was
for; another word in braces is that detail of the row: an id becomes the name of the thing, a list the names, an
instant a time. What stands in square brackets is left out when a detail in it is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from controller.services.alerts.wording import Tongue
from controller.store.actions import AuditAction

AuditKind = Literal[
    "alerts", "drills", "warnings", "templates", "orders", "live", "programmes", "recordings", "stations", "clusters",
    "boxes", "people", "sessions", "house",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Phrase:
    """One action in words. ``kind``: the chapter it is found under."""

    kind: AuditKind
    vi: str
    en: str

    def of(self, tongue: Tongue) -> str:
        """The phrase in a language."""
        return self.vi if tongue is Tongue.VI else self.en


PHRASES: Final[Mapping[AuditAction, Phrase]] = {
    "user.create": Phrase("people", "Tạo tài khoản {it}", "Created the account {it}"),
    "user.grants": Phrase("people", "Đổi vai trò của {it}", "Changed the roles of {it}"),
    "user.disable": Phrase("people", "Khóa tài khoản {it}", "Closed the account {it}"),
    "user.enable": Phrase("people", "Mở lại tài khoản {it}", "Opened the account {it} again"),
    "user.password": Phrase("people", "Đổi mật khẩu của {it}", "Changed the password of {it}"),
    "user.second_factor_begin": Phrase(
        "people", "Bắt đầu cài mã xác thực cho {it}", "Began to set up the second factor of {it}"
    ),
    "user.second_factor": Phrase("people", "Bật mã xác thực cho {it}", "Turned on the second factor of {it}"),
    "user.second_factor_removed": Phrase("people", "Gỡ mã xác thực của {it}", "Removed the second factor of {it}"),
    "user.recovery_code": Phrase("people", "Dùng mã dự phòng của {it}", "Used a recovery code of {it}"),
    "session.login": Phrase("sessions", "Đăng nhập[ ({label})]", "Signed in[ ({label})]"),
    "session.token": Phrase("sessions", "Tạo mã truy cập[ “{label}”]", "Made an access token[ “{label}”]"),
    "session.logout": Phrase("sessions", "Đăng xuất[ ({label})]", "Signed out[ ({label})]"),
    "area.create": Phrase("clusters", "Thêm khu vực {it}[ vào {parent}]", "Added the area {it}[ to {parent}]"),
    "area.change": Phrase("clusters", "Sửa khu vực {it}", "Changed the area {it}"),
    "area.delete": Phrase("clusters", "Xóa khu vực {it}[ của {parent}]", "Deleted the area {it}[ of {parent}]"),
    "zone.create": Phrase("clusters", "Tạo nhóm cụm loa {it}[ của {area}]", "Made the zone {it}[ of {area}]"),
    "zone.change": Phrase("clusters", "Sửa nhóm cụm loa {it}", "Changed the zone {it}"),
    "zone.delete": Phrase("clusters", "Xóa nhóm cụm loa {it}[ của {area}]", "Deleted the zone {it}[ of {area}]"),
    "cluster.create": Phrase("clusters", "Thêm cụm loa {it}[ vào {area}]", "Added the cluster {it}[ to {area}]"),
    "cluster.change": Phrase("clusters", "Sửa cụm loa {it}", "Changed the cluster {it}"),
    "cluster.volume": Phrase("clusters", "Chỉnh âm lượng của {it}", "Set the volume of {it}"),
    "cluster.delete": Phrase("clusters", "Xóa cụm loa {it}[ của {area}]", "Deleted the cluster {it}[ of {area}]"),
    "agent.provision": Phrase("boxes", "Tạo tệp cấp phép cho {clusters}", "Made a provisioning file for {clusters}"),
    "agent.enrol": Phrase(
        "boxes",
        "Thiết bị {it} vào mạng[ tại {cluster}] bằng tệp cấp phép",
        "Box {it} joined[ at {cluster}] by its file",
    ),
    "agent.approve": Phrase(
        "boxes",
        "Duyệt thiết bị {it} bằng tám chữ số[, cho {cluster}]",
        "Let in box {it} by its digits[, for {cluster}]",
    ),
    "agent.move": Phrase("boxes", "Chuyển thiết bị {it} sang {cluster}", "Moved box {it} to {cluster}"),
    "agent.revoke": Phrase("boxes", "Thu hồi thiết bị {it}[ của {cluster}]", "Revoked box {it}[ of {cluster}]"),
    "recording.create": Phrase("recordings", "Đưa vào kho bản thu {it}", "Brought in the recording {it}"),
    "recording.ready": Phrase("recordings", "Xử lý xong bản thu {it}", "The recording {it} is ready"),
    "recording.refused": Phrase("recordings", "Không đọc được bản thu {it}", "Could not read the recording {it}"),
    "recording.cancel": Phrase("recordings", "Hủy xử lý bản thu {it}", "Cancelled the processing of recording {it}"),
    "recording.change": Phrase("recordings", "Sửa thông tin bản thu {it}", "Changed what the recording {it} is called"),
    "recording.replace": Phrase("recordings", "Thay âm thanh của bản thu {it}", "Replaced the sound of recording {it}"),
    "recording.approve": Phrase("recordings", "Phê duyệt bản thu {it}", "Approved the recording {it}"),
    "recording.reject": Phrase(
        "recordings", "Từ chối bản thu {it}[: {reason}]", "Rejected the recording {it}[: {reason}]"
    ),
    "recording.archive": Phrase("recordings", "Cất bản thu {it} khỏi kho", "Archived the recording {it}"),
    "recording.restore": Phrase("recordings", "Lấy lại bản thu {it} vào kho", "Brought back the recording {it}"),
    "source.create": Phrase("stations", "Thêm đài {it}", "Added the station {it}"),
    "source.change": Phrase("stations", "Sửa đài {it}", "Changed the station {it}"),
    "source.archive": Phrase("stations", "Cất đài {it}", "Archived the station {it}"),
    "source.lost": Phrase("stations", "Mất tín hiệu đài {it}", "The station {it} was lost"),
    "source.back": Phrase("stations", "Có lại tín hiệu đài {it}", "The station {it} came back"),
    "programme.create": Phrase("programmes", "Đặt lịch chương trình {it}", "Scheduled the programme {it}"),
    "programme.change": Phrase("programmes", "Sửa chương trình {it}", "Changed the programme {it}"),
    "programme.change_one": Phrase(
        "programmes", "Sửa một buổi ({recurrence}) của {it}", "Changed one occurrence ({recurrence}) of {it}"
    ),
    "programme.split": Phrase(
        "programmes",
        "Sửa chương trình {it} từ một buổi trở đi[, thành {following}]",
        "Changed the programme {it} from one occurrence on[, as {following}]",
    ),
    "programme.join": Phrase("programmes", "Gộp lại chương trình {it}", "Joined the programme {it} again"),
    "programme.withdraw": Phrase("programmes", "Gỡ chương trình {it} khỏi lịch", "Withdrew the programme {it}"),
    "programme.withdraw_one": Phrase(
        "programmes", "Bỏ một buổi ({recurrence}) của {it}", "Left out one occurrence ({recurrence}) of {it}"
    ),
    "order.stop": Phrase(
        "orders",
        "DỪNG phát[ tại {places}][, giữ im lặng {hold_s} giây]",
        "STOPPED all sound[ at {places}][, kept silent for {hold_s} seconds]",
    ),
    "order.release": Phrase("orders", "Cho phát lại[ tại {places}]", "Let sound again[ at {places}]"),
    "order.withdraw": Phrase(
        "orders",
        "Lệnh ngừng phát[ chương trình {rule}][ cảnh báo {alert}]",
        "Order to end a sound[: the programme {rule}][: the alert {alert}]",
    ),
    "order.play": Phrase(
        "orders",
        "Lệnh phát[ ngay {recordings}][ tại {places}][ cảnh báo {alert}][ diễn tập {drill}]",
        "Order to play[ {recordings} now][ at {places}][ the alert {alert}][ the drill {drill}]",
    ),
    "order.test": Phrase("orders", "Lệnh kiểm tra không tiếng[: {drill}]", "Order of a silent test[: {drill}]"),
    "order.stream_open": Phrase(
        "orders",
        "Mở luồng trực tiếp[ {session}][ của {rule}][, {clusters} cụm loa]",
        "Opened a live stream[ {session}][ of {rule}][, {clusters} clusters]",
    ),
    "order.close_stream": Phrase("orders", "Đóng luồng trực tiếp", "Closed a live stream"),
    "live.start": Phrase("live", "Bắt đầu phát trực tiếp {it}", "Began the live session {it}"),
    "live.extend": Phrase(
        "live", "Kéo dài phát trực tiếp {it}[ đến {ends}]", "Extended the live session {it}[ to {ends}]"
    ),
    "live.stop": Phrase("live", "Dừng phát trực tiếp {it}", "Stopped the live session {it}"),
    "live.end": Phrase("live", "Phát trực tiếp {it} kết thúc", "The live session {it} ended"),
    "listen.cluster": Phrase("live", "Nghe thử tại {it}", "Listened in at {it}"),
    "listen.source": Phrase("live", "Nghe thử đài {it}", "Listened to the station {it}"),
    "tape.begin": Phrase("live", "Bắt đầu ghi lại[ “{title}”]", "Began to record[ “{title}”]"),
    "tape.end": Phrase("live", "Ghi lại xong[ {subject}]", "Ended the recording[ of {subject}]"),
    "tape.cut_off": Phrase("live", "Bản ghi lại bị cắt ngang[: {subject}]", "A recording was cut off[: {subject}]"),
    "tape.expire": Phrase("live", "Xóa bản ghi lại quá hạn[ “{title}”]", "Deleted an old recording[: “{title}”]"),
    "alert.compose": Phrase(
        "alerts", "Soạn cảnh báo {it}[, {clusters} cụm loa]", "Composed the alert {it}[, {clusters} clusters]"
    ),
    "alert.arm": Phrase("alerts", "Chuẩn bị xong âm thanh của cảnh báo {it}", "The sound of the alert {it} is ready"),
    "alert.fail": Phrase("alerts", "Cảnh báo {it} không phát được", "The alert {it} could not sound"),
    "alert.confirm": Phrase(
        "alerts",
        "XÁC NHẬN cảnh báo {it}[, phát tại {clusters} cụm loa]",
        "CONFIRMED the alert {it}[ for {clusters} clusters]",
    ),
    "alert.override": Phrase(
        "alerts",
        "Một mình phát cảnh báo {it}[ tại {clusters} cụm loa]",
        "Sent the alert {it} alone[, to {clusters} clusters]",
    ),
    "alert.extend": Phrase("alerts", "Gia hạn cảnh báo {it}", "Extended the alert {it}"),
    "alert.cancel": Phrase("alerts", "HỦY cảnh báo {it}", "CANCELLED the alert {it}"),
    "alert.clear": Phrase("alerts", "BÁO AN TOÀN, kết thúc cảnh báo {it}", "Gave the ALL-CLEAR for the alert {it}"),
    "alert.expire": Phrase("alerts", "Cảnh báo {it} hết hạn", "The alert {it} came to its end"),
    "alert.stop": Phrase("alerts", "Cảnh báo {it} bị dừng bằng lệnh DỪNG", "The alert {it} was ended by a STOP"),
    "alert.replace": Phrase("alerts", "Cảnh báo {it} được thay[ bằng {by}]", "The alert {it} was replaced[ by {by}]"),
    "drill.drill": Phrase(
        "drills", "Bắt đầu diễn tập {it}[ tại {clusters} cụm loa]", "Began the drill {it}[ at {clusters} clusters]"
    ),
    "drill.test": Phrase(
        "drills",
        "Bắt đầu kiểm tra có tiếng {it}[ tại {clusters} cụm loa]",
        "Began the test {it}[ at {clusters} clusters]",
    ),
    "drill.silent": Phrase(
        "drills",
        "Bắt đầu kiểm tra không tiếng {it}[ tại {clusters} cụm loa]",
        "Began the silent test {it}[ at {clusters} clusters]",
    ),
    "drill.cancel": Phrase("drills", "Kết thúc sớm diễn tập {it}", "Ended the drill {it} early"),
    "template.create": Phrase("templates", "Soạn mẫu cảnh báo {it}", "Wrote the template {it}"),
    "template.change": Phrase("templates", "Sửa mẫu cảnh báo {it}", "Changed the template {it}"),
    "template.activate": Phrase("templates", "Duyệt dùng mẫu cảnh báo {it}", "Put the template {it} to use"),
    "template.retire": Phrase("templates", "Thôi dùng mẫu cảnh báo {it}", "Retired the template {it}"),
    "warning.propose": Phrase("warnings", "Tin cảnh báo đến, chờ quyết định: {it}", "A warning came and waits: {it}"),
    "warning.issue": Phrase("warnings", "Tự động phát theo tin cảnh báo {it}", "Sent by the rule for the warning {it}"),
    "warning.accept": Phrase(
        "warnings",
        "Nhận tin cảnh báo {it}[, soạn cảnh báo {alert}]",
        "Accepted the warning {it}[ as the alert {alert}]",
    ),
    "warning.decline": Phrase(
        "warnings", "Bỏ qua tin cảnh báo {it}[: {reason}]", "Declined the warning {it}[: {reason}]"
    ),
    "warning.cancel": Phrase(
        "warnings", "Hủy theo tin {it}[: {alerts}]", "Cancelled as the warning {it} says[: {alerts}]"
    ),
    "warning.reopen": Phrase("warnings", "Tin cảnh báo {it} chờ quyết định lại", "The warning {it} waits again"),
    "warning.superseded": Phrase(
        "warnings", "Tin cảnh báo {it} được tin mới thay", "A later message replaced the warning {it}"
    ),
    "warning_source.create": Phrase("warnings", "Thêm nguồn cảnh báo {it}", "Added the warning source {it}"),
    "warning_source.change": Phrase("warnings", "Sửa nguồn cảnh báo {it}", "Changed the warning source {it}"),
    "warning_source.remove": Phrase("warnings", "Xóa nguồn cảnh báo {it}", "Removed the warning source {it}"),
    "warning_source.token": Phrase(
        "warnings", "Tạo mã gửi tin[ “{label}”] cho nguồn {it}", "Made a token[ “{label}”] for the warning source {it}"
    ),
    "warning_source.revoke_token": Phrase(
        "warnings",
        "Hủy mã gửi tin[ “{label}”] của nguồn {it}",
        "Revoked a token[ “{label}”] of the warning source {it}",
    ),
    "warning_source.demote": Phrase(
        "warnings",
        "Ngừng phát tự động theo nguồn {it}[: {why}]",
        "Took the automatic way from the source {it}[: {why}]",
    ),
    "warning_source.restore": Phrase(
        "warnings", "Cho phát tự động lại theo nguồn {it}", "Gave the automatic way back to the source {it}"
    ),
    "cap.publish": Phrase("alerts", "Công bố cảnh báo {it} dạng CAP", "Published the alert {it} as CAP"),
    "backup.make": Phrase("house", "Sao lưu hệ thống", "Made a backup"),
    "backup.cancel": Phrase("house", "Hủy việc tạo bản sao lưu", "Cancelled a backup"),
    "backup.download": Phrase("house", "Tải bản sao lưu[ {name}]", "Downloaded the backup[ {name}]"),
}

"""A review in words: the sentence people read before they confirm, and what should give pause. Pure.

Rules kept here:

1. The sentence names how many clusters in which communes, how many of them cannot be reached now, the title, the
   languages, how long it sounds and how often, and the first words. It is made here and nowhere else, and it never
   reads like that of a drill (research: Hawaii, 2018).
2. Each person reads it in their own language (:class:`Tongue`); both say the same, figure by figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, Protocol

from controller.services.alerts.review import Review
from controller.services.alerts.tongues import in_english, in_vietnamese

_NAMED: Final = 8
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600


class Tongue(StrEnum):
    """A language that the desk speaks."""

    VI = "vi"
    EN = "en"


@dataclass(frozen=True, slots=True)
class Caution:
    """Something that should give pause."""

    code: str
    text: str


class _Wording(Protocol):
    def sentence(self, review: Review) -> str: ...

    def caution(self, code: str, count: int, name: str) -> str: ...


def sentence_of(review: Review, tongue: Tongue = Tongue.VI) -> str:
    """What is to be read before a confirmation."""
    return _WORDINGS[tongue].sentence(review)


def cautions_of(review: Review, tongue: Tongue = Tongue.VI) -> tuple[Caution, ...]:
    """What should give pause, each with its code."""
    found = [("offline", len(review.offline), ""), ("mute", len(review.mute), "")]
    found += [("language_lacking", len(clusters), language) for language, clusters in review.lacking.items()]
    found += [
        ("quiet_hours", len(review.quiet), ""),
        ("not_in_stock", len(review.unstocked), ""),
        ("no_coordinates", review.unplaced, ""),
        ("disabled", review.disabled, ""),
    ]
    for old in review.replaces:
        found += [
            ("replaces", len(old.ends), old.alert.title),
            ("goes_on_elsewhere", len(old.goes_on), old.alert.title),
        ]
    words = _WORDINGS[tongue]
    return tuple(Caution(code, words.caution(code, count, name)) for code, count, name in found if count)


def _where(review: Review, more: str) -> str:
    names = ", ".join(f"{area.name} ({area.clusters})" for area in review.areas[:_NAMED])
    left = len(review.areas) - _NAMED
    return names + (more.format(left) if left > 0 else "")


def _opening(review: Review) -> str:
    return next(iter(review.first_words.values()), "")


def _parts(length: timedelta) -> list[tuple[int, int]]:
    """Hours, minutes, seconds that are not nothing, as (number, size in seconds); under two minutes seconds alone."""
    seconds = round(length.total_seconds())
    if seconds < 2 * _MINUTE_S:
        return [(seconds, 1)]
    split = ((seconds // _HOUR_S, _HOUR_S), (seconds // _MINUTE_S % 60, _MINUTE_S), (seconds % 60, 1))
    return [(number, size) for number, size in split if number]


class _Vietnamese:
    _UNITS: Final = {_HOUR_S: "giờ", _MINUTE_S: "phút", 1: "giây"}

    def sentence(self, review: Review) -> str:
        everywhere = "TOÀN BỘ hệ thống, " if review.everywhere else ""
        where = _where(review, " và {} nơi khác")
        away = f"; {len(review.offline)} cụm hiện mất liên lạc" if review.offline else ""
        count = f"{len(review.clusters)} cụm loa"
        what = "lời nói trực tiếp của người trực" if review.live else self._spoken(review)
        return f"CẢNH BÁO THẬT “{review.title}”: phát ngay tại {count}, {everywhere}{where}{away}: {what}."

    def caution(self, code: str, count: int, name: str) -> str:
        return {
            "offline": f"{count} cụm mất liên lạc: gọi điện cho trưởng thôn",
            "mute": f"{count} cụm đang bị giữ im lặng: sẽ không phát",
            "language_lacking": f"{count} cụm cần {in_vietnamese(name)}, cảnh báo không có",
            "quiet_hours": f"{count} cụm đang trong giờ yên tĩnh: sẽ đánh thức người dân",
            "not_in_stock": f"{count} cụm chưa có sẵn âm thanh: sẽ phát muộn hơn",
            "no_coordinates": f"{count} cụm không có tọa độ, không nằm trong hình vẽ nào",
            "disabled": f"{count} cụm đã bị tắt, sẽ không phát",
            "replaces": f"thay cho “{name}” tại {count} cụm: ở đó nó kết thúc",
            "goes_on_elsewhere": f"“{name}” vẫn tiếp tục tại {count} cụm khác: hãy hủy nếu không còn đúng",
        }[code]

    def _spoken(self, review: Review) -> str:
        repetition = review.repetition
        lasts = f"dài {self._span(review.length)}" if review.spoken else "độ dài sẽ biết khi đọc xong"
        if repetition.times > 1:
            lasts = f"đọc {repetition.times} lượt liền nhau, {lasts}"
        if repetition.every is not None:
            until = "đến khi hủy (nhiều nhất 24 giờ)" if repetition.until is None else "đến giờ đã định"
            lasts += f", nhắc lại mỗi {self._span(repetition.every)} {until}"
        names = ", ".join(map(in_vietnamese, review.languages))
        return f"“{_opening(review)}” ({names}), {lasts}"

    def _span(self, length: timedelta) -> str:
        return " ".join(f"{number} {self._UNITS[size]}" for number, size in _parts(length))


class _English:
    _UNITS: Final = {_HOUR_S: "hour", _MINUTE_S: "minute", 1: "second"}

    def sentence(self, review: Review) -> str:
        everywhere = "the WHOLE system, " if review.everywhere else ""
        where = _where(review, " and {} more places")
        offline = len(review.offline)
        away = f"; {offline} {'is' if offline == 1 else 'are'} offline now" if offline else ""
        count = _number(len(review.clusters), "cluster")
        what = "the duty officer's live voice" if review.live else self._spoken(review)
        return f"REAL ALERT “{review.title}”: sounds at once at {count}, {everywhere}{where}{away}: {what}."

    def caution(self, code: str, count: int, name: str) -> str:
        clusters = _number(count, "cluster")
        have, are = ("has", "is") if count == 1 else ("have", "are")
        return {
            "offline": f"{clusters} offline: telephone the village head",
            "mute": f"{clusters} {are} kept silent and will not sound",
            "language_lacking": f"{clusters} that {have} {in_english(name)}, which the alert lacks",
            "quiet_hours": f"{clusters} in quiet hours: it will wake people",
            "not_in_stock": f"{clusters} without the sound in stock: they start later",
            "no_coordinates": f"{clusters} {have} no coordinates and {are} in no drawn figure",
            "disabled": f"{clusters} {are} switched off and will not sound",
            "replaces": f"takes the place of “{name}” at {clusters}: it ends there",
            "goes_on_elsewhere": f"“{name}” goes on at {clusters} more: cancel it if it is no longer right",
        }[code]

    def _spoken(self, review: Review) -> str:
        repetition = review.repetition
        lasts = f"for {self._span(review.length)}" if review.spoken else "its length is known once it is spoken"
        if repetition.times > 1:
            lasts = f"{repetition.times} times in a row, {lasts}"
        if repetition.every is not None:
            until = "until cancelled (24 hours at most)" if repetition.until is None else "until the time that was set"
            lasts += f", again every {self._span(repetition.every)} {until}"
        names = ", ".join(map(in_english, review.languages))
        return f"“{_opening(review)}” (in {names}), {lasts}"

    def _span(self, length: timedelta) -> str:
        return " ".join(_number(number, self._UNITS[size]) for number, size in _parts(length))


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


_WORDINGS: Final[dict[Tongue, _Wording]] = {Tongue.VI: _Vietnamese(), Tongue.EN: _English()}

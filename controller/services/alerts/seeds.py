"""The default templates: short Vietnamese wordings of our own, each with its cancel message.

They are drafts like any other: spoken by the speech engine, to be listened to (better: recorded by a person the village
knows), approved and activated. Short sentences, one instruction each, the place left out: people know where they are.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from controller.services.alerts.model import CADENCE, Category, Tone, Words
from controller.services.alerts.template_model import TemplateSpec

_CANCEL: Final = (
    "Thông báo. {0} đã được hủy bỏ. Bà con trở lại sinh hoạt bình thường. Xin nhắc lại: {1} đã được hủy bỏ."
)

_WORDS: Final[dict[Category, tuple[str, Tone, timedelta | None, str]]] = {
    Category.FLOOD: (
        "Cảnh báo lũ",
        Tone.SIREN,
        CADENCE,
        (
            "Cảnh báo lũ. Nước sông đang lên nhanh. Bà con vùng thấp đưa người già, trẻ em và đồ đạc lên chỗ cao. "
            "Không lội qua ngầm, qua suối. Nghe theo hướng dẫn của chính quyền."
        ),
    ),
    Category.FLASH_FLOOD: (
        "Cảnh báo lũ quét",
        Tone.WARBLE,
        None,
        (
            "Nguy hiểm. Lũ quét sắp xảy ra. Rời ngay khe suối, bờ sông và nhà ven suối. Lên chỗ cao ngay bây giờ. "
            "Không quay lại lấy đồ."
        ),
    ),
    Category.STORM: (
        "Cảnh báo bão",
        Tone.SIREN,
        CADENCE,
        (
            "Cảnh báo bão. Gió mạnh sắp đến. Bà con vào nhà kiên cố, chằng chống mái nhà, không ra ngoài. "
            "Tránh xa cây lớn, cột điện. Chuẩn bị nước uống và đèn pin."
        ),
    ),
    Category.LANDSLIDE: (
        "Cảnh báo sạt lở đất",
        Tone.WARBLE,
        None,
        (
            "Nguy hiểm. Có nguy cơ sạt lở đất. Bà con ở chân đồi, sườn dốc rời nhà ngay, đến nơi an toàn đã hướng dẫn. "
            "Không đi qua đoạn đường dưới vách núi."
        ),
    ),
    Category.FIRE: (
        "Cảnh báo cháy",
        Tone.PULSE,
        None,
        (
            "Có cháy. Có cháy. Bà con gần đám cháy rời đi ngay, đi ngược hướng gió, cúi thấp người nếu có khói. "
            "Gọi một một bốn. Người khỏe giúp người già và trẻ em."
        ),
    ),
    Category.DAM_RELEASE: (
        "Thông báo xả lũ hồ chứa",
        Tone.WARBLE,
        None,
        (
            "Hồ chứa sắp xả lũ. Nước ở hạ lưu sẽ lên nhanh. Bà con không xuống sông, không đánh cá, không vớt củi. "
            "Đưa thuyền, trâu bò và đồ đạc lên bờ cao ngay."
        ),
    ),
    Category.EVACUATION: (
        "Lệnh sơ tán",
        Tone.PULSE,
        None,
        (
            "Lệnh sơ tán. Bà con rời nhà ngay, đến điểm tập trung của thôn. Mang theo giấy tờ, thuốc và nước uống. "
            "Tắt điện, khóa bếp. Giúp người già, trẻ em và người khuyết tật đi trước."
        ),
    ),
}
_ALL_CLEAR: Final = (
    "Thông báo an toàn. Nguy hiểm đã qua. Bà con có thể trở về nhà. Khi về, chú ý dây điện đứt, đất đá và nước sâu. "
    "Ai cần giúp đỡ, báo ngay trưởng thôn."
)


def seeds(area_id: str) -> tuple[TemplateSpec, ...]:
    """The default templates, as one area's drafts."""
    warnings = tuple(
        TemplateSpec(
            area_id=area_id,
            category=category,
            title=title,
            words=(Words("vi", text),),
            cancel_words=(Words("vi", _CANCEL.format(title, title[0].lower() + title[1:])),),
            tone=tone,
            every=every,
        )
        for category, (title, tone, every, text) in _WORDS.items()
    )
    over = TemplateSpec(
        area_id=area_id,
        category=Category.ALL_CLEAR,
        title="Báo an toàn",
        words=(Words("vi", _ALL_CLEAR),),
        tone=Tone.GONG,
        times=2,
    )
    return (*warnings, over)

"""The demo's warning: a flash flood in the south of the district, as signed CAP from a sender that exists here only."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from controller.cap import CapAlert, CapArea, CapInfo, Polygon, sign_alert, write_alert
from controller.keys.cap_identity import CapIdentity

SOURCE_NAME: Final = "Đài Khí tượng Thủy văn tỉnh (bản dùng thử)"
SENDER: Final = "dubao@kttv.example"
_LASTS: Final = timedelta(hours=6)
#: Around Tà Rụt, A Ngo, A Bung, A Vao and Húc Nghì.
_PLACE: Final = "16.33,106.92 16.33,107.13 16.45,107.13 16.55,107.06 16.55,106.98 16.48,106.91 16.33,106.92"


def flash_flood(now: datetime, identity: CapIdentity) -> bytes:
    """The signed document, sent ``now``."""
    sent = now.replace(microsecond=0)
    info = CapInfo(
        language="vi-VN",
        categories=("Met",),
        event="Lũ quét",
        response_types=("Evacuate",),
        urgency="Immediate",
        severity="Severe",
        certainty="Likely",
        effective=sent,
        onset=sent,
        expires=sent + _LASTS,
        sender_name=SOURCE_NAME,
        headline="Nguy cơ lũ quét trên các suối thuộc Tà Rụt, A Ngo, A Bung, A Vao, Húc Nghì",
        description=(
            "Trong 3 giờ qua mưa rất to, có nơi trên 150 mm. Trong 1 đến 6 giờ tới có khả năng xảy ra lũ quét trên các "
            "sông suối nhỏ, sạt lở đất trên sườn dốc."
        ),
        instruction="Rời ngay khe suối, bờ sông và chân sườn dốc. Không qua ngầm tràn khi nước chảy xiết.",
        contact="0900 000 900",
        areas=(CapArea("Các xã phía nam huyện Đakrông", polygons=(Polygon.parse(_PLACE),)),),
    )
    alert = CapAlert(
        identifier=f"LQ-{sent:%Y%m%d%H%M%S}",
        sender=SENDER,
        sent=sent,
        status="Actual",
        msg_type="Alert",
        infos=(info,),
    )
    return sign_alert(write_alert(alert), identity.key, identity.certificate)

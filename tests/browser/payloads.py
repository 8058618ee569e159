"""Words that are no words: what somebody types, names a file or sends when they want a page to run what they wrote.

Every payload calls ``hit`` if it is ever taken for more than text, or asks something of ``evil.invalid``. Each time one
is written somewhere it is given a number of its own (:func:`numbered`): so one knows which ran, and which is shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: By class. Addresses work at the beginning of a value only. In this order nearly every line of :func:`packed` holds
#: markup.
PAYLOADS: Final = {
    "address": "javascript:hit(0)",
    "script": "<script>hit(0)</script>",
    "image": "<img src=x onerror=hit(0)>",
    "attribute": '" autofocus onfocus=hit(0) x="',
    "attribute-single": "' onmouseover='hit(0)' x='",
    "svg": "<svg onload=hit(0)>",
    "template": "{{constructor.constructor('hit(0)')()}}",
    "expression": "${hit(0)} {hit(0)} #{hit(0)} <%=hit(0)%>",
    "style-end": "</style><script>hit(0)</script>",
    "data-address": "data:text/html,<script>parent.hit(0)</script>",
    "text-end": "</textarea></title><script>hit(0)</script>",
    "frame": '<iframe srcdoc="<script>parent.hit(0)</script>">',
    "mathml": "<math><mi xlink:href=javascript:hit(0)>x</mi></math>",
    "cdata": "<![CDATA[<script>hit(0)</script>]]>",
    "comment": "<!--><script>hit(0)</script-->",
    "entities": "&lt;script&gt;hit(0)&lt;/script&gt; &#60;b&#62;",
    "remote-image": "<img src=https://evil.invalid/0.png>",
    "remote-style": "<p style=background:url(//evil.invalid/0)>",
    "remote-link": "<link rel=stylesheet href=//evil.invalid/0.css>",
    "details": "<details open ontoggle=hit(0)>",
}  # fmt: skip
#: For what must be one word, and for an address that may be asked for.
ONE_WORD: Final = "<b><svg&#x2f;onload=hit(0)>"
ADDRESS: Final = "http://127.0.0.1:9/'><script>hit(0)</script>"

#: What a line for people must not carry: each is refused with ``invalid_input``.
REFUSED: Final = {
    "null": "Tà\x00Rụt",
    "bell": "Tà\x07Rụt",
    "escape": "\x1b[31mTà Rụt",
    "line-feed": "Tà\nRụt",
    "line-separator": "Tà\u2028Rụt",
    "paragraph-separator": "Tà\u2029Rụt",
    "override": "an\u202eàot",
    "embedding": "an\u202bàot",
    "isolate": "an\u2067àot",
}


def numbered(text: str, number: int) -> str:
    """A payload, or several, with their number."""
    return text.replace("hit(0)", f"hit({number})").replace("invalid/0", f"invalid/{number}")


def packed(most: int, payloads: Iterable[str] = PAYLOADS.values()) -> list[str]:
    """All payloads in lines of at most ``most`` letters, numbers included; addresses stand at the beginning of one."""
    lines: list[str] = []
    for each in payloads:
        both = f"{lines[-1]} {each}" if lines else each
        if lines and not each.startswith(("javascript:", "data:")) and len(numbered(both, 9_999)) < most:
            lines[-1] = both
        else:
            lines.append(each)
    return lines

"""Words that are no words: what somebody types, names a file or sends when they want a page to run what they wrote.

Every payload calls ``hit`` if it is ever taken for more than text, or asks something of ``evil.invalid``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: By class. Those at the beginning work at the beginning of a value only.
PAYLOADS: Final = {
    "address": "javascript:hit(1)",
    "data-address": "data:text/html,<script>parent.hit(2)</script>",
    "script": "<script>hit(3)</script>",
    "image": "<img src=x onerror=hit(4)>",
    "svg": "<svg onload=hit(5)>",
    "attribute": '" autofocus onfocus=hit(6) x="',
    "attribute-single": "' onmouseover='hit(7)' x='",
    "template": "{{constructor.constructor('hit(8)')()}}",
    "expression": "${hit(9)} {hit(9)} #{hit(9)} <%=hit(9)%>",
    "style-end": "</style><script>hit(10)</script>",
    "text-end": "</textarea></title><script>hit(11)</script>",
    "frame": '<iframe srcdoc="<script>parent.hit(12)</script>">',
    "mathml": "<math><mi xlink:href=javascript:hit(13)>x</mi></math>",
    "cdata": "<![CDATA[<script>hit(14)</script>]]>",
    "comment": "<!--><script>hit(15)</script-->",
    "entities": "&lt;script&gt;hit(16)&lt;/script&gt; &#60;b&#62;",
    "remote-image": "<img src=https://evil.invalid/a.png>",
    "remote-style": "<p style=background:url(//evil.invalid/b)>",
    "remote-link": "<link rel=stylesheet href=//evil.invalid/c.css>",
    "details": "<details open ontoggle=hit(17)>",
}  # fmt: skip

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


def packed(most: int, payloads: Iterable[str] = PAYLOADS.values()) -> list[str]:
    """All payloads in lines of at most ``most`` letters; addresses stand at the beginning of one."""
    lines: list[str] = []
    for each in payloads:
        if lines and not each.startswith(("javascript:", "data:")) and len(lines[-1]) + len(each) < most:
            lines[-1] += f" {each}"
        else:
            lines.append(each)
    return lines

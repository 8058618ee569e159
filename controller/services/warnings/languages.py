"""Languages of a warning against languages of the villages: BCP 47 tags, compared as people would.

``vi`` and ``vi-VN`` are the same language to a listener, and a script is for readers, so the first part decides; the
very same tag is preferred. CAP says ``en-US`` where a part names no language.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

#: ISO 639-2 words that feeds use for the two-letter tags our clusters have.
_LONG: Mapping[str, str] = {"vie": "vi", "eng": "en", "lao": "lo", "khm": "km", "zho": "zh", "chi": "zh", "hmn": "hmn"}


def primary(tag: str) -> str:
    """The language itself, without region or script, in its shortest form."""
    first = tag.replace("_", "-").split("-", 1)[0].casefold()
    return _LONG.get(first, first)


def same_language(one: str, other: str) -> bool:
    """Whether who understands one understands the other."""
    return primary(one) == primary(other)


def best_tag(wanted: str, there: Iterable[str]) -> str | None:
    """The tag among ``there`` that serves ``wanted``: the very same before the same language; None = none does."""
    tags = tuple(there)
    exact = next((tag for tag in tags if tag.casefold() == wanted.casefold()), None)
    return exact or next((tag for tag in tags if same_language(tag, wanted)), None)


def lacking(spoken: Iterable[str], wanted: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Who lacks what: cluster id -> its languages that are not spoken; only clusters that lack something."""
    have = tuple(spoken)
    missing = {cluster: tuple(tag for tag in tags if best_tag(tag, have) is None) for cluster, tags in wanted.items()}
    return {cluster: tags for cluster, tags in missing.items() if tags}

"""What alerts want every box to hold before it is needed: tones, templates with their twins, words of armed alerts.

Rules kept here: a cluster holds what it would hear: the tones, and of each template the languages of its village (or
the first one). A text alert's sound is wanted at its clusters from the moment it is made until the alert is over.

Not here: settings and who fetched what (:mod:`controller.services.stock`, the boxes' status).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping

from controller.services.alerts.model import Alert, AlertKind, Message, Tone
from controller.services.alerts.register import AlertRegister
from controller.services.alerts.sounding import words_for
from controller.services.alerts.templates import TemplateBook
from controller.services.directory import Directory
from controller.services.media_store import MediaStore
from controller.services.stock import StockShelf
from protocol.documents import StockClip, StockKind
from schedules.model import Clip


class AlertStock:
    """A source of the shelf."""

    def __init__(
        self,
        *,
        shelf: StockShelf,
        book: TemplateBook,
        register: AlertRegister,
        tones: Mapping[Tone, Clip],
        directory: Directory,
        store: MediaStore,
    ) -> None:
        self._shelf = shelf
        self._book = book
        self._register = register
        self._tones = tones
        self._directory = directory
        self._store = store
        self._sizes: dict[str, int] = {}
        self._told: frozenset[str] = frozenset()
        shelf.sources.append(self.wanted)

    def wanted(self, cluster_id: str) -> Iterable[StockClip]:
        """What a cluster is to hold, what changes least first.

        A template that is sent adds nothing: nobody's settings change in the middle of an alert.
        """
        cluster = self._directory.clusters.get(cluster_id)
        if cluster is None:
            return
        yield from self._stocked(self._tones.values())
        for ready in self._book.in_use():
            yield from self._clips((ready.message, ready.twin), cluster.languages)
        for alert in self._open_alerts():
            if cluster_id in alert.clusters:
                yield from self._clips((alert.message, alert.twin), cluster.languages)

    async def refresh(self) -> None:
        """Learn the sizes of what is wanted, and tell the shelf when it is something else than before."""
        clips = {clip.sha256 for message in self._messages() for clip in message.clips}
        clips |= {clip.sha256 for clip in self._tones.values()}
        for sha256 in clips - self._sizes.keys():
            path = self._store.media_path(sha256)
            if path is not None and await self._store.has(sha256):
                self._sizes[sha256] = (await asyncio.to_thread(path.stat)).st_size
        now = frozenset(
            {f"{ready.template_id}.{ready.version}" for ready in self._book.in_use()}
            | {alert.id for alert in self._open_alerts()}
            | {str(len(self._sizes))}
        )
        if now != self._told:
            self._told = now
            self._shelf.changed()

    def sounds_for(self, message: Message, cluster_id: str) -> frozenset[str]:
        """What a cluster needs to sound a message."""
        cluster = self._directory.clusters[cluster_id]
        words = words_for(message, cluster.languages)
        tone = () if message.tone is None else (message.tone.sha256,)
        return frozenset((*tone, *(each.clip.sha256 for each in words)))

    def _open_alerts(self) -> list[Alert]:
        return [
            alert
            for alert in self._register.alerts.values()
            if (alert.state.given or alert.state.waiting) and alert.draft.kind is AlertKind.TEXT and alert.message
        ]

    def _messages(self) -> Iterator[Message]:
        for ready in self._book.in_use():
            yield from (each for each in (ready.message, ready.twin) if each is not None)
        for alert in self._open_alerts():
            yield from (each for each in (alert.message, alert.twin) if each is not None)

    def _clips(self, messages: Iterable[Message | None], languages: tuple[str, ...]) -> Iterator[StockClip]:
        for message in messages:
            if message is not None:
                words = words_for(message, languages)
                tone = () if message.tone is None else (message.tone,)
                yield from self._stocked((*tone, *(each.clip for each in words)))

    def _stocked(self, clips: Iterable[Clip]) -> Iterator[StockClip]:
        for clip in clips:
            size = self._sizes.get(clip.sha256)
            if size is not None:
                yield StockClip(clip.sha256, clip.frames, size, StockKind.TEMPLATE)

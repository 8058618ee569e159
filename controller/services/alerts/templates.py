"""The library of templates: written, spoken or recorded, approved, activated; in memory for the moment they are needed.

Rules kept here:

1. A template belongs to an area; who may draft there writes it, who may approve there activates it. Everybody who may
   compose alerts anywhere may use it.
2. Words without a recording are spoken by the speech engine, as an ordinary recording that a person listens to and
   approves (:mod:`controller.services.recordings`): approval is bound to the bytes.
3. A change is a new version (a draft); the active one stays in force until the new one is activated.
4. A template without its cancel twin, or with a recording that is not approved, is not activated.
5. Alerts read :class:`TemplateBook`: memory, never the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from controller.services.alerts.model import Message, SpokenClip, Tone, Words
from controller.services.alerts.template_model import (
    FROZEN,
    SPECS,
    Frozen,
    Ready,
    TemplateEntry,
    TemplateSpec,
    TemplateVersion,
    check,
    missing_twin,
)
from controller.services.catalogue import Catalogue
from controller.services.context import Actor, Clock, Permission
from controller.services.directory import Directory
from controller.services.errors import ConflictError, InvalidError, NotFoundError
from controller.services.recordings import NewRecording, RecordingService
from controller.store import Database, Transaction
from controller.store.alert_tables import AlertTemplate, AlertTemplateVersion
from controller.store.ids import new_id
from schedules.model import Clip


class TemplateBook:
    """Every template in memory."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.entries: dict[str, TemplateEntry] = {}
        self._listeners: list[Callable[[str], None]] = []

    def subscribe(self, listener: Callable[[str], None]) -> None:
        """Call ``listener(template_id)`` after every change. Quick, and never raising."""
        self._listeners.append(listener)

    async def load(self, session: AsyncSession) -> None:
        """Fill from the database (at start)."""
        versions: dict[str, list[AlertTemplateVersion]] = {}
        for row in await session.exec(select(AlertTemplateVersion).order_by(col(AlertTemplateVersion.version))):
            versions.setdefault(row.template_id, []).append(row)
        for template in await session.exec(select(AlertTemplate)):
            entry = _entry_of(template, versions.get(template.id, []))
            if entry is not None:
                self.entries[template.id] = entry

    def put(self, entry: TemplateEntry) -> None:
        """Add or replace one."""
        self.entries[entry.id] = entry
        for listener in self._listeners:
            listener(entry.id)

    def find(self, template_id: str) -> TemplateEntry | None:
        """One template, if there is one."""
        return self.entries.get(template_id)

    def entry(self, template_id: str) -> TemplateEntry:
        """One template.

        Raises:
            NotFoundError: ``template_not_found``.
        """
        if template_id not in self.entries:
            raise NotFoundError(f"there is no template {template_id!r}", code="template_not_found")
        return self.entries[template_id]

    def ready(self, template_id: str) -> Ready:
        """What goes on air.

        Raises:
            NotFoundError: there is no such template.
            ConflictError: ``template_not_active``, ``template_rejected``.
        """
        entry = self.entry(template_id)
        if entry.ready is None or entry.state != "active":
            raise ConflictError(
                "this template is not active: have it approved and activated", code="template_not_active"
            )
        for each in (*entry.ready.message.spoken, *(entry.ready.twin.spoken if entry.ready.twin else ())):
            self._require_not_rejected(each)
        return entry.ready

    def in_use(self) -> Iterable[Ready]:
        """Every active template that may go on air."""
        for entry in self.entries.values():
            try:
                yield self.ready(entry.id)
            except ConflictError:
                continue

    def uses_of(self, recording_id: str) -> tuple[str, ...]:
        """Titles of the templates that name a recording."""
        return tuple(
            entry.latest.spec.title
            for entry in self.entries.values()
            if entry.state == "active" and recording_id in entry.latest.spec.recordings
        )

    def _require_not_rejected(self, spoken: SpokenClip) -> None:
        recording = self._catalogue.recordings.get(spoken.recording or "")
        decision = None if recording is None else recording.decision
        if decision is not None and not decision.approved and decision.sha256 == spoken.clip.sha256:
            raise ConflictError("a recording of this template was rejected", code="template_rejected")


class TemplateService:
    """Use-cases of templates."""

    def __init__(
        self,
        *,
        db: Database,
        directory: Directory,
        catalogue: Catalogue,
        recordings: RecordingService,
        book: TemplateBook,
        tones: Mapping[Tone, Clip],
        clock: Clock,
    ) -> None:
        self._db = db
        self._directory = directory
        self._catalogue = catalogue
        self._recordings = recordings
        self._book = book
        self._tones = tones
        self._clock = clock

    def readable(self, actor: Actor) -> list[TemplateEntry]:
        """Templates the actor may know of: those of their areas, and of what their alerts lie in (the district's)."""
        return [entry for entry in self._book.entries.values() if self._readable(actor, entry.area_id)]

    def get(self, actor: Actor, template_id: str) -> TemplateEntry:
        """One template.

        Raises:
            NotFoundError, ForbiddenError: it is not there, or not for them.
        """
        entry = self._book.entry(template_id)
        if not self._readable(actor, entry.area_id):
            self._directory.require(actor, Permission.READ, entry.area_id)
        return entry

    def _readable(self, actor: Actor, area_id: str) -> bool:
        alerting = (Permission.EMERGENCY_COMPOSE, Permission.EMERGENCY_CONFIRM)
        return self._directory.allows(actor, Permission.READ, area_id) or any(
            self._directory.allows_within(actor, verb, area_id) for verb in alerting
        )

    async def create(self, actor: Actor, spec: TemplateSpec) -> TemplateEntry:
        """Write a template: version 1, a draft.

        Raises:
            InvalidError, NotFoundError, ForbiddenError, BusyError: see :meth:`RecordingService.create_spoken`.
        """
        self._directory.area(spec.area_id)
        self._directory.require(actor, Permission.DRAFT, spec.area_id)
        check(spec)
        spec = await self._with_recordings(actor, spec)
        template = AlertTemplate(
            id=new_id("tp"), area_id=spec.area_id, created_by=actor.user_id, created_at=self._clock.now()
        )
        version = self._row(actor, template.id, 1, spec)
        async with self._db.transaction(actor) as tx:
            tx.session.add(template)
            await tx.session.flush()
            tx.session.add(version)
            tx.audit("template.create", template.id, {"title": spec.title, "category": str(spec.category)})
            entry = _entry_of(template, [version])
            assert entry is not None  # noqa: S101 - it was made a line above
            self._publish(tx, entry)
        return entry

    async def change(self, actor: Actor, template_id: str, spec: TemplateSpec) -> TemplateEntry:
        """Write a new version; the active one stays in force until this one is activated.

        Raises:
            ConflictError: ``template_retired``.
            InvalidError, NotFoundError, ForbiddenError, BusyError: as :meth:`create`.
        """
        before = self._book.entry(template_id)
        self._directory.require(actor, Permission.DRAFT, before.area_id)
        if before.state != "active":
            raise ConflictError("a retired template is not changed; write a new one", code="template_retired")
        check(spec)
        spec = await self._with_recordings(actor, replace(spec, area_id=before.area_id))
        async with self._db.transaction(actor) as tx:
            template = await tx.session.get_one(AlertTemplate, template_id)
            rows = await _versions(tx.session, template_id)
            row = self._row(actor, template_id, rows[-1].version + 1, spec)
            tx.session.add(row)
            tx.audit("template.change", template_id, {"version": row.version, "title": spec.title})
            entry = _entry_of(template, [*rows, row])
            assert entry is not None  # noqa: S101 - it has a version
            self._publish(tx, entry)
        return entry

    async def activate(self, actor: Actor, template_id: str, version: int) -> TemplateEntry:
        """Put a version in force: its approved bytes are frozen.

        Raises:
            ConflictError: ``changed_since`` (there is a newer version), ``template_retired``.
            InvalidError: ``no_cancel_twin``, ``not_approved``.
            NotFoundError, ForbiddenError: it is not there, or no right to approve in its area.
        """
        before = self._book.entry(template_id)
        self._directory.require(actor, Permission.APPROVE, before.area_id)
        if before.state != "active":
            raise ConflictError("a retired template is not activated", code="template_retired")
        if before.latest.version != version:
            raise ConflictError(f"there is a newer version: {before.latest.version}", code="changed_since")
        frozen = self._freeze(before.latest.spec)
        now = self._clock.now()
        async with self._db.transaction(actor) as tx:
            template = await tx.session.get_one(AlertTemplate, template_id)
            rows = await _versions(tx.session, template_id)
            for row in rows:
                if row.version == version:
                    row.sqlmodel_update({"state": "active", "frozen": FROZEN.dump(frozen),
                                         "activated_by": actor.name, "activated_at": now})  # fmt: skip
                elif row.state == "active":
                    row.state = "retired"
                tx.session.add(row)
            tx.audit(
                "template.activate",
                template_id,
                {"version": version, "sha256": [each.clip.sha256 for each in frozen.message.spoken]},
            )
            entry = _entry_of(template, rows)
            assert entry is not None  # noqa: S101 - it has versions
            self._publish(tx, entry)
        return entry

    async def retire(self, actor: Actor, template_id: str) -> None:
        """Take a template out of use; agents let go of its sound.

        Raises:
            NotFoundError, ForbiddenError: it is not there, or no right to approve in its area.
        """
        before = self._book.entry(template_id)
        self._directory.require(actor, Permission.APPROVE, before.area_id)
        async with self._db.transaction(actor) as tx:
            await tx.session.exec(
                update(AlertTemplate).where(col(AlertTemplate.id) == template_id).values(state="retired")
            )
            tx.audit("template.retire", template_id, {"title": before.latest.spec.title})
            self._publish(tx, replace(before, state="retired", ready=None))

    def _freeze(self, spec: TemplateSpec) -> Frozen:
        missing = missing_twin(spec)
        if missing:
            raise InvalidError(
                f"write the cancel message too; it is missing in: {', '.join(missing)}", code="no_cancel_twin"
            )
        message = Message(self._tones.get(spec.tone), tuple(map(self._frozen_words, spec.words)))
        twin = None
        if spec.cancel_words:
            twin = Message(self._tones.get(spec.cancel_tone), tuple(map(self._frozen_words, spec.cancel_words)))
        return Frozen(message, twin)

    def _frozen_words(self, words: Words) -> SpokenClip:
        return frozen_words(self._catalogue, words)

    async def _with_recordings(self, actor: Actor, spec: TemplateSpec) -> TemplateSpec:
        """The spec with a recording for every wording; words that have none yet are spoken."""

        async def of(words: Words, title: str) -> Words:
            if words.recording is not None:
                self._catalogue.recording(words.recording)
                return words
            new = NewRecording(spec.area_id, title[:200], words.language)
            made = await self._recordings.create_spoken(actor, new, words.text)
            return replace(words, recording=made.id)

        several = len({each.language for each in (*spec.words, *spec.cancel_words)}) > 1

        def called(title: str, words: Words) -> str:
            return f"{title} ({words.language})" if several else title

        said = [await of(each, called(spec.title, each)) for each in spec.words]
        cancelled = [await of(each, called(f"{spec.title}, hủy", each)) for each in spec.cancel_words]
        return replace(spec, words=tuple(said), cancel_words=tuple(cancelled))

    def _row(self, actor: Actor, template_id: str, version: int, spec: TemplateSpec) -> AlertTemplateVersion:
        return AlertTemplateVersion(
            template_id=template_id,
            version=version,
            spec=SPECS.dump(spec),
            created_by=actor.user_id,
            created_at=self._clock.now(),
        )

    def _publish(self, tx: Transaction, entry: TemplateEntry) -> None:
        tx.on_commit(lambda: self._book.put(entry))


def frozen_words(catalogue: Catalogue, words: Words) -> SpokenClip:
    """Words with the approved bytes of their recording.

    Raises:
        InvalidError: ``not_approved``.
        NotFoundError: there is no such recording.
    """
    recording = catalogue.recording(words.recording or "")
    approval = recording.approval
    if recording.sha256 is None or recording.frames is None or approval is None:
        raise InvalidError(
            f"the recording {recording.title!r} ({recording.id}) is {recording.state} and not approved: "
            "have someone listen to it and approve it",
            code="not_approved",
        )
    return SpokenClip(words.language, words.text, Clip(recording.sha256, recording.frames, approval), recording.id)


async def _versions(session: AsyncSession, template_id: str) -> list[AlertTemplateVersion]:
    query = select(AlertTemplateVersion).where(col(AlertTemplateVersion.template_id) == template_id)
    return list(await session.exec(query.order_by(col(AlertTemplateVersion.version))))


def _entry_of(template: AlertTemplate, rows: Iterable[AlertTemplateVersion]) -> TemplateEntry | None:
    versions: list[TemplateVersion] = []
    ready: Ready | None = None
    for row in rows:
        spec = SPECS.load(row.spec)
        if spec is None:
            continue
        versions.append(
            TemplateVersion(
                row.version, row.state, spec, row.created_by, row.created_at, row.activated_by, row.activated_at
            )
        )
        frozen = None if row.frozen is None or row.state != "active" else FROZEN.load(row.frozen)
        if frozen is not None and template.state == "active":
            ready = Ready(template.id, row.version, spec, frozen.message, frozen.twin)
    if not versions:
        return None
    return TemplateEntry(template.id, template.area_id, template.state, versions[-1], ready, tuple(versions))

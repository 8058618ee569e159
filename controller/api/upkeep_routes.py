"""Keeping the house in order over HTTP: findings, keys, backups."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from aiohttp import web
from pydantic import Field

from controller.api.languages import tongue_of
from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, Schema
from controller.services.context import Permission
from controller.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from controller.services.upkeep import Backups, Upkeep
from protocol.version import __version__


class FindingView(Schema):
    """One thing the doctor looked at, in the language of Accept-Language: vi or en."""

    check: str
    level: Literal["ok", "warning", "bad"]
    message: str
    remedy: str


class SystemView(Schema):
    """The controller itself."""

    version: str
    started_at: datetime
    findings: tuple[FindingView, ...]


class OnlineKeyView(Schema):
    """A key that documents are signed with."""

    key_id: str
    roles: tuple[str, ...]
    fingerprint: str
    not_before: datetime
    not_after: datetime


class KeysView(Schema):
    """The root, and the key set it signed."""

    root_fingerprint: str
    root_sealed: bool = Field(description="Whether the root key is off this machine")
    term: int
    version: int
    expires: datetime
    online: tuple[OnlineKeyView, ...]


class BackupFileView(Schema):
    """A backup that lies on the controller."""

    name: str
    size: int
    made_at: datetime


class BackupsView(Schema):
    """Backups that lie here, newest first."""

    files: tuple[BackupFileView, ...]
    running_since: datetime | None
    share: float | None = Field(description="Of 1, of the one that is being made; null while that is not known")
    fault: str = Field(description="Why the last one failed; empty when it did not")
    last: datetime | None = Field(description="When one was made last, also by the command")

    @classmethod
    def of(cls, backups: Backups) -> BackupsView:
        """From the service."""
        files = tuple(BackupFileView.model_validate(file) for file in backups.files)
        return cls(
            files=files,
            running_since=backups.running_since,
            share=backups.share,
            fault=backups.fault,
            last=backups.last,
        )


class NewBackup(Schema):
    """A backup to make."""

    passphrase: str | None = Field(None, max_length=512, description="Encrypts the keys; null leaves them out")


class UpkeepRoutes:
    """Operations of the administrator."""

    def __init__(self, upkeep: Upkeep) -> None:
        self._upkeep = upkeep

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        right, root = Permission.POLICY_EDIT, "/api/v1/backups"
        return (
            route("GET", "/api/v1/system", "getSystem", right, self.system, returns=SystemView,
                  errors=(ForbiddenError,), summary="The controller itself, and what the doctor finds"),
            route("GET", "/api/v1/keys", "getKeys", right, self.keys, returns=KeysView, errors=(ForbiddenError,),
                  summary="What documents are signed with, and until when"),
            route("GET", root, "listBackups", right, self.backups, returns=BackupsView, errors=(ForbiddenError,),
                  summary="Backups that lie on the controller"),
            route("POST", root, "makeBackup", right, self.begin, body=NewBackup, returns=BackupsView, status=202,
                  errors=(ForbiddenError, ConflictError, InvalidError), summary="Begin a backup"),
            route("POST", f"{root}/cancel", "cancelBackup", right, self.cancel, returns=BackupsView,
                  errors=(ForbiddenError, ConflictError), summary="End the backup that is being made"),
            route("GET", f"{root}/{{name}}", "downloadBackup", right, self.download,
                  raw_returns="application/x-tar", errors=(ForbiddenError, NotFoundError), summary="A backup, whole"),
        )  # fmt: skip

    async def system(self, call: Call[Empty, Empty]) -> SystemView:
        """The controller itself."""
        found, tongue = await self._upkeep.findings(call.actor), tongue_of(call.request)
        return SystemView(
            version=__version__,
            started_at=self._upkeep.started_at,
            findings=tuple(
                FindingView(check=one.check, level=one.level, message=one.said.of(tongue), remedy=one.cure.of(tongue))
                for one in found
            ),
        )

    async def keys(self, call: Call[Empty, Empty]) -> KeysView:
        """Keys."""
        keys = self._upkeep.keys(call.actor)
        online = tuple(
            OnlineKeyView(
                key_id=f"{key.key_id:08x}",
                roles=tuple(sorted(role.value for role in key.roles)),
                fingerprint=key.fingerprint,
                not_before=key.not_before,
                not_after=key.not_after,
            )
            for key in keys.online
        )
        return KeysView(
            root_fingerprint=keys.root_fingerprint,
            root_sealed=keys.root_sealed,
            term=keys.term,
            version=keys.version,
            expires=keys.expires,
            online=online,
        )

    async def backups(self, call: Call[Empty, Empty]) -> BackupsView:
        """What there is."""
        return BackupsView.of(await self._upkeep.backups(call.actor))

    async def begin(self, call: Call[NewBackup, Empty]) -> BackupsView:
        """Begin one."""
        await self._upkeep.begin_backup(call.actor, call.body.passphrase)
        return BackupsView.of(await self._upkeep.backups(call.actor))

    async def cancel(self, call: Call[Empty, Empty]) -> BackupsView:
        """End it."""
        await self._upkeep.cancel_backup(call.actor)
        return BackupsView.of(await self._upkeep.backups(call.actor))

    async def download(self, call: Call[Empty, Empty]) -> web.FileResponse:
        """Take it away."""
        name = call.path["name"]
        path = await self._upkeep.file(call.actor, name)
        headers = {
            "Content-Type": "application/x-tar",
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        }
        return web.FileResponse(path, headers=headers)

"""Users and what they may do.

Rules kept here:

1. Nobody gives a right, or touches an account, beyond their own right ``users``: to change a user one must hold it over
   every area where that user has a role.
2. One enabled administrator of everything remains, always.
3. Users are disabled, not deleted: the audit log speaks of them for ever.
4. No default password exists: the first administrator's is random and shown once.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sqlmodel import col, delete, select, update

from controller.services.context import SYSTEM, Actor, Clock, Permission, Role, RoleGrant
from controller.services.directory import Directory, UserEntry
from controller.services.errors import ConflictError, FieldProblem, ForbiddenError, InvalidError, NotFoundError
from controller.services.passwords import Passwords, check_password, new_password
from controller.services.throttle import PER_ACCOUNT, Throttle
from controller.store import Database, Transaction, tables
from controller.store.ids import new_id

FIRST_ADMIN = "admin"


class AccountService:
    """Use-cases around users."""

    def __init__(self, db: Database, directory: Directory, clock: Clock, passwords: Passwords) -> None:
        self._db = db
        self._directory = directory
        self._clock = clock
        self._passwords = passwords
        self._throttle = Throttle()

    def readable(self, actor: Actor) -> list[UserEntry]:
        """The users the actor may manage, and themselves."""
        everyone = self._directory.users.values()
        return [user for user in everyone if user.id == actor.user_id or self._may_manage(actor, user)]

    def get(self, actor: Actor, user_id: str) -> UserEntry:
        """One user.

        Raises:
            NotFoundError: there is none, or none that the actor may see.
        """
        user = self._directory.users.get(user_id)
        if user is None or (user.id != actor.user_id and not self._may_manage(actor, user)):
            raise NotFoundError(f"there is no user {user_id!r}", code="user_not_found")
        return user

    async def ensure_admin(self) -> tuple[str, str] | None:
        """On first start: the first administrator as (name, password); None when there are users."""
        if self._directory.users:
            return None
        _, password = await self.create(
            SYSTEM, name=FIRST_ADMIN, display_name="", password=None, grants=(RoleGrant(Role.ADMIN, None),)
        )
        return FIRST_ADMIN, password or ""

    async def create(
        self,
        actor: Actor,
        *,
        name: str,
        display_name: str,
        password: str | None,
        grants: tuple[RoleGrant, ...] = (),
    ) -> tuple[UserEntry, str | None]:
        """Add a user. Without a password one is made and returned; it must be changed at the first sign-in.

        Raises:
            ForbiddenError: a role would be given where the actor has no right ``users``.
            ConflictError: the name is taken.
            InvalidError: the password is weak.
            NotFoundError: an area does not exist.
        """
        self._check_grants(actor, grants)
        if self._directory.user_named(name) is not None:
            raise ConflictError(f"there is already a user {name!r}", code="name_taken")
        made = None if password is not None else new_password()
        if password is not None:
            check_password(password, name)
        digest = await self._passwords.hash(password or made or "")
        async with self._db.transaction(actor) as tx:
            row = tables.User(
                id=new_id("us"),
                name=name,
                display_name=display_name,
                password_hash=digest,
                must_change=made is not None,
                created_at=self._clock.now(),
            )
            tx.session.add(row)
            await tx.session.flush()
            tx.session.add_all(_grant_rows(row.id, grants))
            tx.audit("user.create", row.id, {"name": name, "grants": _said(grants)})
            return self._publish(tx, UserEntry.of(row, grants)), made

    async def set_grants(self, actor: Actor, user_id: str, grants: tuple[RoleGrant, ...]) -> UserEntry:
        """Replace a user's roles.

        Raises:
            NotFoundError, ForbiddenError: rule 1.
            ConflictError: nobody would be left to administer everything.
        """
        user = self._managed(actor, user_id)
        added = set(grants) - set(user.grants)
        self._check_grants(actor, tuple(added))
        changed = replace(user, grants=grants)
        self._keep_an_admin(changed)
        async with self._db.transaction(actor) as tx:
            await tx.session.exec(delete(tables.Grant).where(col(tables.Grant.user_id) == user_id))
            tx.session.add_all(_grant_rows(user_id, grants))
            tx.audit("user.grants", user_id, {"name": user.name, "from": _said(user.grants), "to": _said(grants)})
            return self._publish(tx, changed)

    async def set_disabled(self, actor: Actor, user_id: str, *, disabled: bool) -> UserEntry:
        """Lock a user out (at once, everywhere), or let them in again.

        Raises:
            NotFoundError, ForbiddenError: rule 1.
            ConflictError: nobody would be left to administer everything.
        """
        user = self._managed(actor, user_id)
        changed = replace(user, disabled=disabled)
        self._keep_an_admin(changed)
        async with self._db.transaction(actor) as tx:
            row = await tx.session.get_one(tables.User, user_id)
            row.disabled = disabled
            tx.session.add(row)
            if disabled:
                await self._end_sessions(tx, user_id)
            tx.audit("user.disable" if disabled else "user.enable", user_id, {"name": user.name})
            return self._publish(tx, changed)

    async def reset_password(self, actor: Actor, user_id: str, password: str | None = None) -> str | None:
        """Give a user a new password; made and returned when none is given. Ends all their sessions.

        Raises:
            NotFoundError, ForbiddenError: rule 1.
            InvalidError: the password is weak.
        """
        user = self._managed(actor, user_id)
        made = None if password is not None else new_password()
        await self._store_password(
            actor, user, password or made or "", must_change=made is not None, weak_ok=made is not None
        )
        return made

    async def change_own_password(self, actor: Actor, old: str, new: str) -> None:
        """Change one's own password. Ends all other sessions.

        Raises:
            ForbiddenError: the old one is wrong.
            InvalidError: the new one is weak.
        """
        await self.check_own_password(actor, old)
        user = self._directory.users[actor.user_id]
        await self._store_password(actor, user, new, must_change=False, weak_ok=False)

    async def check_own_password(self, actor: Actor, password: str) -> None:
        """Let through who knows the actor's password: a window left open is not its owner.

        Raises:
            ForbiddenError: it is wrong.
            TooManyError: it was wrong too often.
            BusyError: too many are being checked right now.
        """
        key = {f"own:{actor.user_id}": PER_ACCOUNT}
        self._throttle.attempt(key, self._clock.now())
        async with self._db.read() as session:
            query = select(tables.User.password_hash).where(col(tables.User.id) == actor.user_id)
            stored = (await session.exec(query)).first()
        if not await self._passwords.matches(stored, password):
            raise ForbiddenError("the password is wrong", code="wrong_password")
        self._throttle.succeeded(key, forget=next(iter(key)))

    async def remove_own_second_factor(self, actor: Actor, password: str) -> None:
        """Take away one's own second factor.

        Raises:
            NotFoundError: there is none.
            ForbiddenError: the password is wrong.
            TooManyError: it was wrong too often.
        """
        await self.check_own_password(actor, password)
        await self._remove_second_factor(actor, self._directory.users[actor.user_id])

    async def remove_second_factor(self, actor: Actor, user_id: str) -> None:
        """Take away the second factor of somebody who lost it.

        Raises:
            NotFoundError, ForbiddenError: rule 1; or there is none; or it is one's own, which takes the password.
        """
        user = self._managed(actor, user_id)
        if user.id == actor.user_id:
            raise ForbiddenError("remove your own with your password, in your account", code="own_second_factor")
        await self._remove_second_factor(actor, user)

    async def _remove_second_factor(self, actor: Actor, user: UserEntry) -> None:
        """Secret and recovery codes go; sessions that were opened with them go on without."""
        if not user.second_factor:
            raise NotFoundError("there is no second factor", code="not_enrolled")
        lowered = [
            replace(entry, second_factor=False)
            for entry in self._directory.tokens.values()
            if entry.user_id == user.id and entry.second_factor
        ]
        async with self._db.transaction(actor) as tx:
            for table in (tables.RecoveryCode, tables.SecondFactor):
                await tx.session.exec(delete(table).where(col(table.user_id) == user.id))
            await tx.session.exec(
                update(tables.Token).where(col(tables.Token.user_id) == user.id).values(second_factor=False)
            )
            by = {"name": user.name, "by_themselves": actor.user_id == user.id}
            tx.audit("user.second_factor_removed", user.id, by)
            for entry in lowered:
                tx.on_commit(partial(self._directory.put_token, entry))
            self._publish(tx, replace(user, second_factor=False))

    async def _store_password(
        self, actor: Actor, user: UserEntry, password: str, *, must_change: bool, weak_ok: bool
    ) -> None:
        if not weak_ok:
            check_password(password, user.name)
        digest = await self._passwords.hash(password)
        async with self._db.transaction(actor) as tx:
            row = await tx.session.get_one(tables.User, user.id)
            row.password_hash = digest
            row.must_change = must_change
            tx.session.add(row)
            await self._end_sessions(tx, user.id, keep=actor.token_hash)
            tx.audit("user.password", user.id, {"name": user.name, "by_themselves": actor.user_id == user.id})
            self._publish(tx, replace(user, must_change=must_change))

    async def _end_sessions(self, tx: Transaction, user_id: str, keep: str | None = None) -> None:
        query = delete(tables.Token).where(col(tables.Token.user_id) == user_id)
        await tx.session.exec(query if keep is None else query.where(col(tables.Token.hash) != keep))
        gone = [
            entry.hash for entry in self._directory.tokens.values() if entry.user_id == user_id and entry.hash != keep
        ]
        tx.on_commit(lambda: self._directory.drop_tokens(gone))

    def _publish(self, tx: Transaction, entry: UserEntry) -> UserEntry:
        tx.on_commit(lambda: self._directory.put_user(entry))
        return entry

    def _may_manage(self, actor: Actor, user: UserEntry) -> bool:
        if not user.grants:
            return actor.may_somewhere(Permission.USERS)
        return all(self._directory.allows(actor, Permission.USERS, grant.area_id) for grant in user.grants)

    def _managed(self, actor: Actor, user_id: str) -> UserEntry:
        user = self._directory.users.get(user_id)
        if user is None:
            raise NotFoundError(f"there is no user {user_id!r}", code="user_not_found")
        if not self._may_manage(actor, user):
            raise ForbiddenError("this user has roles in areas where you have no right 'users'")
        return user

    def _check_grants(self, actor: Actor, grants: tuple[RoleGrant, ...]) -> None:
        for grant in grants:
            if grant.area_id is not None:
                self._directory.area(grant.area_id)
            self._directory.require(actor, Permission.USERS, grant.area_id)

    def _keep_an_admin(self, changed: UserEntry) -> None:
        users = {**self._directory.users, changed.id: changed}.values()
        if not any(not user.disabled and RoleGrant(Role.ADMIN, None) in user.grants for user in users):
            raise ConflictError(
                "nobody would be left to administer everything; make another administrator first", code="last_admin"
            )


def parse_role(text: str) -> Role:
    """A role by its name.

    Raises:
        InvalidError: there is no such role.
    """
    try:
        return Role(text)
    except ValueError as error:
        known = ", ".join(Role)
        raise InvalidError(
            f"there is no role {text!r}; known: {known}", fields=[FieldProblem("role", f"one of {known}")]
        ) from error


def _grant_rows(user_id: str, grants: tuple[RoleGrant, ...]) -> list[tables.Grant]:
    return [
        tables.Grant(user_id=user_id, role=grant.role.value, area_id=grant.area_id) for grant in dict.fromkeys(grants)
    ]


def _said(grants: tuple[RoleGrant, ...]) -> list[str]:
    return [f"{grant.role.value}@{grant.area_id or '*'}" for grant in grants]

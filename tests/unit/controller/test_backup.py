from __future__ import annotations

import sqlite3
import tarfile
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pyotp
import pytest

from controller.config import Config, load_config
from controller.keys import KeyVault, RootSource, SealedError
from controller.keys.sealing import DATABASE_KEY, Sealer
from controller.services.audit import verify_file
from controller.services.backup import BackupEndedError, Course, back_up
from controller.services.context import SYSTEM, Role
from controller.services.doctor import Finding, examine
from controller.services.errors import ConflictError, InvalidError, NotFoundError
from controller.services.restore import holds_keys, restore
from controller.store.journal import CommandJournal, read_journal
from tests.unit.controller.desk import START, Desk, open_desk

PHRASE = "correct horse battery"
SOUND = "ab" * 32


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk with an area, keys, an order in the journal and one recording."""
    data = tmp_path / "data"
    async with open_desk(data) as opened:
        await opened.areas.create(SYSTEM, name="Đakrông", kind="huyện")
        await opened.accounts.ensure_admin()
        KeyVault.open(data / "keys", now=START)
        journal = CommandJournal.open(data / "orders.journal", term=1)
        await journal.append(actor="us_1", kind="stop", body={}, at=START)
        await journal.close()
        (data / "media").mkdir()
        (data / "media" / f"{SOUND}.opus").write_bytes(b"OggS")
        yield opened


def saved(desk: Desk, name: str = "backup.tar", passphrase: str | None = PHRASE) -> Path:
    return back_up(desk.folder, desk.folder.parent / name, passphrase=passphrase, now=START).file


def put_back(file: Path, data: Path, *, replace: bool = False, minutes: int = 0) -> int | None:
    now = START + timedelta(minutes=minutes)
    return restore(file, data, passphrase=PHRASE, root=None, now=now, replace=replace).term


async def test_a_running_controller_comes_back_whole_on_a_new_machine(desk: Desk, tmp_path: Path) -> None:
    file, data = saved(desk), tmp_path / "new"
    await desk.areas.create(SYSTEM, name="later", kind="xã")  # after the backup
    term = put_back(file, data)
    assert verify_file(data / "loa.db").rows == 2
    async with open_desk(data) as again:
        assert [area.name for area in again.directory.areas.values()] == ["Đakrông"]
    assert (data / "media" / f"{SOUND}.opus").read_bytes() == b"OggS"
    assert [entry.seq for entry in read_journal(data / "orders.journal")[0]] == [1]
    before, after = KeyVault.read(desk.folder / "keys"), KeyVault.read(data / "keys")
    assert after.root_fingerprint == before.root_fingerprint
    assert after.term == term
    assert after.term > before.term
    assert data.stat().st_mode & 0o077 == 0


async def test_restoring_the_same_backup_twice_never_gives_the_same_term(desk: Desk, tmp_path: Path) -> None:
    file = saved(desk)
    first = put_back(file, tmp_path / "a")
    second = put_back(file, tmp_path / "b", minutes=1)
    third = put_back(file, tmp_path / "b", minutes=1, replace=True)  # within the same minute, over the other
    assert first is not None
    assert second is not None
    assert third is not None
    assert first < second < third


async def test_what_was_there_is_moved_aside_never_overwritten(desk: Desk) -> None:
    file = saved(desk)
    with pytest.raises(ConflictError) as refused:
        put_back(file, desk.folder)
    assert refused.value.code == "not_empty"
    report = restore(file, desk.folder, passphrase=PHRASE, root=None, now=START, replace=True)
    assert report.moved_aside is not None
    assert (report.moved_aside / "loa.db").exists()


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


class Impatient(Course):
    """Ends after so many pieces."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.left = pieces

    def went(self, count: int = 0) -> None:
        self.left -= 1
        if self.left < 0:
            self.end()
        super().went(count)

    def ended(self) -> bool:
        return self.left <= 0


@pytest.mark.parametrize("pieces", range(6))
async def test_a_backup_that_is_ended_leaves_nothing(desk: Desk, tmp_path: Path, pieces: int) -> None:
    """While the database is copied, while files are hashed, while they are written."""
    with closing(sqlite3.connect(desk.folder / "loa.db")) as other, other:
        other.execute("CREATE TABLE much AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9999)"
                      " SELECT i, hex(randomblob(20)) AS text FROM n")  # fmt: skip
    before, course = _files(tmp_path), Impatient(pieces)
    with pytest.raises(BackupEndedError):
        back_up(desk.folder, tmp_path / "ended.tar", passphrase=None, now=START, course=course)
    assert _files(tmp_path) == before
    assert (course.share is None) == (pieces == 0)
    assert saved(desk).exists()


async def test_keys_travel_encrypted_or_not_at_all(desk: Desk, tmp_path: Path) -> None:
    secret = (desk.folder / "keys" / "root.key").read_bytes()
    whole, without = saved(desk), saved(desk, "plain.tar", None)
    assert (holds_keys(whole), holds_keys(without)) == (True, False)
    assert secret not in whole.read_bytes() + without.read_bytes()
    assert put_back(without, tmp_path / "x") is None
    assert not (tmp_path / "x" / "keys").exists()
    for phrase, code in (("wrong horse battery", "wrong_passphrase"), (None, "passphrase_missing")):
        with pytest.raises(InvalidError) as refused:
            restore(whole, tmp_path / "y", passphrase=phrase, root=None, now=START)
        assert refused.value.code == code
    assert not (tmp_path / "y").exists()
    with pytest.raises(InvalidError):
        saved(desk, "weak.tar", "short")


async def test_a_sealed_root_must_come_along(desk: Desk, tmp_path: Path) -> None:
    KeyVault.read(desk.folder / "keys").seal_root(tmp_path / "root.sealed", PHRASE)
    file = saved(desk)
    with pytest.raises(SealedError):
        put_back(file, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    source = RootSource(tmp_path / "root.sealed", PHRASE)
    assert restore(file, tmp_path / "x", passphrase=PHRASE, root=source, now=START).term


async def test_a_damaged_backup_puts_nothing_in_place(desk: Desk, tmp_path: Path) -> None:
    data = saved(desk).read_bytes()
    at = data.index(b"OggS")
    (tmp_path / "flipped.tar").write_bytes(data[:at] + b"oggS" + data[at + 4 :])
    (tmp_path / "cut.tar").write_bytes(data[: len(data) // 2])
    (tmp_path / "nonsense.tar").write_bytes(b"nonsense" * 1000)
    for name in ("flipped.tar", "cut.tar", "nonsense.tar", "missing.tar"):
        with pytest.raises((InvalidError, NotFoundError)):
            put_back(tmp_path / name, tmp_path / "x")
        assert not (tmp_path / "x").exists()
    assert not found(tmp_path, ".loa-restore-*")


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "media/../../evil", "keys/evil"])
async def test_a_backup_cannot_write_elsewhere(desk: Desk, tmp_path: Path, name: str) -> None:
    file = saved(desk)
    with tarfile.open(file, "a") as tar:
        info = tarfile.TarInfo(name)
        info.size = 4
        tar.addfile(info, BytesIO(b"evil"))
    with pytest.raises(InvalidError, match="manifest does not"):
        put_back(file, tmp_path / "x")
    assert not found(tmp_path, "evil")


async def test_a_backup_never_overwrites_and_needs_a_controller(desk: Desk, tmp_path: Path) -> None:
    saved(desk)
    with pytest.raises(ConflictError):
        saved(desk)
    with pytest.raises(NotFoundError):
        back_up(tmp_path / "nowhere", tmp_path / "x.tar", passphrase=None, now=START)
    assert not found(tmp_path, ".*backup*")


def found(folder: Path, name: str) -> list[Path]:
    return list(folder.rglob(name))


def settings(data: Path) -> Config:
    return load_config(data, None, {}, {})


def of(findings: list[Finding], check: str) -> list[str]:
    return [finding.level for finding in findings if finding.check == check]


async def test_the_doctor_finds_a_healthy_controller_healthy(desk: Desk) -> None:
    saved(desk)
    findings = examine(settings(desk.folder), now=START)
    assert [finding for finding in findings if finding.level == "bad"] == []
    assert of(findings, "keys") == ["warning", "ok"]  # the root is not sealed yet
    assert of(findings, "audit") == ["ok"]
    assert of(findings, "backup") == ["ok"]


async def test_the_doctor_names_what_is_wrong_and_what_to_do(desk: Desk) -> None:
    async with desk.db.telemetry() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("UPDATE audit SET actor = 'x' WHERE seq = 1")
        await connection.exec_driver_sql('UPDATE "user" SET disabled = 1')
    findings = examine(settings(desk.folder), now=START + timedelta(days=390))
    bad = {finding.check: finding for finding in findings if finding.level == "bad"}
    assert set(bad) == {"audit", "users"}
    assert "reset-password" in bad["users"].cure.en
    keys = [finding for finding in findings if finding.check == "keys"]
    assert [finding.level for finding in keys] == ["warning", "warning"]
    assert "rotate" in keys[1].cure.en
    assert of(findings, "backup") == ["warning"]


async def test_the_doctor_counts_who_may_warn(desk: Desk) -> None:
    def said(**more: bool) -> tuple[str, str]:
        config = settings(desk.folder).model_copy(update=more)
        (one,) = (one for one in examine(config, now=START) if one.check == "second-factor")
        return one.level, one.said.en

    assert "a password alone" in said(second_factor_required=False)[1]
    assert said() == ("warning", "0 people who may give alerts have a second factor, and an alert takes 2")
    Sealer.ensure(desk.folder / "keys")
    for name, role in (("lan", Role.DUTY_OFFICER), ("hung", Role.ADMIN), ("mai", Role.VIEWER)):
        actor = await desk.user(name, (role, None))
        secret = (await desk.second_factors.begin(actor, None)).secret
        await desk.second_factors.confirm(actor, pyotp.TOTP(secret).at(desk.clock.at))
    assert said() == ("ok", "2 people who may give alerts have one")
    (desk.folder / "keys" / DATABASE_KEY).unlink()
    assert said()[0] == "bad"


async def test_the_doctor_survives_any_damage(desk: Desk) -> None:
    for name in ("loa.db", "keys/online.json", "orders.journal"):
        path = desk.folder / name
        path.write_bytes(b"\xff" * 5000)
    for name in ("loa.db-wal", "loa.db-shm"):
        (desk.folder / name).unlink(missing_ok=True)
    findings = examine(settings(desk.folder), now=START)
    assert {"database", "audit", "keys"} <= {finding.check for finding in findings if finding.level == "bad"}
    assert of(findings, "journal") == ["warning"]
    assert examine(settings(desk.folder / "nowhere"), now=START)[0].level == "bad"


async def test_a_missing_recording_is_bad(desk: Desk) -> None:
    with closing(sqlite3.connect(desk.folder / "loa.db")) as connection, connection:
        connection.execute(
            "INSERT INTO recording (id, area_id, title, original_name, sha256, report, state, created_by, created_at) "
            "SELECT 'rc_1', id, 't', '', ?, '{}', 'ready', 'us_1', '2026-11-20 00:00:00' FROM area",
            ("cd" * 32,),
        )
    findings = examine(settings(desk.folder), now=START)
    assert of(findings, "media") == ["bad"]

"""What is wrong with a controller's data folder, and what to do about it. Works without a server, writes nothing.

Every finding is said in both languages of the desk: the console shows one, a shell the English.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509

from controller.config import Config
from controller.keys import ALARM_DAYS, KeyVault, VaultError
from controller.keys.cap_identity import CAP_CERTIFICATE
from controller.keys.certificates import CertificatePair
from controller.keys.sealing import DATABASE_KEY
from controller.services.alerts.wording import Tongue
from controller.services.audit import verify_file
from controller.services.backup import STAMP
from controller.services.context import PERMISSIONS, SECOND_FACTOR_VERBS
from controller.services.errors import ServiceError
from controller.store.journal import read_journal
from controller.store.migrations import newest

Level = Literal["ok", "warning", "bad"]

#: Below this much free disk new recordings are at risk; below the second everything is.
DISK_LOW, DISK_BAD = 2 << 30, 256 << 20
#: A backup older than this is a warning.
BACKUP_AGE = timedelta(days=7)
#: One composes, another confirms.
PEOPLE_OF_AN_ALERT = 2
_WAKING_ROLES = tuple(role.value for role, verbs in PERMISSIONS.items() if verbs & SECOND_FACTOR_VERBS)
#: No clock of a machine that runs this was ever right before this.
_SOFTWARE_YEAR = 2026


@dataclass(frozen=True, slots=True)
class Said:
    """The same in both languages."""

    vi: str
    en: str

    def of(self, tongue: Tongue) -> str:
        """It in a language."""
        return self.vi if tongue is Tongue.VI else self.en


#: Nothing has to be done.
NOTHING = Said("", "")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    level: Level
    said: Said
    cure: Said = NOTHING


def _command(text: str) -> Said:
    """A remedy that is a command reads alike in any language."""
    return Said(text, text)


def examine(config: Config, *, now: datetime) -> list[Finding]:
    """Look at everything. A check that fails itself is a finding, too."""
    if not config.data.is_dir():
        said = Said(f"không có thư mục {config.data}", f"there is no folder {config.data}")
        return [Finding("data", "bad", said, _command("loa-controller serve --data DIR"))]
    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("data", lambda: _folder(config.data)),
        ("disk", lambda: _disk(config.data)),
        ("clock", lambda: _clock(now)),
        ("database", lambda: _database(config)),
        ("audit", lambda: _audit(config)),
        ("second-factor", lambda: _second_factors(config)),
        ("keys", lambda: _keys(config, now)),
        ("certificates", lambda: _certificates(config, now)),
        ("cap", lambda: _cap_certificates(config, now)),
        ("journal", lambda: _journal(config)),
        ("media", lambda: _media(config)),
        ("backup", lambda: _backup(config.data, now)),
    )
    findings: list[Finding] = []
    for name, check in checks:
        try:
            findings += check()
        except (OSError, ValueError, ServiceError, VaultError, sqlite3.Error) as error:
            cure = Said("đọc lỗi này; có thể phải khôi phục bản sao lưu", "see the message; a restore may be needed")
            findings.append(Finding(name, "bad", Said(str(error), str(error)), cure))
    return findings


def _folder(data: Path) -> Iterator[Finding]:
    open_to = [
        path.name
        for path in (data, data / "keys", data / "loa.db")
        if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    ]
    if open_to:
        names = ", ".join(open_to)
        said = Said(f"người khác trên máy chủ mở được {names}", f"others on this machine can reach {names}")
        yield Finding("data", "warning", said, _command(f"chmod -R go= {data}"))
    else:
        yield Finding("data", "ok", Said(f"{data}: chỉ Loa mở được", f"{data} is private"))


def _disk(data: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(data).free
    size = f"{free / (1 << 30):.1f}"
    said = Said(f"còn trống {size.replace('.', ',')} GiB", f"{size} GiB free")
    if free < DISK_BAD:
        cure = Said("giải phóng chỗ ngay: không lưu được gì mới nữa", "free space now: nothing new can be stored")
        yield Finding("disk", "bad", said, cure)
    elif free < DISK_LOW:
        cure = Said("cất bớt bản thu cũ, hoặc thêm ổ đĩa", "archive old recordings or enlarge the disk")
        yield Finding("disk", "warning", said, cure)
    else:
        yield Finding("disk", "ok", said)


def _clock(now: datetime) -> Iterator[Finding]:
    if now.year < _SOFTWARE_YEAR:
        said = Said(f"máy chủ tưởng hôm nay là {now:%d/%m/%Y}", f"this machine thinks it is {now:%Y-%m-%d}")
        yield Finding("clock", "bad", said, Said("chỉnh giờ, bật NTP", "set the clock, enable NTP"))
        return
    vi, en = f"bây giờ là {now:%H:%M %d/%m/%Y} giờ UTC", f"it is {now:%Y-%m-%d %H:%M} UTC"
    if not Path("/run/systemd/timesync/synchronized").exists():
        said = Said(f"{vi}; không thấy đồng bộ giờ (NTP)", f"{en}; NTP is not seen to be at work")
        yield Finding("clock", "warning", said, _command("timedatectl set-ntp true"))
    else:
        yield Finding("clock", "ok", Said(f"{vi}, có đồng bộ giờ (NTP)", f"{en}, kept by NTP"))


def _database(config: Config) -> Iterator[Finding]:
    if config.database is not None:
        said = Said("ở máy chủ khác: dùng công cụ của nó", "PostgreSQL or another server: use its own tools")
        yield Finding("database", "ok", said)
        return
    if not config.database_file.exists():
        cure = Said(
            "khởi động bộ điều khiển một lần, hoặc khôi phục bản sao lưu",
            "start the controller once, or restore a backup",
        )
        yield Finding("database", "bad", Said("không có cơ sở dữ liệu", "there is no database"), cure)
        return
    with closing(_reading(config.database_file)) as connection:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        admins = connection.execute(
            'SELECT count(*) FROM "user" JOIN "grant" ON "grant".user_id = "user".id '
            """WHERE NOT "user".disabled AND "grant".role = 'admin' AND "grant".area_id IS NULL"""
        ).fetchone()[0]
    if verdict != "ok":
        cure = Said(
            "dừng bộ điều khiển, khôi phục bản sao lưu gần nhất", "stop the controller and restore the last backup"
        )
        yield Finding("database", "bad", Said(f"hỏng: {verdict}", f"damaged: {verdict}"), cure)
    elif revision != newest():
        said = Said(f"cấu trúc {revision}, chưa phải {newest()}", f"has schema {revision}, not {newest()}")
        cure = Said("khởi động bộ điều khiển: nó tự chuyển đổi", "start the controller: it migrates")
        yield Finding("database", "warning", said, cure)
    else:
        yield Finding("database", "ok", Said(f"nguyên vẹn, cấu trúc {revision}", f"whole, schema {revision}"))
    if not admins:
        said = Said("không quản trị viên nào đăng nhập được", "no enabled administrator")
        yield Finding("users", "bad", said, _command("loa-controller user reset-password admin --data DIR"))


def _audit(config: Config) -> Iterator[Finding]:
    if config.database is not None or not config.database_file.exists():
        return
    verdict = verify_file(config.database_file)
    if verdict.ok:
        head = verdict.head_hash[:16]
        said = Said(
            f"{verdict.rows} dòng, nguyên vẹn, mã dòng cuối {head}", f"{verdict.rows} rows, unbroken, head {head}"
        )
        yield Finding("audit", "ok", said)
    for fault in verdict.faults[:10]:
        cure = Said("có người đã sửa nhật ký; so với bản sao lưu", "someone changed the log; compare with a backup")
        yield Finding("audit", "bad", Said(f"dòng {fault.seq} đã bị sửa, xóa hoặc đổi chỗ", fault.message), cure)


def _second_factors(config: Config) -> Iterator[Finding]:
    """Whether alerts ask for one, and whether two people have one: an alert takes two."""
    if not config.second_factor_required:
        yield Finding(
            "second-factor",
            "warning",
            Said(
                "chỉ mật khẩu là mở được cảnh báo và diễn tập: ai nhìn thấy mật khẩu đều đánh thức được cả huyện",
                "a password alone opens alerts and drills: whoever sees one typed can wake the district",
            ),
            Said(
                "bỏ second_factor_required = false khỏi cấu hình",
                "take second_factor_required = false out of the settings",
            ),
        )
        return
    if config.database is not None or not config.database_file.exists():
        return
    with closing(_reading(config.database_file)) as connection:
        ready = connection.execute(
            """SELECT count(DISTINCT "user".id) FROM "user" JOIN "grant" ON "grant".user_id = "user".id
            JOIN secondfactor ON secondfactor.user_id = "user".id AND secondfactor.confirmed_at IS NOT NULL
            WHERE NOT "user".disabled AND "grant".role IN (SELECT value FROM json_each(?))""",
            (json.dumps(_WAKING_ROLES),),
        ).fetchone()[0]
    if ready and not (config.keys_folder / DATABASE_KEY).exists():
        said = Said(
            f"mất khóa của mã xác thực ({DATABASE_KEY}): không ứng dụng nào mở được phiên làm việc",
            f"the key of second factors is gone: {DATABASE_KEY}; nobody's app opens a session",
        )
        command = "loa-controller user reset-second-factor NAME --data DIR"
        cure = Said(f"khôi phục từ bản sao lưu, hoặc: {command}", f"restore it from a backup, or: {command}")
        yield Finding("second-factor", "bad", said, cure)
    elif ready < PEOPLE_OF_AN_ALERT:
        said = Said(
            f"{ready} người được phát cảnh báo có xác thực hai bước; một cảnh báo cần {PEOPLE_OF_AN_ALERT} người",
            f"{ready} people who may give alerts have a second factor, and an alert takes {PEOPLE_OF_AN_ALERT}",
        )
        command = "loa-controller user second-factor"
        yield Finding("second-factor", "warning", said, Said(f"mỗi người: {command}", f"each of them: {command}"))
    else:
        said = Said(
            f"{ready} người được phát cảnh báo có xác thực hai bước", f"{ready} people who may give alerts have one"
        )
        yield Finding("second-factor", "ok", said)


def _keys(config: Config, now: datetime) -> Iterator[Finding]:
    vault = KeyVault.read(config.keys_folder)
    if vault.sealed:
        yield Finding("keys", "ok", Said("khóa gốc đã được niêm phong", "the root key is sealed"))
    else:
        yield Finding(
            "keys",
            "warning",
            Said(
                "khóa gốc còn nằm trên máy này: ai lấy được máy thì điều khiển được mọi loa mãi mãi",
                "the root key lies on this machine: whoever takes the machine can command every loudspeaker for ever",
            ),
            Said(
                "loa-controller keys seal FILE --data DIR, rồi cất FILE ở nơi khác",
                "loa-controller keys seal FILE --data DIR, then take FILE elsewhere",
            ),
        )
    left = (vault.key_set.expires - now).days
    version = vault.key_set.version
    said = Said(
        f"bộ khóa (kỳ {vault.term}, bản {version}) còn hạn {left} ngày",
        f"the key set (term {vault.term}, version {version}) ends in {left} days",
    )
    cure = _command("loa-controller keys rotate --data DIR --root FILE")
    level: Level = "ok" if left > max(ALARM_DAYS) else "bad" if left <= ALARM_DAYS[3] else "warning"
    yield Finding("keys", level, said, NOTHING if level == "ok" else cure)


def _certificates(config: Config, now: datetime) -> Iterator[Finding]:
    own = (
        ("staff", config.staff_tls, config.staff_certificate),
        ("agent", config.agent_tls, config.agent_certificate),
    )
    for name, on, given in own:
        path = given or config.tls_folder / f"{name}.crt"
        if not on or not path.exists():
            continue
        left = (CertificatePair(path, path).expires() - now).days
        level: Level = "ok" if left > 30 else "bad" if left <= 1 else "warning"  # noqa: PLR2004 - days, as for keys
        cure = Said(
            f"thay {path} và khóa của nó; thiết bị tự theo", f"replace {path} and its key; agents follow by themselves"
        )
        whose = "người dùng" if name == "staff" else "thiết bị"
        said = Said(f"chứng thư phía {whose} còn hạn {left} ngày", f"the {name} certificate ends in {left} days")
        yield Finding("certificates", level, said, NOTHING if level == "ok" else cure)


def _cap_certificates(config: Config, now: datetime) -> Iterator[Finding]:
    """What our CAP alerts are signed with, and what the signatures of warning sources must lead to."""
    own = config.keys_folder / CAP_CERTIFICATE
    if own.exists():
        command = "loa-controller keys cap --renew --data DIR"
        cure = Said(
            f"{command}, rồi đưa chứng thư mới cho nơi nhận tin",
            f"{command}, and give the new certificate to whoever reads our alerts",
        )
        ours = Said("chứng thư CAP của ta", "our CAP certificate")
        yield _expiry(ours, CertificatePair(own, own).expires(), now, cure)
    if config.database is not None or not config.database_file.exists():
        return
    with closing(_reading(config.database_file)) as connection:
        rows = connection.execute(
            "SELECT name, certificates, client_certificates FROM warningsource WHERE state = 'active'"
        ).fetchall()
    for name, trusted, clients in rows:
        for what, texts in (("signature", trusted), ("client", clients)):
            ends = [x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc for pem in json.loads(texts)]
            if ends:
                command = "loa-controller warning source set"
                cure = Said(f"xin {name} chứng thư mới: {command}", f"ask {name} for its next certificate: {command}")
                kind = Said(
                    f"chứng thư {'chữ ký' if what == 'signature' else 'kết nối'} cuối cùng của nguồn {name}",
                    f"the last {what} certificate of the warning source {name!r}",
                )
                yield _expiry(kind, max(ends), now, cure)


def _expiry(what: Said, ends: datetime, now: datetime, cure: Said) -> Finding:
    """When something ends, with the alarms of :data:`ALARM_DAYS`."""
    left = (ends - now).days
    level: Level = "ok" if left > max(ALARM_DAYS) else "bad" if left <= min(ALARM_DAYS) else "warning"
    said = Said(f"{what.vi} còn hạn {left} ngày", f"{what.en} ends in {left} days")
    return Finding("cap", level, said, NOTHING if level == "ok" else cure)


def _journal(config: Config) -> Iterator[Finding]:
    entries, fault = read_journal(config.journal_file)
    if fault is not None:
        said = Said(f"dòng {fault} của sổ lệnh bị hỏng", f"line {fault} of the journal of orders is damaged")
        cure = Said("lần khởi động sau sẽ tự sửa", "the next start mends it")
        yield Finding("journal", "warning", said, cure)
    else:
        yield Finding("journal", "ok", Said(f"{len(entries)} lệnh, nguyên vẹn", f"{len(entries)} orders, unbroken"))
    kept = ", ".join(sorted(path.name for path in config.data.glob("orders.damaged-*")))
    if kept:
        said = Said(f"còn giữ sổ lệnh bị hỏng: {kept}", f"damaged journals were kept: {kept}")
        yield Finding("journal", "warning", said, Said("xem qua, rồi xóa đi", "look at them, then remove"))


def _media(config: Config) -> Iterator[Finding]:
    if config.database is not None or not config.database_file.exists():
        return
    with closing(_reading(config.database_file)) as connection:
        wanted = {
            str(row[0])
            for row in connection.execute("SELECT sha256 FROM recording WHERE state = 'ready' AND sha256 IS NOT NULL")
        }
    there = {path.name.split(".")[0] for path in config.media_folder.rglob("*") if path.is_file()}
    missing = sorted(wanted - there)
    if missing:
        said = Said(
            f"{len(missing)} trong {len(wanted)} bản thu không có tệp, ví dụ {missing[0][:16]}",
            f"{len(missing)} of {len(wanted)} recordings have no file, for example {missing[0][:16]}",
        )
        cure = Said("khôi phục thư mục âm thanh từ bản sao lưu", "restore the media folder from a backup")
        yield Finding("media", "bad", said, cure)
    else:
        said = Said(f"{len(wanted)} bản thu, đủ tệp", f"{len(wanted)} recordings, every file there")
        yield Finding("media", "ok", said)


def _backup(data: Path, now: datetime) -> Iterator[Finding]:
    command = "loa-controller backup FILE --data DIR"
    cure = Said(f"{command}, mỗi đêm, ra ổ đĩa khác", f"{command}, every night, to another disk")
    stamp = data / STAMP
    if not stamp.exists():
        yield Finding("backup", "warning", Said("chưa sao lưu lần nào", "there was never a backup"), cure)
        return
    at = datetime.fromisoformat(json.loads(stamp.read_text())["at"])
    level: Level = "warning" if now - at > BACKUP_AGE else "ok"
    said = Said(f"sao lưu lần cuối {at:%H:%M %d/%m/%Y} giờ UTC", f"last backup {at:%Y-%m-%d %H:%M} UTC")
    yield Finding("backup", level, said, cure if level != "ok" else NOTHING)


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)

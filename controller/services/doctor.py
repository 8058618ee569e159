"""What is wrong with a controller's data folder, and what to do about it. Works without a server, writes nothing."""

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
class Finding:
    """One thing that was looked at."""

    check: str
    level: Level
    message: str
    remedy: str = ""


def examine(config: Config, *, now: datetime) -> list[Finding]:
    """Look at everything. A check that fails itself is a finding, too."""
    if not config.data.is_dir():
        remedy = "start it once: loa-controller serve --data DIR"
        return [Finding("data", "bad", f"there is no folder {config.data}", remedy)]
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
            findings.append(Finding(name, "bad", str(error), "see the message; a restore may be needed"))
    return findings


def _folder(data: Path) -> Iterator[Finding]:
    open_to = [
        path.name
        for path in (data, data / "keys", data / "loa.db")
        if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    ]
    if open_to:
        yield Finding(
            "data", "warning", f"others on this machine can reach {', '.join(open_to)}", f"chmod -R go= {data}"
        )
    else:
        yield Finding("data", "ok", f"{data} is private")


def _disk(data: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(data).free
    text = f"{free / (1 << 30):.1f} GiB free"
    if free < DISK_BAD:
        yield Finding("disk", "bad", text, "free space now: nothing new can be stored")
    elif free < DISK_LOW:
        yield Finding("disk", "warning", text, "archive old recordings or enlarge the disk")
    else:
        yield Finding("disk", "ok", text)


def _clock(now: datetime) -> Iterator[Finding]:
    if now.year < _SOFTWARE_YEAR:
        yield Finding("clock", "bad", f"this machine thinks it is {now:%Y-%m-%d}", "set the clock, enable NTP")
    elif not Path("/run/systemd/timesync/synchronized").exists():
        yield Finding(
            "clock",
            "warning",
            f"it is {now:%Y-%m-%d %H:%M} UTC; NTP is not seen to be at work",
            "timedatectl set-ntp true",
        )
    else:
        yield Finding("clock", "ok", f"it is {now:%Y-%m-%d %H:%M} UTC, kept by NTP")


def _database(config: Config) -> Iterator[Finding]:
    if config.database is not None:
        yield Finding("database", "ok", "PostgreSQL or another server: use its own tools")
        return
    if not config.database_file.exists():
        yield Finding("database", "bad", "there is no database", "start the controller once, or restore a backup")
        return
    with closing(_reading(config.database_file)) as connection:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        admins = connection.execute(
            'SELECT count(*) FROM "user" JOIN "grant" ON "grant".user_id = "user".id '
            """WHERE NOT "user".disabled AND "grant".role = 'admin' AND "grant".area_id IS NULL"""
        ).fetchone()[0]
    if verdict != "ok":
        yield Finding("database", "bad", f"damaged: {verdict}", "stop the controller and restore the last backup")
    elif revision != newest():
        yield Finding(
            "database", "warning", f"has schema {revision}, not {newest()}", "start the controller: it migrates"
        )
    else:
        yield Finding("database", "ok", f"whole, schema {revision}")
    if not admins:
        yield Finding("users", "bad", "no enabled administrator", "loa-controller user reset-password admin --data DIR")


def _audit(config: Config) -> Iterator[Finding]:
    if config.database is not None or not config.database_file.exists():
        return
    verdict = verify_file(config.database_file)
    if verdict.ok:
        yield Finding("audit", "ok", f"{verdict.rows} rows, unbroken, head {verdict.head_hash[:16]}")
    for fault in verdict.faults[:10]:
        yield Finding("audit", "bad", fault.message, "someone changed the log; compare with a backup")


def _second_factors(config: Config) -> Iterator[Finding]:
    """Whether alerts ask for one, and whether two people have one: an alert takes two."""
    if not config.second_factor_required:
        yield Finding(
            "second-factor",
            "warning",
            "a password alone opens alerts and drills: whoever sees one typed can wake the district",
            "take second_factor_required = false out of the settings",
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
        text = f"the key of second factors is gone: {DATABASE_KEY}; nobody's app opens a session"
        remedy = "restore it from a backup, or: loa-controller user reset-second-factor NAME --data DIR"
        yield Finding("second-factor", "bad", text, remedy)
    elif ready < PEOPLE_OF_AN_ALERT:
        text = f"{ready} people who may give alerts have a second factor, and an alert takes {PEOPLE_OF_AN_ALERT}"
        yield Finding("second-factor", "warning", text, "each of them: loa-controller user second-factor")
    else:
        yield Finding("second-factor", "ok", f"{ready} people who may give alerts have one")


def _keys(config: Config, now: datetime) -> Iterator[Finding]:
    vault = KeyVault.read(config.keys_folder)
    if vault.sealed:
        yield Finding("keys", "ok", "the root key is sealed")
    else:
        yield Finding(
            "keys",
            "warning",
            "the root key lies on this machine: whoever takes the machine can command every loudspeaker for ever",
            "loa-controller keys seal FILE --data DIR, then take FILE elsewhere",
        )
    left = (vault.key_set.expires - now).days
    text = f"the key set (term {vault.term}, version {vault.key_set.version}) ends in {left} days"
    remedy = "loa-controller keys rotate --data DIR --root FILE"
    level: Level = "ok" if left > max(ALARM_DAYS) else "bad" if left <= ALARM_DAYS[3] else "warning"
    yield Finding("keys", level, text, "" if level == "ok" else remedy)


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
        remedy = "" if level == "ok" else f"replace {path} and its key; agents follow by themselves"
        yield Finding("certificates", level, f"the {name} certificate ends in {left} days", remedy)


def _cap_certificates(config: Config, now: datetime) -> Iterator[Finding]:
    """What our CAP alerts are signed with, and what the signatures of warning sources must lead to."""
    own = config.keys_folder / CAP_CERTIFICATE
    if own.exists():
        remedy = "loa-controller keys cap --renew --data DIR, and give the new certificate to whoever reads our alerts"
        yield _expiry("our CAP certificate", CertificatePair(own, own).expires(), now, remedy)
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
                remedy = f"ask {name} for its next certificate: loa-controller warning source set"
                yield _expiry(f"the last {what} certificate of the warning source {name!r}", max(ends), now, remedy)


def _expiry(what: str, ends: datetime, now: datetime, remedy: str) -> Finding:
    """When something ends, with the alarms of :data:`ALARM_DAYS`."""
    left = (ends - now).days
    level: Level = "ok" if left > max(ALARM_DAYS) else "bad" if left <= min(ALARM_DAYS) else "warning"
    return Finding("cap", level, f"{what} ends in {left} days", "" if level == "ok" else remedy)


def _journal(config: Config) -> Iterator[Finding]:
    entries, fault = read_journal(config.journal_file)
    if fault is not None:
        yield Finding(
            "journal", "warning", f"line {fault} of the journal of orders is damaged", "the next start mends it"
        )
    else:
        yield Finding("journal", "ok", f"{len(entries)} orders, unbroken")
    kept = sorted(path.name for path in config.data.glob("orders.damaged-*"))
    if kept:
        yield Finding(
            "journal", "warning", f"damaged journals were kept: {', '.join(kept)}", "look at them, then remove"
        )


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
        text = f"{len(missing)} of {len(wanted)} recordings have no file, for example {missing[0][:16]}"
        yield Finding("media", "bad", text, "restore the media folder from a backup")
    else:
        yield Finding("media", "ok", f"{len(wanted)} recordings, every file there")


def _backup(data: Path, now: datetime) -> Iterator[Finding]:
    remedy = "loa-controller backup FILE --data DIR, every night, to another disk"
    stamp = data / STAMP
    if not stamp.exists():
        yield Finding("backup", "warning", "there was never a backup", remedy)
        return
    at = datetime.fromisoformat(json.loads(stamp.read_text())["at"])
    level: Level = "warning" if now - at > BACKUP_AGE else "ok"
    yield Finding("backup", level, f"last backup {at:%Y-%m-%d %H:%M} UTC", remedy if level != "ok" else "")


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)

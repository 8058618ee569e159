from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from controller.keys import KEY_SET_LIFE, ROLES, KeyVault, RootSource, SealedError, VaultError, WrongPassphraseError
from controller.keys.certificates import ensure_certificate
from controller.keys.vault import OVERLAP
from protocol.keys import Role
from protocol.trust import TrustedState
from tests.unit.controller.desk import START

PHRASE = "correct horse battery"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def agent_of(vault: KeyVault) -> TrustedState:
    return TrustedState("0" * 32, vault.root_public)


def test_the_first_start_makes_keys_that_an_agent_believes(folder: Path) -> None:
    vault = KeyVault.open(folder, now=START)
    verified = agent_of(vault).verify_keyset(vault.key_set_envelope, now=START)
    assert verified.document == vault.key_set
    assert {role for key in vault.key_set.keys for role in key.roles} == set(ROLES)
    assert vault.key_set.expires == START + KEY_SET_LIFE
    assert [oct(stat.S_IMODE(path.stat().st_mode)) for path in (folder, *sorted(folder.iterdir()))] == [
        "0o700",
        *["0o600"] * 3,
    ]


def test_the_next_start_reads_the_same_keys(folder: Path) -> None:
    first, second = KeyVault.open(folder, now=START), KeyVault.open(folder, now=START + timedelta(days=9))
    assert first.key_set_envelope == second.key_set_envelope
    assert all(first.key(role).public == second.key(role).public for role in ROLES)


@pytest.mark.parametrize("lost", ["root.pub", "online.json"])
def test_a_vault_with_a_hole_is_refused_never_made_anew(folder: Path, lost: str) -> None:
    KeyVault.open(folder, now=START)
    (folder / lost).unlink()
    with pytest.raises(VaultError, match="restore"):
        KeyVault.open(folder, now=START)


def test_a_key_set_of_another_root_is_refused(folder: Path, tmp_path: Path) -> None:
    KeyVault.open(folder, now=START)
    KeyVault.open(tmp_path / "other", now=START)
    (folder / "online.json").write_bytes((tmp_path / "other" / "online.json").read_bytes())
    with pytest.raises(VaultError, match="damaged"):
        KeyVault.open(folder, now=START)


def test_sealing_takes_the_root_away_and_its_file_brings_it_back(folder: Path, tmp_path: Path) -> None:
    vault, sealed = KeyVault.open(folder, now=START), tmp_path / "root.sealed"
    vault.seal_root(sealed, PHRASE)
    assert vault.sealed
    assert b"ENCRYPTED" in sealed.read_bytes()
    with pytest.raises(SealedError):
        vault.rotate(now=START)
    with pytest.raises(SealedError):
        vault.seal_root(tmp_path / "again", PHRASE)
    with pytest.raises(WrongPassphraseError):
        vault.rotate(now=START, root=RootSource(sealed, "wrong horse battery"))
    assert vault.rotate(now=START, root=RootSource(sealed, PHRASE)).version == 2


def test_sealing_refuses_a_weak_passphrase_and_an_existing_file(folder: Path, tmp_path: Path) -> None:
    vault = KeyVault.open(folder, now=START)
    with pytest.raises(VaultError, match="12 characters"):
        vault.seal_root(tmp_path / "root.sealed", "short")
    (tmp_path / "there").write_text("")
    with pytest.raises(VaultError, match="exists"):
        vault.seal_root(tmp_path / "there", PHRASE)
    with pytest.raises(VaultError, match="cannot be written"):
        vault.seal_root(tmp_path / "no" / "folder", PHRASE)
    assert not vault.sealed


def test_another_installations_root_is_refused(folder: Path, tmp_path: Path) -> None:
    other = KeyVault.open(tmp_path / "other", now=START)
    other.seal_root(tmp_path / "other.sealed", PHRASE)
    with pytest.raises(VaultError, match="another installation"):
        KeyVault.open(folder, now=START).rotate(now=START, root=RootSource(tmp_path / "other.sealed", PHRASE))


def test_rotation_keeps_old_keys_for_what_they_signed(folder: Path) -> None:
    vault = KeyVault.open(folder, now=START)
    agent, old = agent_of(vault), vault.key(Role.PLAN)
    agent.commit(agent.verify_keyset(vault.key_set_envelope, now=START))
    later = START + timedelta(days=100)
    key_set = vault.rotate(now=later)
    assert agent.verify_keyset(vault.key_set_envelope, now=later).document == key_set
    kept = key_set.by_fingerprint(old.fingerprint)
    assert kept is not None
    assert kept.not_after == later + OVERLAP
    assert vault.key(Role.PLAN).public != old.public
    assert KeyVault.open(folder, now=later).key(Role.PLAN).public == vault.key(Role.PLAN).public


def test_revoking_drops_old_keys_at_once(folder: Path) -> None:
    vault = KeyVault.open(folder, now=START)
    old = vault.key(Role.EMERGENCY)
    assert vault.rotate(now=START, revoke=True).by_fingerprint(old.fingerprint) is None


def test_a_raised_term_keeps_the_keys_and_their_first_day(folder: Path) -> None:
    vault = KeyVault.open(folder, now=START)
    before, later = vault.key_set, START + timedelta(days=30)
    after = vault.raise_term(now=later, at_least=7)
    assert (after.term, after.version, vault.raise_term(now=later).term) == (7, 2, 8)
    assert {key.public for key in after.keys} == {key.public for key in before.keys}
    assert {key.not_before for key in after.keys} == {key.not_before for key in before.keys}


def test_many_rotations_stay_within_what_agents_take(folder: Path) -> None:
    vault = KeyVault.open(folder, now=START)
    for day in range(12):
        vault.rotate(now=START + timedelta(days=day))
    assert agent_of(vault).verify_keyset(vault.key_set_envelope, now=START + timedelta(days=12)).document


def test_a_certificate_is_made_once_and_served(tmp_path: Path) -> None:
    pair = ensure_certificate(tmp_path / "tls", "staff", ["192.0.2.7", "loa.example"], now=START)
    again = ensure_certificate(tmp_path / "tls", "staff", [], now=START + timedelta(days=1))
    assert pair.fingerprint() == again.fingerprint()
    assert pair.server_context().cert_store_stats()["x509"] == 0
    assert stat.S_IMODE(pair.key.stat().st_mode) == 0o600
    pair.key.write_text("nonsense")
    with pytest.raises(VaultError, match="cannot be used"):
        pair.server_context()

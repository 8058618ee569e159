"""The folder a controller stands on: what is gone from it is missed, and never silently begun anew."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from controller.config import Config, load_config
from controller.foundation import FoundationError, LostError, open_foundation
from controller.services.context import SYSTEM
from controller.services.passwords import Passwords
from tests.unit.controller.desk import CHEAP, START, StillClock, fresh_database


async def used(folder: Path, *, orders: bool = True) -> Config:
    """A folder in which something was done, closed again."""
    await fresh_database(folder)
    config = load_config(folder, None, {}, {})
    async with open_foundation(config, StillClock(), Passwords(CHEAP)) as base:
        async with base.db.transaction(SYSTEM) as tx:
            tx.audit("area.create", "ar_A")
        if orders:
            await base.journal.append(actor="us_1", kind="stop", body={}, at=START)
    return config


async def root_of(config: Config) -> str:
    async with open_foundation(config, StillClock(), Passwords(CHEAP)) as base:
        return base.vault.root_fingerprint


@pytest.mark.parametrize("orders", [True, False])
async def test_lost_keys_are_missed(tmp_path: Path, *, orders: bool) -> None:
    config = await used(tmp_path / "data", orders=orders)
    before = await root_of(config)
    aside = config.keys_folder.rename(tmp_path / "aside")
    for _ in range(2):  # it leaves no new keys behind either
        with pytest.raises(LostError, match="put them back") as refused:
            await root_of(config)
        assert refused.value.code == "data_lost"
    shutil.copytree(aside, config.keys_folder)
    assert await root_of(config) == before


@pytest.mark.parametrize("left", [None, b""])
async def test_a_lost_database_is_missed(tmp_path: Path, left: bytes | None) -> None:
    config = await used(tmp_path / "data")
    for path in config.data.glob("loa.db*"):
        path.unlink()
    if left is not None:
        config.database_file.write_bytes(left)
    with pytest.raises(LostError, match="database"):
        await root_of(config)
    assert not config.database_file.exists() or config.database_file.stat().st_size == 0


async def test_a_first_start_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    config = load_config(tmp_path / "data", None, {}, {})
    async with open_foundation(config, StillClock(), Passwords(CHEAP)) as base:
        root = base.vault.root_fingerprint
    for path in config.data.glob("loa.db*"):  # killed after the keys, before the database
        path.unlink()
    assert await root_of(config) == root


async def test_one_controller_to_a_folder(tmp_path: Path) -> None:
    config = await used(tmp_path / "data")
    async with open_foundation(config, StillClock(), Passwords(CHEAP)):
        with pytest.raises(FoundationError, match="another controller"):
            await root_of(config)

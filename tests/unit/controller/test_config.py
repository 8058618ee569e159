from __future__ import annotations

from pathlib import Path

import pytest

from controller.config import ConfigError, is_loopback, load_config, split_address

DATA = Path("/var/lib/loa")


def test_a_data_folder_is_enough() -> None:
    config = load_config(DATA, None, {}, {})
    assert (config.staff_address, config.agent_tls, config.horizon_days) == (("127.0.0.1", 8470), True, 7)
    assert config.database_file == DATA / "loa.db"


def test_flags_beat_environment_beat_file(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('data = "/x"\nhorizon_days = 8\nlog_level = "error"\nstaff_listen = "127.0.0.1:1"\n')
    environment = {
        "LOA_HORIZON_DAYS": "9",
        "LOA_LOG_LEVEL": "debug",
        "LOA_URL": "http://x",
        "LOA_ANNOUNCE_INTERFACES": "a,b",
    }
    config = load_config(None, file, {"log_level": "warning", "agent_listen": None}, environment)
    assert (config.data, config.horizon_days, config.log_level) == (Path("/x"), 9, "warning")
    assert (config.staff_listen, config.announce_interfaces) == ("127.0.0.1:1", ("a", "b"))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"staff_listen": "0.0.0.0:8470"}, "staff_tls = true"),
        ({"agent_tls": False}, "agent_tls = true"),
        ({"staff_listen": "192.168.1.1:80"}, "without TLS"),
        ({"staff_listen": "nonsense"}, "HOST:PORT"),
        ({"staff_listen": "127.0.0.1:70000"}, "HOST:PORT"),
        ({"staff_certificate": Path("a.crt")}, "belong together"),
        ({"horizon_days": 99}, "horizon_days"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(flags: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(DATA, None, flags, {})


def test_a_misspelt_setting_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('data = "/x"\nstaf_tls = true\n')
    with pytest.raises(ConfigError, match="staf_tls"):
        load_config(None, file, {}, {})
    file.write_text("data = ")
    with pytest.raises(ConfigError, match="not TOML"):
        load_config(None, file, {}, {})
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(None, tmp_path / "missing", {}, {})
    with pytest.raises(ConfigError, match="--data DIR"):
        load_config(None, None, {}, {})


def test_addresses() -> None:
    assert split_address("[::1]:80") == ("::1", 80)
    assert all(is_loopback(host) for host in ("::1", "127.9.9.9", "localhost"))
    assert not any(is_loopback(host) for host in ("192.0.2.1", "::", "loa.example"))

"""A warning's whole way with a real controller: pushed by its source, proposed, accepted, confirmed by a second person,
published as CAP, taken back by its source.
"""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from controller.cap import Reading, Verdict, read_alerts
from controller.cli.client import ApiClient, Login
from tests.system.desk import Desk
from tests.system.processes import BIN, ROOT, run, wait_until
from tests.system.siren_desk import officer

pytestmark = pytest.mark.system
CORPUS = ROOT / "../shared/corpus/cap/sahana_Myanmar-Flood-MultiLanguage.xml"
MAGWAY = {"latitude": 20.150, "longitude": 94.925}


def corpus_flood(identifier: str, **elements: str) -> bytes:
    """The multi-language flood alert of the corpus, as if it had been sent just now; further elements replaced."""
    now = datetime.now(UTC).replace(microsecond=0)
    text = CORPUS.read_text(encoding="utf-8-sig")
    said = {
        "identifier": identifier,
        "sent": now.isoformat(),
        "status": "Actual",
        "scope": "Public",
        "effective": (now - timedelta(hours=1)).isoformat(),
        "expires": (now + timedelta(hours=3)).isoformat(),
        **elements,
    }
    for name, value in said.items():
        text, count = re.subn(rf"(<cap:{name}>)[^<]*(</cap:{name}>)", rf"\g<1>{value}\g<2>", text)
        assert count, name
    return text.encode()


class Officer:
    """A person with the rights of the duty officer."""

    def __init__(self, desk: Desk, name: str) -> None:
        self.login = Login(desk.url, officer(desk, name))

    def post(self, path: str, body: object) -> Any:
        with ApiClient(self.login) as api:
            return api.post(path, body)

    def get(self, path: str) -> Any:
        with ApiClient(self.login) as api:
            return api.get(path)


def loa(desk: Desk, *words: str, **env: str) -> Any:
    """A command of ``loa-controller warning``; its JSON lines."""
    done = run([BIN / "loa-controller", "warning", *words, "--json"], env={**desk.cli_env, **env})
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def push(desk: Desk, folder: Path, token: str, document: bytes) -> dict[str, Any]:
    file = folder / f"{time.monotonic_ns()}.xml"
    file.write_bytes(document)
    [result] = loa(desk, "push", str(file), LOA_CAP_TOKEN=token)
    return dict(result)


@pytest.mark.skipif(not CORPUS.is_file(), reason="the corpus is not beside the repository")
def test_a_pushed_flood_warning_goes_its_whole_way(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        area = desk.area("Magway")
        cluster = desk.cluster(area, "Cụm bờ sông", languages=["en"], **MAGWAY)
        [source] = loa(desk, "source", "add", "DMH", "--area", "Magway", "--mode", "propose")
        [made] = loa(desk, "source", "token", "DMH")
        first, second = Officer(desk, "lan"), Officer(desk, "minh")

        flood = corpus_flood("MM-1")
        received = push(desk, tmp_path, made["token"], flood)
        assert received["code"] == "received"
        path = f"/api/v1/warnings/{received['id']}"
        wait_until(lambda: first.get(path)["state"] == "proposed", 10, "the warning is judged")
        warning = first.get(path)
        assert (warning["source_id"], warning["clusters"]) == (source["id"], [cluster])
        assert warning["proposal"]["title"] == "Flood Warning in Effect for Magway City"
        assert warning["proposal"]["category"] == "flood"
        assert warning["proposal"]["spoken"] == ["en-US", "my"]
        assert push(desk, tmp_path, made["token"], flood)["code"] == "duplicate"

        test = push(desk, tmp_path, made["token"], corpus_flood("MM-T", status="Test"))
        wait_until(lambda: first.get(f"/api/v1/warnings/{test['id']}")["state"] == "shown", 10, "the test is shown")

        accepted = first.post(f"{path}/accept", {})
        alert = f"/api/v1/alerts/{accepted['alert_id']}"
        wait_until(lambda: first.get(alert)["state"] != "composed", 60, "its words are spoken")
        shown = first.get(alert)
        assert shown["state"] == "armed", shown
        assert (shown["origin"], shown["origin_reference"]) == ("cap", warning["id"])
        assert (shown["title"], shown["languages"], shown["clusters"]) == (warning["proposal"]["title"], ["en"], 1)
        second.post(f"{alert}/confirm", {"code": accepted["code"]})
        wait_until(lambda: first.get(path)["state"] == "issued", 10, "the warning knows that it sounded")

        published = wait_for_message(desk, accepted["alert_id"], 1)
        assert published.alert is not None
        assert (published.alert.msg_type, published.alert.infos[0].language) == ("Alert", "en")

        cancel = corpus_flood("MM-2", msgType="Cancel")
        sent = first.get(path)["sent_at"].replace("Z", "+00:00")
        reference = f"<cap:references>dmh.gov.mm,MM-1,{sent}</cap:references><cap:incidents>"
        taken_back = push(desk, tmp_path, made["token"], cancel.replace(b"<cap:incidents>", reference.encode()))
        other = f"/api/v1/warnings/{taken_back['id']}"
        wait_until(lambda: first.get(other)["state"] == "proposed", 10, "the cancel is proposed")
        assert first.get(other)["proposal"]["replaces"] == [accepted["alert_id"]]
        assert second.post(f"{other}/accept", {})["code"] is None
        assert first.get(alert)["state"] == "cancelled"
        ended = wait_for_message(desk, accepted["alert_id"], 2)
        assert ended.alert is not None
        assert ended.alert.msg_type == "Cancel"
        assert [key.identifier for key in ended.alert.references] == [f"{accepted['alert_id']}.1"]


def wait_for_message(desk: Desk, alert_id: str, number: int) -> Reading:
    """One of our own CAP messages, read with our certificate and without any token."""
    with ApiClient(Login(desk.url)) as api:
        path = f"/api/v1/cap/alerts/{alert_id}.{number}.xml"
        wait_until(lambda: path in api.download("/api/v1/cap/alerts").decode(), 15, f"message {number} is published")
        certificate = x509.load_pem_x509_certificate(api.download("/api/v1/cap/certificate.pem"))
        [reading] = read_alerts(api.download(path), now=datetime.now(UTC), trust=[certificate])
    assert reading.signature is Verdict.VALID
    return reading

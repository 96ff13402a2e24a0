"""The operator verifies the audit of a world that ran, against a checkpoint kept elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.support.vendor import Vendor
from tools.world import BIN, running_world

pytestmark = pytest.mark.takes(40)


class Said(NamedTuple):
    """How a command ended, as a program reads it."""

    status: int
    result: Any
    code: str | None
    title: str


class House:
    """A service's data folder and the checkpoint that was exported of it."""

    def __init__(self, data: Path, checkpoint: Path) -> None:
        self.data = data
        self.checkpoint = checkpoint

    def keyturn_audit(self, *words: str) -> Said:
        """Run a verb of `keyturn audit` as its operator does."""
        kept = {name: value for name, value in os.environ.items() if "KEYTURN_" not in name}
        ended = subprocess.run(
            [BIN / "keyturn", "audit", *words, "--json"],
            env={
                **kept,
                "KEYTURN_PUBLIC_URLS": "https://connect.acme.example",
                "KEYTURN_DATA_DIR": str(self.data),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        said = json.loads(ended.stdout)
        problem = said["problem"] or {"code": None, "title": ""}
        assert ended.returncode == said["status"]
        return Said(said["status"], said["result"], problem["code"], problem["title"])

    def verify(self) -> Said:
        """Verify against the exported checkpoint."""
        return self.keyturn_audit("verify", "--checkpoint", str(self.checkpoint))

    def execute(self, statement: str) -> None:
        """Change the database behind the service's back."""
        with closing(sqlite3.connect(self.data / "keyturn.sqlite")) as connection:
            connection.execute(statement)
            connection.commit()

    def writer(self) -> str:
        """Return the writer that recorded the most before the checkpoint."""
        chains = json.loads(self.checkpoint.read_text())["chains"]
        return str(max(chains, key=lambda chain: chain["length"])["writer"])

    def length(self) -> int:
        """Return how many records of that writer the checkpoint knows."""
        chains = json.loads(self.checkpoint.read_text())["chains"]
        return max(int(chain["length"]) for chain in chains)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A world that ran, exported a checkpoint, served on, and ended."""
    folder = tmp_path_factory.mktemp("audit")
    house = House(folder / "world" / "service", folder / "audit-1.json")
    with running_world("--data", str(folder / "world"), log=folder / "dev.log") as world:
        vendor = Vendor(world)
        connection = world.line["connections"][0]["id"]
        assert vendor.token(connection).status_code == 200
        exported = house.keyturn_audit("checkpoint", "--out", str(house.checkpoint))
        assert exported.status == 0, exported
        assert vendor.token(connection).status_code == 200
        running = house.verify()
        assert running.result["whole"], running
        assert running.result["unclosed"] == 1
        vendor.close()
    return house


@pytest.fixture
def house(ran: House, tmp_path: Path) -> House:
    """A copy of it, to be harmed."""
    shutil.copytree(ran.data, tmp_path / "service")
    return House(tmp_path / "service", Path(shutil.copy(ran.checkpoint, tmp_path)))


def test_the_audit_of_a_world_that_ended_is_whole(house: House) -> None:
    """More was recorded since the checkpoint, and every run closed its chain."""
    said = house.verify()

    exported = json.loads(house.checkpoint.read_text())
    signed = sum(chain["length"] for chain in exported["chains"])
    assert (said.status, said.code) == (0, None)
    assert said.result["records"] > signed > 10
    assert said.result["unclosed"] == 0
    assert said.result["checkpoint"] == exported["made_at"]


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ("UPDATE audit_events SET actor = 'user' WHERE writer = '{}' AND sequence = 2", "edited"),
        ("DELETE FROM audit_events WHERE writer = '{}' AND sequence = 2", "deleted"),
        ("DELETE FROM audit_events WHERE writer = '{}' AND sequence >= 2", "cut_off"),
        (
            "UPDATE audit_events SET sequence = 999999 WHERE writer = '{}' AND sequence = 2",
            "reordered",
        ),
    ],
)
def test_the_first_bad_record_is_named(house: House, statement: str, wrong: str) -> None:
    """By writer and sequence, with exit status 1."""
    house.execute(statement.format(house.writer()))

    said = house.verify()

    assert (said.status, said.code) == (1, "audit_broken")
    bad = said.result["first_bad"]
    assert (bad["writer"], bad["sequence"], bad["wrong"]) == (house.writer(), 2, wrong)
    assert f"record 2 of chain {house.writer()}" in said.title


def test_a_chain_left_out_whole_is_named(house: House) -> None:
    """By the checkpoint alone: without one, nothing is missing."""
    house.execute(f"DELETE FROM audit_events WHERE writer = '{house.writer()}'")  # noqa: S608 - ours

    assert house.verify().result["first_bad"]["wrong"] == "left_out"
    assert house.keyturn_audit("verify").status == 0


def test_nobody_makes_a_checkpoint_without_the_key_file(house: House) -> None:
    """Who has the database alone gets none, and an own one is refused."""
    house.execute(f"DELETE FROM audit_events WHERE writer = '{house.writer()}'")  # noqa: S608 - ours
    said = json.loads(house.checkpoint.read_text())
    said["chains"] = [chain for chain in said["chains"] if chain["writer"] != house.writer()]
    house.checkpoint.write_text(json.dumps(said))

    forged = house.verify()

    assert (forged.status, forged.code) == (1, "checkpoint_not_ours")
    (house.data / "keyturn.key").unlink()
    assert house.keyturn_audit("checkpoint").code == "cannot_start"


def test_an_auditor_verifies_by_the_public_key_alone(house: House) -> None:
    """Without the key file, which opens tokens."""
    public_key = json.loads(house.checkpoint.read_text())["public_key"]
    (house.data / "keyturn.key").unlink()
    against = ("verify", "--checkpoint", str(house.checkpoint), "--public-key")

    assert house.keyturn_audit(*against, public_key).result["whole"]
    assert house.keyturn_audit(*against, "00" * 32).code == "checkpoint_not_ours"


def test_a_checkpoint_is_never_written_over(house: House) -> None:
    """Old ones are what the audit is verified against."""
    before = house.checkpoint.read_text()

    said = house.keyturn_audit("checkpoint", "--out", str(house.checkpoint))

    assert (said.status, said.code) == (2, "usage")
    assert "another file" in said.title
    assert house.checkpoint.read_text() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("verify", "--checkpoint", "nowhere.json"), "nowhere.json"),
        (("verify", "--checkpoint", __file__), "keyturn audit checkpoint"),
        (("verify", "--public-key", "x"), "--public-key"),
        (("verify", "--public-key", "00" * 32), "--checkpoint"),
    ],
)
def test_wrong_usage_says_what_is_wrong(house: House, words: tuple[str, ...], said: str) -> None:
    """With exit status 2, which a bad record never has."""
    ended = house.keyturn_audit(*words)

    assert (ended.status, ended.code) == (2, "usage")
    assert said in ended.title


def test_where_no_database_is_none_is_made(tmp_path: Path) -> None:
    """The setting that names it is said."""
    said = House(tmp_path / "nowhere", tmp_path / "none").keyturn_audit("verify")

    assert (said.status, said.code) == (1, "cannot_start")
    assert "KEYTURN_DATA_DIR" in said.title
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_goes_to_standard_output_too(house: House) -> None:
    """As one JSON object, the same chains as in a file."""
    said = house.keyturn_audit("checkpoint")

    written = json.loads(house.checkpoint.read_text())
    assert said.result["public_key"] == written["public_key"]
    assert len(said.result["chains"]) >= len(written["chains"])
    assert house.length() > 3

"""The frame of the command: groups, exit statuses, and one JSON object."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint, version

import click
import pytest

from keyturn.cli.frame import GROUP, installed, run
from keyturn.cli.outcome import Outcome, json_option
from keyturn.errors import Problem, error_of


@click.group()
def shop():
    """Sell things."""


@shop.command()
@json_option
@click.option("--ending", default="done")
def sell(ending):
    """Sell one thing."""
    match ending:
        case "refused":
            raise error_of(Problem(code="sealed", title="Sealed", who="operator", status=503))
        case "admin":
            raise error_of(
                Problem(code="app_blocked", title="Blocked", who="admin", where="Setup, Apps")
            )
        case "click":
            raise click.ClickException("no paper")
        case "abort":
            raise click.Abort
        case "number":
            return 1
        case "nothing":
            return None
        case _:
            return Outcome(result={"sold": 1}, text="sold one", warnings=("last one",))


THERE = {
    "shop": EntryPoint("shop", "test_frame:shop", GROUP),
    "broken": EntryPoint("broken", "keyturn.not_there:group", GROUP),
}


class Loaded(EntryPoint):
    """An entry point that loads the group above."""

    def load(self):
        """Return the group."""
        return shop if self.name == "shop" else super().load()


def find():
    """Return the groups of the test."""
    return {name: Loaded(name, there.value, GROUP) for name, there in THERE.items()}


def test_a_verb_that_is_done_says_so(capsys):
    """Its text on stdout, warnings beside it."""
    status = run(["shop", "sell"], find)

    said = capsys.readouterr()
    assert (status, said.out, said.err) == (0, "sold one\n", "warning: last one\n")


def test_a_program_reads_one_object(capsys):
    """Whatever the verb, with the same members."""
    status = run(["shop", "sell", "--json"], find)

    assert status == 0
    assert json.loads(capsys.readouterr().out) == {
        "status": 0,
        "result": {"sold": 1},
        "warnings": ["last one"],
        "problem": None,
    }


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["shop", "sell", "--ending", "refused"], 1, "sealed"),
        (["shop", "sell", "--ending", "admin"], 3, "app_blocked"),
        (["shop", "sell", "--ending", "click"], 1, "failed"),
        (["shop", "sell", "--ending", "abort"], 1, "interrupted"),
        (["shop", "sell", "--no-such-option"], 2, "usage"),
        (["shop", "no-such-verb"], 2, "usage"),
        (["no-such-group"], 2, "usage"),
    ],
)
def test_an_exit_status_says_how_it_ended(capsys, arguments, status, code):
    """The same to people and to programs."""
    for_people = run(arguments, find)
    people = capsys.readouterr()
    for_programs = run([*arguments, "--json"], find)
    programs = json.loads(capsys.readouterr().out)

    assert (for_people, for_programs, programs["status"]) == (status, status, status)
    assert programs["problem"]["code"] == code
    assert programs["result"] is None
    assert (people.out, people.err != "") == ("", True)


def test_where_somebody_else_must_act_the_output_says_so(capsys):
    """Who, and where."""
    run(["shop", "sell", "--ending", "admin"], find)

    said = capsys.readouterr().err
    assert "by: admin" in said
    assert "Where: Setup, Apps" in said


@pytest.mark.parametrize(("ending", "status"), [("number", 1), ("nothing", 0)])
def test_a_command_may_print_for_itself(ending, status):
    """Those of long life do; a number is their exit status."""
    assert run(["shop", "sell", "--ending", ending], find) == status


def test_the_help_has_examples_and_all_groups(capsys):
    """One that cannot be loaded is listed, and does not hide the others."""
    assert run(["--help"], find) == 0

    said = capsys.readouterr().out
    assert "Examples:\n    keyturn dev " in said
    assert "shop    Sell things." in said
    assert "broken  (cannot be loaded)" in said


@pytest.mark.parametrize("words", [[], ["shop"], ["shop", "sell"], ["broken"]])
def test_help_has_a_short_name_everywhere(capsys, words):
    """As people try it first."""
    assert run([*words, "--help"], find) == 0
    long = capsys.readouterr().out

    assert run([*words, "-h"], find) == 0

    assert capsys.readouterr().out == long
    assert "-h, --help" in long


def test_the_version_is_said_to_people_and_programs(capsys):
    """As the distribution is installed; to programs in the envelope of every verb."""
    assert run(["--version"], find) == 0
    people = capsys.readouterr().out
    assert run(["--version", "--json"], find) == 0
    one = json.loads(capsys.readouterr().out)
    assert run(["--json", "--version"], find) == 0

    assert people == f"keyturn {version('keyturn')}\n"
    assert one["result"] == {"version": version("keyturn")}
    assert (one["status"], one["warnings"], one["problem"]) == (0, [], None)
    assert json.loads(capsys.readouterr().out) == one


def test_before_a_group_json_is_wrong_usage(capsys):
    """It belongs to the verb, and the refusal says so in one object."""
    assert run(["--json", "shop", "sell"], find) == 2
    assert "behind the verb" in json.loads(capsys.readouterr().out)["problem"]["title"]


def test_a_group_that_cannot_be_loaded_says_why(capsys):
    """Its arguments are not looked at."""
    assert run(["broken", "anything", "--at-all"], find) == 1

    assert "installed in part only" in capsys.readouterr().err


def test_no_arguments_are_wrong_usage(capsys):
    """The help is shown all the same."""
    assert run([], find) == 2

    assert "Usage: keyturn" in "".join(capsys.readouterr())


def test_the_sdks_own_groups_are_found_by_their_entry_points():
    """As those of the other parts are."""
    assert installed()["connection"].value == "keyturn.cli.connection:connection"
    assert installed()["signing-key"].value == "keyturn.cli.signing_key:signing_key"


def test_the_command_without_click_says_what_is_missing():
    """It comes with an extra; the library works without."""
    blocked = "import sys\nsys.modules['click'] = None\nfrom keyturn.cli import main\nmain()\n"

    ended = subprocess.run(
        [sys.executable, "-c", blocked], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    assert "pip install 'keyturn[cli]'" in ended.stderr
    assert "Traceback" not in ended.stderr

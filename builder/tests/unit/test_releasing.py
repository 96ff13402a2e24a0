"""Releasing: the same end however often a run was interrupted, and nothing built twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from keyturn_builder.app_config import AppConfig
from keyturn_builder.bond import Bond
from keyturn_builder.errors import BuilderError
from keyturn_builder.record import FILE_NAME, read_record
from keyturn_builder.releasing import Released, release_package

FIXTURE = Path(__file__).parents[1] / "fixtures/northstar"
BOND = Bond(
    org_scoped_external_app="00D5g00000AcmeX:Acme_Connect",
    oauth_link="00D5g00000AcmeX:8885g00000AcmeY",
)


@pytest.fixture
def release(open_hub, config: AppConfig, tmp_path: Path):
    """Carry out one run, as the command does."""
    waited: list[float] = []

    def run(changed: AppConfig = config, *, beta: bool = False) -> Released:
        with open_hub() as hub:
            return release_package(hub, changed, tmp_path, BOND, beta=beta, wait=waited.append)

    return run


def with_version(config: AppConfig, version: str) -> AppConfig:
    """Return the config for another version."""
    package = config.package.model_copy(update={"version": version})
    return config.model_copy(update={"package": package})


def test_an_empty_folder_ends_with_a_released_version(release, sf, told, tmp_path: Path) -> None:
    """Package made, version built by its content, promoted and recorded, in named steps."""
    done = release()

    assert (done.package_created, done.built, done.version.released) == (True, True, True)
    assert read_record(tmp_path) == [done.version]
    assert done.version.scopes == ("api", "refresh_token")
    (build,) = sf.named("package", "version", "create", "--package")
    assert f"keyturn-sha256-{done.version.content_hash}" in build
    assert "https://connect.acme.example/installed" in build
    assert "--code-coverage" in build
    assert "promote 1.0.0" in told
    assert "  08c5g0000000000AAA: InProgress" in told


def test_a_second_run_builds_nothing(release, sf, tmp_path: Path) -> None:
    """And changes nothing: not the record either."""
    first = release()
    record = (tmp_path / FILE_NAME).read_bytes()

    second = release()

    assert (second.built, second.package_created, second.version) == (False, False, first.version)
    assert len(sf.requests) == len(sf.versions) == 1
    assert (tmp_path / FILE_NAME).read_bytes() == record


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(11))
def test_killed_at_any_call_and_run_again_it_ends_the_same(
    release, sf, tmp_path: Path, *, call: int, after: bool
) -> None:
    """Before the call had an effect, and after it had."""
    sf.kill_at, sf.kill_after, sf.build_looks = call, after, 2
    with pytest.raises(sf.killed):
        release()

    sf.kill_at = None
    done = release()

    assert len(sf.packages) == len(sf.requests) == len(sf.versions) == 1
    assert sf.versions[0]["IsReleased"]
    assert read_record(tmp_path) == [done.version]
    assert not any(home.exists() for home in sf.homes)


def test_every_call_of_a_release_is_one_of_those_above(release, sf) -> None:
    """So that no call is left out of the crashes."""
    sf.build_looks = 2
    release()
    assert len(sf.calls) == 11


def test_other_content_is_another_version(release, sf, config: AppConfig, tmp_path: Path) -> None:
    """Under a number of its own."""
    release()
    flow = tmp_path / "salesforce/force-app/main/default/flows/Renewal_Alert.flow-meta.xml"
    flow.write_text(flow.read_text().replace("Renewal at risk", "Call them"))
    with pytest.raises(BuilderError) as refusal:
        release()
    assert refusal.value.code == "version_taken"

    done = release(with_version(config, "1.1.0"))

    assert [one.version for one in read_record(tmp_path)] == ["1.0.0", "1.1.0"]
    assert done.built
    assert len(sf.requests) == 2


def test_the_same_content_under_another_number_is_the_version_it_was(
    release, sf, config: AppConfig
) -> None:
    """With a word about it."""
    first = release()
    second = release(with_version(config, "1.1.0"))
    assert second.version == first.version
    assert "the content is that of 1.0.0" in second.warnings[-1]
    assert len(sf.requests) == 1


def test_a_beta_is_promoted_by_the_next_run(release) -> None:
    """It is the same build."""
    beta = release(beta=True)
    assert not beta.version.released
    done = release()
    assert (done.built, done.version.released, done.version.id) == (False, True, beta.version.id)


def test_a_build_that_failed_is_told_and_built_anew(release, sf) -> None:
    """In Salesforce's own words; a failed build is not a version."""
    sf.build_errors = ["External client apps that are created in ephemeral orgs can't be packaged."]
    with pytest.raises(BuilderError) as refusal:
        release()
    assert refusal.value.code == "app_of_scratch_org"
    assert "ephemeral" in refusal.value.said

    sf.build_errors = []
    assert release().built
    assert [one["Status"] for one in sf.requests] == ["Error", "Success"]


def test_a_build_that_does_not_end_is_waited_for_by_the_next_run(release, sf) -> None:
    """The command ends, the build goes on."""
    sf.build_looks = 10_000
    with pytest.raises(BuilderError) as refusal:
        release()
    assert refusal.value.code == "build_under_way"
    sf.requests[0]["looks"] = 1
    assert not release().built


def test_a_vendors_own_package_is_found_by_its_own_id(
    release, sf, config: AppConfig, tmp_path: Path
) -> None:
    """As its project file has it, and the file stays as it is."""
    shutil.copytree(FIXTURE, tmp_path, dirs_exist_ok=True)
    package = config.package.model_copy(update={"source": "force-app", "version": "2.4.0"})

    done = release(config.model_copy(update={"package": package}))

    assert done.version.package_id == "0Ho5g0000000001CAA"
    assert sf.named("package", "create") == sf.named("package", "list") == []
    project = "sfdx-project.json"
    assert (tmp_path / project).read_bytes() == (FIXTURE / project).read_bytes()


def test_a_record_out_of_shape_is_refused(tmp_path: Path) -> None:
    """It is a file of the vendor's repository: never written over."""
    for text in ("[", "{}", json.dumps({"versions": [{"scopes": [], "other": 1}]})):
        (tmp_path / FILE_NAME).write_text(text)
        with pytest.raises(BuilderError) as refusal:
            read_record(tmp_path)
        assert refusal.value.code == "record_invalid"

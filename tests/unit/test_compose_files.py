"""Writing a Compose file: whole or not at all, and never over somebody's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from lakebed.cli.group import lakebed
from lakebed.compose.files import write_compose_file
from lakebed.compose.render import Options, render
from lakebed.compose.text import compose_text, written_by_lakebed
from lakebed.errors import ComposeInvalid, LakebedError, NotOverwritten

TEXT = compose_text(render(["kafka"]))
OTHER = compose_text(render(["postgres"]))


def test_a_file_of_lakebed_is_written_over(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    write_compose_file(file, TEXT)
    write_compose_file(file, OTHER)
    assert file.read_text() == OTHER
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "there",
    [b"services: {}\n", b"", b"\xff\xfe", TEXT.replace("29092", "29093").encode(), f"\n{TEXT}".encode()],
    ids=["another's", "empty", "no text", "changed since", "not from the beginning"],
)
def test_any_other_file_is_kept(tmp_path: Path, there: bytes) -> None:
    file = tmp_path / "compose.yaml"
    file.write_bytes(there)
    with pytest.raises(NotOverwritten, match="--force"):
        write_compose_file(file, TEXT)
    assert file.read_bytes() == there
    write_compose_file(file, TEXT, force=True)
    assert file.read_text() == TEXT


def test_a_link_keeps_pointing_to_the_file(tmp_path: Path) -> None:
    link, file = tmp_path / "link.yaml", tmp_path / "file.yaml"
    link.symlink_to(file)
    write_compose_file(link, TEXT)
    assert link.is_symlink()
    assert file.read_text() == TEXT


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(LakebedError, match="No such file or directory"):
        write_compose_file(tmp_path / "no" / "compose.yaml", TEXT)
    with pytest.raises(NotOverwritten):
        write_compose_file(tmp_path, TEXT)
    with pytest.raises(LakebedError):
        write_compose_file(tmp_path, TEXT, force=True)
    assert list(tmp_path.iterdir()) == []


def test_a_text_of_lakebed_is_known_by_its_sum() -> None:
    assert written_by_lakebed(TEXT)
    assert not written_by_lakebed(f"{TEXT}  extra: 1\n")


def test_the_command_writes_to_standard_output_or_to_a_file(tmp_path: Path) -> None:
    printed = CliRunner().invoke(lakebed, ["compose", "render", "kafka"], catch_exceptions=False)
    assert printed.stdout == TEXT
    file = tmp_path / "compose.yaml"
    written = CliRunner().invoke(lakebed, ["compose", "render", "kafka", "--output", str(file)])
    assert (written.exit_code, written.stdout) == (0, "")
    assert file.read_text() == TEXT


def test_what_is_refused_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(TEXT)
    options = ["--port", "kafka=8081", "--output", str(file), "--force"]
    refused = CliRunner().invoke(lakebed, ["compose", "render", *options])
    assert isinstance(refused.exception, ComposeInvalid)
    assert file.read_text() == TEXT


def test_settings_hold_and_an_option_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # What is said of services that are not asked for changes nothing.
    Path("lakebed.toml").write_text(
        '[ports]\nkafka = 19092\npostgres = 15432\ns3 = 19000\n[images]\npostgresql = "postgres:17"\n'
    )
    command = ["compose", "render", "kafka", "postgres", "--port", "kafka=19093"]
    printed = CliRunner().invoke(lakebed, command, catch_exceptions=False)
    assert printed.stdout == compose_text(
        render(
            ["kafka", "postgres"],
            Options(ports={"kafka": 19093, "postgres": 15432}, images={"postgres": "postgres:17"}),
        )
    )


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--port", "kafka"], "write SERVICE=NUMBER"),
        (["--port", "kafka=0"], "a number from 1 to 65535"),
        (["--image", "kafka="], "write SERVICE=IMAGE"),
        (["--profile", "sparc"], "'cdc', 'registry', 'lake', 'spark'"),
    ],
)
def test_an_option_that_is_written_wrongly_is_refused(option: list[str], said: str) -> None:
    refused = CliRunner().invoke(lakebed, ["compose", "render", *option])
    assert refused.exit_code == 2
    assert said in refused.output

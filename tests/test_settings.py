from __future__ import annotations

import os
import socket
import threading
from functools import partial
from pathlib import Path
from typing import Any, Callable
from unittest import mock

import pytest

import sync
from cli import command
from companies.job import Options, add_flags, read_options
from core import settings as basics_settings
from core.conditions import parse_conditions
from core.errors import SettingsError
from core.limits import Limit
from core.settings import NO_FILE, EnvFile, Secret, SettingsReader, read_env_file
from sync import PredictLeads
from tests.helpers import ROOT, FakeClock, make

KEYS = {
    "HUBSPOT_ACCESS_TOKEN": "pat-na1-planted",
    "PREDICTLEADS_API_KEY": "planted-key",
    "PREDICTLEADS_API_TOKEN": "planted-token",
}


def load(values: dict[str, str]) -> Options:
    return SettingsReader({**KEYS, **values}, "sync.py").load(options())


def options() -> Callable[[SettingsReader], Options]:
    """Without flags."""
    parser = command.Flags("A test.")
    add_flags(parser, PredictLeads)
    return partial(read_options, PredictLeads, parser.parse_args([]))


def problems(values: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as error:
        load(values)
    return str(error.value)


def test_defaults() -> None:
    found = load({})
    assert found.hubspot.base_url == "https://api.hubapi.com"
    assert found.hubspot.calls_per_second == 5
    assert found.destination.base_url == "https://predictleads.com/api/v3"
    assert found.destination.calls_per_second == 10
    assert found.conditions == parse_conditions(
        "ecommerce_platform=shopify|magento_2, alexa<1000000"
    )
    assert str(found.max_remove) == "20%"
    assert found.max_add is None
    assert found.keep.domains == frozenset()


def test_what_is_set() -> None:
    found = load(
        {
            "ECOMMERCE_PLATFORMS": " wix, shopify ,wix",
            "ALEXA_BELOW": "500",
            "MAX_UNFOLLOW": "7",
            "MAX_FOLLOW": "0",
            "KEEP_FOLLOWING": "https://www.a.example/, B.example c.example",
            "HUBSPOT_BASE_URL": "http://127.0.0.1:8080/hubspot/",
        }
    )
    assert found.conditions == parse_conditions("ecommerce_platform=wix|shopify, alexa<500")
    assert str(found.max_remove) == "7"
    assert found.max_add == Limit(0)
    assert found.keep.domains == {"a.example", "b.example", "c.example"}
    assert found.hubspot.base_url == "http://127.0.0.1:8080/hubspot"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HUBSPOT_BASE_URL", "http://api.hubapi.com", "must be an address that begins with https"),
        ("HUBSPOT_BASE_URL", "ftp://127.0.0.1", "must be an address"),
        ("HUBSPOT_BASE_URL", "https://", "must be an address"),
        ("HUBSPOT_BASE_URL", "https://user@api.hubapi.com", "must be an address"),
        ("HUBSPOT_BASE_URL", "https://api.hubapi.com:port", "must be an address"),
        ("HUBSPOT_BASE_URL", "https://[::1", "must be an address"),
        ("PREDICTLEADS_BASE_URL", "http://localhost.evil.example", "must be an address"),
        ("HUBSPOT_REQUESTS_PER_SECOND", "0", "must be a number above 0"),
        ("HUBSPOT_REQUESTS_PER_SECOND", "nan", "must be a number above 0"),
        ("PREDICTLEADS_REQUESTS_PER_SECOND", "many", "must be a number above 0"),
        ("ALEXA_BELOW", "1,000,000", "must be a whole number"),
        ("ALEXA_BELOW", "0", "must be a whole number above 0"),
        ("ECOMMERCE_PLATFORMS", " , ", "must be one or more names"),
        ("COMPANY_FILTER", "alexa<", "must be conditions such as"),
        ("MAX_UNFOLLOW", "most", "must be a number such as 412 or a share such as 20%"),
        ("MAX_FOLLOW", "-1", "must be a whole number"),
        ("KEEP_FOLLOWING", "a.example, nonsense", "must be domains such as shop.example"),
        ("PREDICTLEADS_API_KEY", "two words", "has characters that no key has"),
        ("PREDICTLEADS_API_KEY", "“quoted”", "has characters that no key has"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str, words: str) -> None:
    text = problems({name: value})
    assert f"{name} {words}" in text
    assert "pat-na1-planted" not in text


def test_all_problems_are_named_together_with_the_place_to_go_to() -> None:
    text = problems({"HUBSPOT_ACCESS_TOKEN": " ", "PREDICTLEADS_API_KEY": "", "ALEXA_BELOW": "x"})
    assert "HUBSPOT_ACCESS_TOKEN is missing: a service key" in text
    assert "PREDICTLEADS_API_KEY is missing: the authentication key in PredictLeads" in text
    assert "ALEXA_BELOW must be a whole number" in text


def test_the_environment_wins_over_the_file_and_an_empty_variable_does_not(tmp_path: Path) -> None:
    path = tmp_path / "settings"
    path.write_text('\ufeffA="from file"\nB=from file # why\nC\nD=$A', encoding="utf-8")
    env_file = read_env_file(str(path))
    assert env_file.path == path
    reader = SettingsReader({"A": " ", "B": "from environment"}, "sync.py", env_file)
    values = {name: reader.get(name, "default", str) for name in "ABCD"}
    assert values == {"A": "from file", "B": "from environment", "C": "default", "D": "$A"}


def test_only_the_file_beside_the_scripts_is_found_by_itself() -> None:
    beside = basics_settings.SCRIPTS / ".env"
    assert ROOT not in beside.parents  # and it is never the developer's
    Path(".env").write_text("X=1")
    assert read_env_file(None) == NO_FILE
    beside.parent.mkdir()
    beside.write_text("X=2")
    assert read_env_file(None) == EnvFile(beside, {"X": "2"})


def test_which_file_it_was_is_told(clock: FakeClock) -> None:
    Path("settings").touch(mode=0o600)
    with make([1], [1], clock) as sandbox:
        told = clock.run(sync.main, sandbox, "--check", "--env-file", "settings").out
        verbose = clock.run(sync.main, sandbox, "-v", "--env-file", "settings").err
        alone = clock.run(sync.main, sandbox, "--check").out
    assert "OK   Settings come from settings.\n" in told
    assert "  Settings come from settings.\n" in verbose
    assert "OK   Settings come from the environment alone.\n" in alone


def test_another_address_is_told(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    find = socket.getaddrinfo

    def offline(host: str, *args: Any, **more: Any) -> Any:
        if host == "127.0.0.1":
            return find(host, *args, **more)
        raise socket.gaierror("no network")

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    with make([1], [1], clock) as sandbox:
        url = "https://elsewhere.invalid/api"
        ended = clock.run(sync.main, sandbox, HUBSPOT_BASE_URL=url)
        own = clock.run(sync.main, sandbox, "--check", HUBSPOT_BASE_URL="https://api.hubapi.com")
    assert f"Calls to HubSpot go to {url}.\n" in ended.out
    assert "PredictLeads is asked" not in ended.out  # at this machine itself
    assert "Calls to" not in own.out


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"Cannot read the settings file .*: No such file"):
        read_env_file(str(tmp_path / "missing"))
    (tmp_path / "latin1").write_bytes(b"A=\xe4")
    with pytest.raises(SettingsError, match="it is not UTF-8 text"):
        read_env_file(str(tmp_path / "latin1"))
    denied = mock.patch("builtins.open", side_effect=PermissionError(13, "Permission denied"))
    with denied, pytest.raises(SettingsError, match="it must belong to the user who runs this"):
        read_env_file(str(tmp_path / "another"))


# Names in the file that nobody reads


def told_of(name: str) -> str:
    """What is said of a file with this name in it, by sync.py; nothing when all is well."""
    env_file = EnvFile(Path("/here/.env"), {**KEYS, name: ""})
    try:
        SettingsReader(env_file.values, "sync.py", env_file).load(options())
    except SettingsError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("KEEP_FOLOWING", "KEEP_FOLLOWING"),
        ("ECOMMERCE_PLATFORM", "ECOMMERCE_PLATFORMS"),
        ("max_unfollow", "MAX_UNFOLLOW"),
        ("FIRST_NAME", "FIRSTNAME"),
        ("MAX_NEWS", "MAX_NEW"),
        ("HUBSPOT_TOKEN", "HUBSPOT_ACCESS_TOKEN"),
        ("HUBSPOT_REQUESTS_PER_MINUTE", "HUBSPOT_REQUESTS_PER_SECOND"),
        ("PREDICTLEADS_KEY", "PREDICTLEADS_API_KEY"),
        ("MAILERLITE_TOKEN", "MAILERLITE_API_KEY"),
        ("mailerlite_group", "MAILERLITE_GROUPS"),
        ("KEEP_FOLLOWING_DOMAINS", "KEEP_FOLLOWING"),
        ("KEEP_HISTORY", "KEEP_HISTORY_DAYS"),
        ("ASK_AGAIN", "ASK_AGAIN_DAYS"),
        ("MAX_LEAF", "MAX_LEAVE"),
    ],
)
def test_a_misspelt_name_is_an_error_that_suggests_one(name: str, meant: str) -> None:
    assert told_of(name) == (
        f"Please fix these settings:\n  - Unknown setting {name}. Did you mean"
        f" {meant}?\nSettings are read from the environment and from {Path('/here/.env')}."
    )


def test_settings_of_two_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = tmp_path / "example"
    example.write_text("SPOTS_API_KEY=\n#SPOTS_BASE_URL=\n")
    monkeypatch.setattr(basics_settings, "_EXAMPLE", example)
    assert "Did you mean HUBSPOT_ACCESS_TOKEN?" in told_of("HUBSPOT_API_KEY")


@pytest.mark.parametrize(
    "name",
    [
        *("MAILERLITE_API_KEY", "MAX_NEW", "LASTNAME", "MAILERSEND_API_KEY", "HTTPS_PROXY"),
        *("NODE_ENV", "API_KEY", "BASE_URL", "MAX_CONNECTIONS", "MAX_RETRIES", "GROUP_ID"),
        "CONTACT_EMAIL",
    ],
)
def test_names_of_other_scripts_and_programs_may_stand_in_the_file(name: str) -> None:
    assert told_of(name) == ""


def test_without_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basics_settings, "_EXAMPLE", tmp_path / "missing")
    assert "Did you mean KEEP_FOLLOWING?" in told_of("KEEP_FOLOWING")
    assert told_of("MAILERLITE_API_KEY") == ""


def test_names_in_the_environment_are_none_of_its_business() -> None:
    load({"HUBSPOT_TOKEN": "x", "KEEP_FOLOWING": "a.example"})


def test_the_example_is_to_be_copied_only_where_there_is_no_file() -> None:
    assert problems({"ALEXA_BELOW": "x"}).endswith("(start with: cp .env.example .env).")
    assert "cp .env.example" not in told_of("KEEP_FOLOWING")


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_may_write_is_refused(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    path = Path("settings")
    path.touch()
    path.chmod(mode)
    ended = clock.run(sync.main, None, "--env-file", "settings")
    assert ended.code == 2
    assert "users of this machine may write settings. Run: chmod 600 settings\n" in ended.err
    monkeypatch.setattr("os.geteuid", lambda: path.stat().st_uid + 1)
    assert "chmod" not in clock.run(sync.main, None, "--env-file", "settings").err


def test_a_pipe_is_for_whoever_fills_it(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    path.chmod(0o666)
    writer = threading.Thread(target=lambda: path.write_text("X=1"))
    writer.start()
    assert read_env_file(str(path)) == EnvFile(path, {"X": "1"})
    writer.join()


def test_a_secret_does_not_print_itself() -> None:
    secret = Secret("planted")
    shown = f"{secret} {secret!r} {[secret]} {load({})} %s" % secret
    assert "planted" not in shown
    assert secret.reveal() == "planted"

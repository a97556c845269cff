"""Secrets do not get into reports."""

from __future__ import annotations

import pytest

from lakebed.config.settings import Settings
from lakebed.pytest_plugin.findings import mask_of
from lakebed.report.secrecy import masked_json, masking


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('"database.password" : "s3cr3t, really"', '"database.password" : "***"'),
        ("database.password=s3cr3t", "database.password=***"),
        ("\tsecret_key: 's3cr3t'", "\tsecret_key: '***'"),
        ("password = s3cr3t, user = cdc", "password = ***, user = cdc"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ("after (note='password=s3cr3t')", "after (note='password=***')"),
        ('{"a": {"secret_key": "s3cr3t"}}', '{"a": {"secret_key": "***"}}'),
        ("http://cdc:s3cr3t@host/x", "http://***@host/x"),
    ],
)
def test_values_of_settings_with_secrets_are_masked(text: str, masked: str) -> None:
    assert masking([])(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "password authentication failed for user cdc",
        "password = null",
        "INFO http://127.0.0.1:8083 is up\n<UPDATE key (id=1) at orders.public.orders/0@3>",
        "user=cdc database=postgres",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert masking(["s3cr3t"])(text) == text


def test_known_values_are_masked_wherever_they_stand() -> None:
    assert masking(["s3cr3t", "s3cr3t-longer", ""])("a s3cr3t-longer b(s3cr3t)") == "a *** b(***)"


def test_every_text_of_a_record_is_masked() -> None:
    content = {"secret": ["s3cr3t", {"a": "x s3cr3t", "b": 3, "c": None}]}
    assert masked_json(content, masking(["s3cr3t"])) == {"secret": ["***", {"a": "x ***", "b": 3, "c": None}]}


def test_the_secrets_of_attached_services_are_known() -> None:
    settings = Settings.model_validate(
        {
            "attach": {
                "postgres": "postgresql://cdc:hidden-one@db.example/shop",
                "kafka": {
                    "bootstrap_servers": "broker:9093",
                    "security_protocol": "SASL_SSL",
                    "username": "reader",
                    "password": "hidden-two",
                },
            },
            "registry_username": "registry",
            "registry_password": "hidden-three",
        }
    )
    told = mask_of(settings)("hidden-one hidden-two hidden-three reader db.example shop minioadmin")
    assert told == "*** *** *** reader db.example shop ***"

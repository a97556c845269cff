"""What differs between two schemas."""

from __future__ import annotations

import json
from typing import Any

from lakebed.ui.differences import Side, field_differences, line_differences, pretty


def record(name: str, *fields: tuple[str, Any] | tuple[str, Any, Any]) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "fields": [
            {"name": one[0], "type": one[1], **({"default": one[2]} if len(one) == 3 else {})}
            for one in fields
        ],
    }


def told(left: Any, right: Any) -> tuple[str, ...]:
    return field_differences(json.dumps(left), json.dumps(right))


def test_fields_that_came_went_and_changed() -> None:
    left = record("orders", ("id", "int"), ("gone", "string"), ("price", "int"), ("note", "string", "a"))
    right = record("orders", ("id", "int"), ("price", "long"), ("note", "string", "b"), ("new", "string", ""))
    assert told(left, right) == (
        "gone was removed",
        "price changed its type from int to long",
        'note changed its default to "b"',
        'new was added: string, default ""',
    )


def test_nested_fields_are_named_by_their_path() -> None:
    left = record("envelope", ("after", ["null", record("value", ("id", "int"))]))
    new = ["null", {"type": "int", "connect.name": "io.debezium.time.Date"}]
    right = record("envelope", ("after", ["null", record("value", ("id", "int"), ("day", new, None))]))
    assert told(left, right) == ("after.day was added: null or int (io.debezium.time.Date), default null",)


def test_record_within_itself_ends() -> None:
    tree = record("tree", ("left", ["null", "tree"]), ("right", ["null", "tree"]))
    assert told(tree, tree) == ()


def test_arrays_maps_and_enums() -> None:
    items = {"type": "array", "items": record("item", ("sku", "string"))}
    left = record("order", ("items", items))
    kinds = {"type": "enum", "name": "colour", "symbols": ["RED"]}
    right = record("order", ("items", {"type": "array", "items": record("item", ("sku", kinds))}))
    assert told(left, right) == ("items.sku changed its type from string to enum (colour)",)


def test_what_is_no_record_has_no_fields() -> None:
    for schema in ("int", ["null", "int"], None, 3, {"type": "record"}, {"type": "record", "name": "x"}):
        assert told(schema, record("orders", ("id", "int"))) == ()
    assert field_differences("not json", "{}") == ()
    assert field_differences("[" * 100_000, "{}") == ()


def test_lines_are_numbered_on_their_side() -> None:
    lines = line_differences("a\nb\nc", "a\nx\nc\nd")
    assert [(line.side, line.text, line.left, line.right) for line in lines] == [
        (Side.BOTH, "a", 1, 1),
        (Side.LEFT, "b", 2, None),
        (Side.RIGHT, "x", None, 2),
        (Side.BOTH, "c", 3, 3),
        (Side.RIGHT, "d", None, 4),
    ]


def test_either_side_can_be_read_from_the_difference() -> None:
    left, right = pretty('{"a":[1,2,3],"b":{}}'), pretty('{"a":[1,3],"c":{"d":null}}')
    lines = line_differences(left, right)
    assert "\n".join(line.text for line in lines if line.side is not Side.RIGHT) == left
    assert "\n".join(line.text for line in lines if line.side is not Side.LEFT) == right


def test_schema_that_is_no_json_stays_as_it_is() -> None:
    assert pretty('syntax = "proto3";') == 'syntax = "proto3";'

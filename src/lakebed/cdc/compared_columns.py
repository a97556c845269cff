"""Which columns of two tables are compared, and how: checked before a row is read. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakebed.cdc.comparable import family, meet, never_equal, short_form
from lakebed.cdc.difference import Differences
from lakebed.errors import NotComparable

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ComparedColumns:
    """The columns that are compared, key first.

    Attributes:
        key: the columns that identify a row; none for whole rows.
        source: column to Arrow type in the source, in the order of storage: `c0`, `c1` ...
        target: likewise in the target, in the same order.
        tolerance: for floating-point numbers.
    """

    key: tuple[str, ...]
    source: Mapping[str, pa.DataType]
    target: Mapping[str, pa.DataType]
    tolerance: float

    @property
    def names(self) -> list[str]:
        """Of all columns, in the order of storage."""
        return list(self.source)

    def values(self) -> dict[int, str]:
        """Return place in storage to name of the columns that are no part of the key."""
        return {place: name for place, name in enumerate(self.source) if name not in self.key}

    def forms(self, left: str, right: str) -> list[tuple[str, str]]:
        """Return for each column SQL of its values in a common form, in tables named `left` and `right`.

        By key, json is compared as text here, and what differs so looked into afterwards.
        """
        forms = []
        for number, (name, source) in enumerate(self.source.items()):
            values = f"{left}.c{number}", f"{right}.c{number}"
            if self.is_json(name) and self.key and name not in self.key:
                pair = f"{values[0]}::VARCHAR", f"{values[1]}::VARCHAR"
            else:
                pair = meet(source, self.target[name], *values)
            if (of := self._long(name)) is not None:
                pair = short_form(of, pair[0]), short_form(of, pair[1])
            forms.append(pair)
        return forms

    def is_json(self, name: str) -> bool:
        """Whether the column holds JSON texts, which may say the same and be written otherwise."""
        return {family(self.source[name]), family(self.target[name])} in ({"json"}, {"json", "text"})

    def needs_json(self) -> bool:
        """Whether SQL of the comparison calls `lakebed_json`."""
        pairs = [meet(self.source[name], self.target[name], "l", "r") for name in self.source]
        return any("lakebed_json" in left for left, _ in pairs)

    def _long(self, name: str) -> str | None:
        """Return of what kind the forms of a column are, where they may be long."""
        families = {family(self.source[name]), family(self.target[name])}
        if families <= {"text", "json"}:
            return "text"
        return "bytes" if families == {"bytes"} else None

    def notes(self) -> dict[str, str]:
        """Return column to why its values can never be the same."""
        return {
            name: f"{kind} is never the same as {self.target[name]}"
            for name, kind in self.source.items()
            if never_equal(kind, self.target[name])
        }

    def tolerant(self, name: str) -> bool:
        """Whether the column's values may differ by the tolerance."""
        import pyarrow as pa

        kinds = self.source[name], self.target[name]
        numbers = all(family(kind) == "number" for kind in kinds)
        return self.tolerance > 0 and numbers and any(map(pa.types.is_floating, kinds))


def columns_to_compare(
    schemas: tuple[pa.Schema, pa.Schema],
    names: tuple[str, str],
    key: Sequence[str],
    *,
    columns: Sequence[str] | None,
    ignore: Sequence[str],
    tolerance: float,
) -> ComparedColumns | Differences:
    """Return what to compare, or, when the tables have other columns, that they do.

    Raises:
        NotComparable: a column that neither has, one that is there twice, a key that is not in both, a
            tolerance without a key, a type whose values cannot be compared.
    """
    if isinstance(columns, str) or isinstance(ignore, str):
        raise _refused(names, "columns= and ignore= are text", 'give lists: ignore=["updated_at"]')
    for schema, name in zip(schemas, names, strict=True):
        twice = sorted({column for column in schema.names if schema.names.count(column) > 1})
        if twice:
            raise _refused(
                names, f"{name} has columns of one name: {', '.join(twice)}", "give them other names"
            )
    known = list(dict.fromkeys([*schemas[0].names, *schemas[1].names]))
    unknown = [column for column in [*(columns or ()), *ignore, *key] if column not in known]
    if unknown:
        seen = f"neither has {', '.join(map(repr, unknown))}; columns: {', '.join(known)}"
        raise _refused(names, seen, "write the columns as the tables do")
    if not 0 <= tolerance < float("inf"):
        raise _refused(names, f"tolerance={tolerance}", "give a number from 0 on")
    wanted = [column for column in known if columns is None or column in columns or column in key]
    wanted = [column for column in wanted if column not in ignore]
    ignored = [column for column in key if column in ignore]
    if ignored:
        raise _refused(names, f"the key's {', '.join(ignored)} is to be ignored", "give another key")
    missing = tuple(sorted(column for column in wanted if column not in schemas[1].names))
    extra = tuple(sorted(column for column in wanted if column not in schemas[0].names))
    if missing or extra:
        return Differences(names, tuple(key), missing_columns=missing, extra_columns=extra)
    if not wanted:
        raise _refused(names, "no column is left to compare", "give columns=[...] or a shorter ignore=[...]")
    ordered = [*dict.fromkeys(key), *(column for column in wanted if column not in key)]
    types = [{column: schema.field(column).type for column in ordered} for schema in schemas]
    compared = ComparedColumns(tuple(dict.fromkeys(key)), types[0], types[1], tolerance)
    _check(compared, names)
    return compared


def _check(compared: ComparedColumns, names: tuple[str, str]) -> None:
    for column in compared.names:
        try:
            meet(compared.source[column], compared.target[column], "l", "r")
        except TypeError as error:
            raise _refused(names, f"column {column}: {error}", f'ignore=["{column}"], or cast it') from error
        if compared.tolerant(column) and not compared.key:
            seen = f"tolerance={compared.tolerance} for column {column}, and no key"
            raise _refused(names, seen, "give the key that tells which rows belong together")


def _refused(names: tuple[str, str], seen: str, remedy: str) -> NotComparable:
    return NotComparable(f"compare {names[0]} with {names[1]}", seen, remedy)

"""What differs between two tables: as data, and as a diff to read, with colour where there is any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.text import Text

LONGEST_VALUE = 60
_BEFORE_DIFFERENCE = 20
STYLES = {"-": "red", "+": "green", "?": "yellow", " ": "bold"}


@dataclass(frozen=True)
class DifferingRow:
    """A row that both tables have, with other values.

    Attributes:
        key: its key's columns.
        values: of each column that differs, the source's value and the target's.
    """

    key: Mapping[str, Any]
    values: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True)
class RepeatedRow:
    """A row, or the key of one, that is there several times.

    Attributes:
        row: its columns.
        times: how often it is there; without a key: how much oftener than in the other table.
    """

    row: Mapping[str, Any]
    times: int


@dataclass(frozen=True)
class Differences:
    """What differs between two tables; false when nothing does.

    Counts are of all rows, the tuples hold the first ones, ordered by key.

    Attributes:
        names: of source and target.
        key: the columns that identify a row; none when whole rows were counted.
        source_rows: how many rows the source has.
        target_rows: how many the target has.
        missing_columns: columns that only the source has; rows are not compared then.
        extra_columns: columns that only the target has.
        repeated_in_source: how many keys the source has more than once; their rows are not compared.
        repeated_in_target: how many the target has more than once.
        missing: rows that only the source has.
        extra: rows that only the target has.
        differing: rows whose key both have, with other values.
        differing_by_column: column to how many rows differ in it.
        notes: column to why its values can never be the same.
        first_repeated_in_source: keys with how often they are there.
        first_repeated_in_target: likewise.
        first_missing: whole rows.
        first_extra: whole rows.
        first_differing: keys, and the values that differ.
    """

    names: tuple[str, str]
    key: tuple[str, ...] = ()
    source_rows: int = 0
    target_rows: int = 0
    missing_columns: tuple[str, ...] = ()
    extra_columns: tuple[str, ...] = ()
    repeated_in_source: int = 0
    repeated_in_target: int = 0
    missing: int = 0
    extra: int = 0
    differing: int = 0
    differing_by_column: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    first_repeated_in_source: tuple[RepeatedRow, ...] = ()
    first_repeated_in_target: tuple[RepeatedRow, ...] = ()
    first_missing: tuple[RepeatedRow, ...] = ()
    first_extra: tuple[RepeatedRow, ...] = ()
    first_differing: tuple[DifferingRow, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.lines())

    def lines(self) -> list[str]:
        """Return the counts, a line each; nothing when nothing differs."""
        if self.missing_columns or self.extra_columns:
            return [f"columns missing: {list(self.missing_columns)}, extra: {list(self.extra_columns)}"]
        lines = []
        repeated = ((self.repeated_in_source, self.names[0]), (self.repeated_in_target, self.names[1]))
        lines += [f"{count:,} keys more than once in {name}" for count, name in repeated if count]
        lines += [f"{count:,} rows {what}" for count, what in self._alone() if count]
        if self.differing:
            lines.append(f"{self.differing:,} rows differ")
        for column, count in self.differing_by_column.items():
            note = f" ({self.notes[column]})" if column in self.notes else ""
            lines.append(f"column {column}: {count:,} rows differ{note}")
        if lines and self.source_rows != self.target_rows:
            lines.insert(0, f"{self.source_rows:,} rows against {self.target_rows:,}")
        return lines

    def _alone(self) -> tuple[tuple[int, str], ...]:
        return (self.missing, "missing"), (self.extra, "extra")

    def diff(self) -> list[str]:
        """Return the first of each as a diff to read: `-` is the source's, `+` the target's, `?` both."""
        return list(self._diff())

    def _diff(self) -> Iterator[str]:
        for rows, name in (
            (self.first_repeated_in_source, self.names[0]),
            (self.first_repeated_in_target, self.names[1]),
        ):
            if rows:
                yield f"  more than once in {name}:"
            for row in rows:
                yield f"? {_row(row.row)}  {row.times} times"
        for rows, mark, what, count in (
            (self.first_missing, "-", "missing", self.missing),
            (self.first_extra, "+", "extra", self.extra),
        ):
            if rows:
                yield f"  {what}, {_how_many(len(rows), count)}:"
            for row in rows:
                yield f"{mark} {_row(row.row)}" + (f"  {row.times} times" if row.times > 1 else "")
        if self.first_differing:
            yield f"  differing, {_how_many(len(self.first_differing), self.differing)}:"
        for differing in self.first_differing:
            yield f"? {_row(differing.key)}"
            for column, (should, is_) in differing.values.items():
                left, right = shortened(repr(should), repr(is_))
                yield f"-   {column}: {left}"
                yield f"+   {column}: {right}"

    def __str__(self) -> str:
        return "\n".join([*self.lines(), *self.diff()])

    def __rich__(self) -> Text:
        """The same text in rich's colours."""
        from rich.text import Text

        text = Text("\n".join(self.lines()), style="bold")
        for line in self.diff():
            text.append(f"\n{line}", style=f"not bold {STYLES[line[0]]}" if line[0] != " " else "bold")
        return text


def _how_many(shown: int, count: int) -> str:
    return f"{shown:,} of {count:,}" if shown < count else f"all {count:,}"


def _row(row: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name!r}: {_short(repr(value))}" for name, value in row.items()) + "}"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def shortened(left: str, right: str) -> tuple[str, str]:
    """Return both texts, cut where they are long, so that the first difference can be seen."""
    if max(len(left), len(right)) <= LONGEST_VALUE:
        return left, right
    pairs = zip(left, right, strict=False)
    at = next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(left), len(right)))
    begin = max(at - _BEFORE_DIFFERENCE, 0)
    return _window(left, begin), _window(right, begin)


def _window(text: str, begin: int) -> str:
    shown = text[begin : begin + LONGEST_VALUE]
    before = f"...({begin:,} more) " if begin else ""
    after = len(text) - begin - len(shown)
    return f"{before}{shown}" + (f" ...({after:,} more)" if after > 0 else "")

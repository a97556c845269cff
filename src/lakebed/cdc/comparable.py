"""What makes values of two Arrow types comparable: SQL of DuckDB that brings both to one form. Pure.

Numbers compare by value whatever their type: against an integer a double is worth its exact value, against
a decimal its shortest decimal form (0.1, not the sum of powers of two next to it). Instants compare in UTC.
What cannot be the same (a text and bytes, a number and a text) gets forms that are never equal, so that it is
found as a difference of every row that is not NULL in both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

DECIMAL_DIGITS = 38
LONGEST_KEPT = 32
_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_MILLISECONDS_OF_A_DAY = 86_400_000

# A number in any notation as sign, digits without zeros around them, and where its point is: 0.0120 is 12e-1.
MACROS = (
    "CREATE MACRO lakebed_digits(sign, digits, point) AS CASE"
    " WHEN ltrim(digits, '0') = '' THEN '0' ELSE"
    " sign || trim(digits, '0') || 'e' || (point - length(digits) + length(ltrim(digits, '0'))) END",
    "CREATE MACRO lakebed_mantissa(sign, mantissa, exponent) AS lakebed_digits(sign,"
    " replace(mantissa, '.', ''), length(split_part(mantissa, '.', 1)) + exponent)",
    f"CREATE MACRO lakebed_short_text(x) AS CASE WHEN strlen(x) <= {LONGEST_KEPT} THEN x"
    " ELSE 'md5 ' || md5(x) END",
    f"CREATE MACRO lakebed_short_bytes(x) AS CASE WHEN octet_length(x) <= {LONGEST_KEPT} THEN x"
    " ELSE encode('md5 ' || md5(x)) END",
    "CREATE MACRO lakebed_number(x) AS CASE"
    " WHEN x IS NULL THEN NULL"
    " WHEN contains(x, 'n') THEN replace(replace(x, 'infinity', 'inf'), '+', '')"
    " ELSE lakebed_mantissa(CASE WHEN starts_with(x, '-') THEN '-' ELSE '' END,"
    " ltrim(split_part(x, 'e', 1), '+-'),"
    " CASE WHEN contains(x, 'e') THEN split_part(x, 'e', 2)::INTEGER ELSE 0 END) END",
)


def stored_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in which values of `kind` are kept, all of them exactly.

    Dates, times and instants become the whole numbers they are, in their own unit; what DuckDB has no type
    for becomes text, or bytes.
    """
    import pyarrow as pa

    is_ = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return kind if kind.extension_name in ("arrow.uuid", "arrow.json") else stored_type(kind.storage_type)
    if is_.is_dictionary(kind):
        return stored_type(kind.value_type)
    if is_.is_date32(kind) or is_.is_time32(kind):
        return pa.int32()
    if is_.is_temporal(kind) and not is_.is_interval(kind):
        return pa.int64()
    if is_.is_interval(kind):
        return pa.binary(16)
    if is_.is_float16(kind):
        return pa.float32()
    if is_.is_decimal(kind) and (kind.precision > DECIMAL_DIGITS or not 0 <= kind.scale <= kind.precision):
        return pa.string()
    if is_.is_list(kind) or is_.is_large_list(kind) or is_.is_fixed_size_list(kind):
        return pa.list_(stored_type(kind.value_type))
    if is_.is_struct(kind):
        return pa.struct([pa.field(field.name, stored_type(field.type)) for field in kind])
    if is_.is_map(kind):
        return pa.map_(stored_type(kind.key_type), stored_type(kind.item_type))
    return kind


def family(kind: pa.DataType) -> str:
    """Return what values of a type are, so that only those of one family can be the same.

    Raises:
        TypeError: values of this type cannot be compared.
    """
    import pyarrow as pa

    is_ = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        named = {"arrow.uuid": "uuid", "arrow.json": "json"}.get(kind.extension_name)
        if named is not None:
            return named
        numeric = isinstance(kind, pa.OpaqueType) and kind.type_name == "numeric"
        return "number" if numeric else family(kind.storage_type)
    if is_.is_dictionary(kind):
        return family(kind.value_type)
    families = {
        "nothing": (is_.is_null,),
        "boolean": (is_.is_boolean,),
        "number": (is_.is_integer, is_.is_floating, is_.is_decimal),
        "text": (is_.is_string, is_.is_large_string, is_.is_string_view),
        "bytes": (is_.is_binary, is_.is_large_binary, is_.is_fixed_size_binary, is_.is_binary_view),
        "date": (is_.is_date,),
        "time": (is_.is_time,),
        "instant": (is_.is_timestamp,),
        "duration": (is_.is_duration,),
        "interval": (is_.is_interval,),
        "list": (is_.is_list, is_.is_large_list, is_.is_fixed_size_list),
        "struct": (is_.is_struct,),
        "map": (is_.is_map,),
    }
    for name, tests in families.items():
        if any(test(kind) for test in tests):
            return name
    raise TypeError(f"values of the Arrow type {kind} cannot be compared")


def meet(source: pa.DataType, target: pa.DataType, left: str, right: str, depth: int = 0) -> tuple[str, str]:
    """Return SQL for both values in a common form: equal where, and only where, the values are the same.

    Args:
        source: Arrow type of the left value, before `stored_type`.
        target: Arrow type of the right value.
        left: SQL of the left value, as it is stored.
        right: SQL of the right value.
        depth: of lists in lists, for names of variables.
    """
    families = family(source), family(target)
    if families[0] != families[1]:
        return _meet_families(families, left, right)
    of = families[0]
    if of == "number":
        return _meet_numbers(source, target, left, right)
    if of == "json":
        return f"lakebed_json({left}::VARCHAR)", f"lakebed_json({right}::VARCHAR)"
    if of in ("date", "time", "instant", "duration"):
        factors = _nanoseconds(source), _nanoseconds(target)
        if factors[0] == factors[1]:
            return f"{left}::BIGINT", f"{right}::BIGINT"
        return f"{left}::HUGEINT * {factors[0]}", f"{right}::HUGEINT * {factors[1]}"
    if of == "list":
        return _meet_lists(source.value_type, target.value_type, left, right, depth)
    if of == "map":
        entries = _entries_type(source), _entries_type(target)
        forms = _meet_lists(entries[0], entries[1], f"map_entries({left})", f"map_entries({right})", depth)
        return f"list_sort({forms[0]})", f"list_sort({forms[1]})"
    if of == "struct":
        return _meet_structs(source, target, left, right, depth)
    return left, right


def short_form(of: str, value: str) -> str:
    """Return SQL of a `text` or of `bytes`, a long one as its MD5 sum: what is joined carries no documents.

    With its prefix a sum is longer than what is left as it is, so the two are never taken for each other.
    """
    return f"lakebed_short_{of}({value})"


def never_equal(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether no value of one type is the same as one of the other."""
    left, right = meet(source, target, "l", "r")
    return left.startswith("'source ' ||") and right.startswith("'target ' ||")


def _apart(left: str, right: str) -> tuple[str, str]:
    return f"'source ' || {left}::VARCHAR", f"'target ' || {right}::VARCHAR"


def _meet_families(families: tuple[str, str], left: str, right: str) -> tuple[str, str]:
    both = set(families)
    if "nothing" in both:
        # One side has only NULL in this column.
        return f"{left}::VARCHAR", f"{right}::VARCHAR"
    if both == {"text", "json"}:
        return f"lakebed_json({left}::VARCHAR)", f"lakebed_json({right}::VARCHAR)"
    if both == {"text", "uuid"}:
        # A text that is no uuid stays what it is, and so is never the same as one.
        return tuple(f"coalesce(TRY_CAST({x} AS UUID)::VARCHAR, {x}::VARCHAR)" for x in (left, right))  # type: ignore[return-value]
    if both == {"bytes", "uuid"}:
        forms = {"uuid": "unhex(replace({}::VARCHAR, '-', ''))", "bytes": "{}::BLOB"}
        return forms[families[0]].format(left), forms[families[1]].format(right)
    return _apart(left, right)


def _meet_numbers(source: pa.DataType, target: pa.DataType, left: str, right: str) -> tuple[str, str]:
    import pyarrow as pa

    sides = [(_value_type(source), left), (_value_type(target), right)]
    types = [kind for kind, _ in sides]
    if all(map(pa.types.is_integer, types)):
        common = "BIGINT" if pa.uint64() not in types else "HUGEINT"
        return f"{left}::{common}", f"{right}::{common}"
    if all(map(pa.types.is_floating, types)):
        both_single = all(stored_type(kind) == pa.float32() for kind in types)
        return (left, right) if both_single else (f"{left}::DOUBLE", f"{right}::DOUBLE")
    exact = [_digits(kind) for kind in types]
    if None not in exact:
        whole = max(digits[0] for digits in exact if digits)
        scale = max(digits[1] for digits in exact if digits)
        if whole + scale <= DECIMAL_DIGITS:
            return f"{left}::DECIMAL({whole + scale}, {scale})", f"{right}::DECIMAL({whole + scale}, {scale})"
    whole = any(map(pa.types.is_integer, types))
    return _number_text(types[0], left, whole), _number_text(types[1], right, whole)


def _number_text(kind: pa.DataType, value: str, whole: bool) -> str:
    """Return SQL of a number's one text; `whole` where it meets an integer."""
    import pyarrow as pa

    text = f"{value}::VARCHAR"
    if whole and pa.types.is_floating(kind):
        exact = f"abs({value}) < 1e38 AND trunc({value}) = {value}"
        text = f"CASE WHEN {exact} THEN {value}::HUGEINT::VARCHAR ELSE {text} END"
    return f"lakebed_number(lower({text}))"


def _value_type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _digits(kind: pa.DataType) -> tuple[int, int] | None:
    """Return how many digits before and after the point an exact type has; None where that is not fixed."""
    import pyarrow as pa

    if pa.types.is_integer(kind):
        return len(str(2**kind.bit_width)), 0
    if pa.types.is_decimal(kind) and pa.types.is_decimal(stored_type(kind)):
        return kind.precision - kind.scale, kind.scale
    return None


def _nanoseconds(kind: pa.DataType) -> int:
    """Return the unit of a date, time, instant or duration; dates count in milliseconds."""
    import pyarrow as pa

    kind = _value_type(kind)
    if pa.types.is_date(kind):
        return _MILLISECONDS_OF_A_DAY if pa.types.is_date32(kind) else 1
    return _NANOSECONDS[kind.unit]


def _meet_lists(
    source: pa.DataType, target: pa.DataType, left: str, right: str, depth: int
) -> tuple[str, str]:
    element = f"e{depth}"
    forms = meet(source, target, element, element, depth + 1)
    return tuple(  # type: ignore[return-value]
        side if form == element else f"list_transform({side}, lambda {element}: {form})"
        for side, form in zip((left, right), forms, strict=True)
    )


def _entries_type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return pa.struct([pa.field("key", kind.key_type), pa.field("value", kind.item_type)])


def _meet_structs(
    source: pa.DataType, target: pa.DataType, left: str, right: str, depth: int
) -> tuple[str, str]:
    names = sorted(field.name for field in source)
    if names != sorted(field.name for field in target):
        return _apart(left, right)
    fields: tuple[list[str], list[str]] = ([], [])
    for name in names:
        quoted = '"' + name.replace('"', '""') + '"'
        forms = meet(
            source.field(name).type, target.field(name).type, f"{left}.{quoted}", f"{right}.{quoted}", depth
        )
        for side, form in zip(fields, forms, strict=True):
            side.append(f"{quoted} := {form}")
    return tuple(  # type: ignore[return-value]
        f"CASE WHEN {side} IS NOT NULL THEN struct_pack({', '.join(packed)}) END"
        for side, packed in zip((left, right), fields, strict=True)
    )

"""`lakebed tail`: the messages of topics, decoded, as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lakebed.cli.completing import TopicName
from lakebed.cli.group import lakebed
from lakebed.cli.options import Name, json_option, runtime_option

if TYPE_CHECKING:
    from lakebed.cdc.messages import MessageReader
    from lakebed.cdc.tailing import TopicTail
    from lakebed.cli.tail_arguments import KeyFilter
    from lakebed.stack.addresses import Addresses


@lakebed.command()
@click.argument("topics", nargs=-1, required=True, metavar="TOPIC...", type=TopicName())
@click.option(
    "--from",
    "start",
    metavar="PLACE",
    type=Name("beginning", "end"),
    help="beginning, end, -10 (the last ten of each partition), 10m (ago) or a time such as"
    " 2026-01-31T12:00:00Z. Without it: end; with --no-follow: beginning.",
)
@click.option("-n", "--count", type=click.IntRange(min=1), help="End after so many messages were shown.")
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="VALUE|COLUMN=VALUE",
    help="Only messages with this in their key; given several times: with all of them.",
)
@click.option("--no-follow", is_flag=True, help="End with the last message that is there now.")
@runtime_option
@json_option
def tail(
    topics: tuple[str, ...],
    start: str | None,
    count: int | None,
    keys: tuple[str, ...],
    no_follow: bool,
    runtime: str | None,
    as_json: bool,
) -> int:
    """Show the messages of topics, decoded, as they come, until Ctrl-C (exit code 130).

    TOPIC is a name or a pattern in quotes, such as 'shop.*'. JSON with and without a schema and Avro are
    decoded. A change event of Debezium is shown as what happened, the key, what has changed, where in
    PostgreSQL's log, and how long it took from its commit to Kafka; anything else as it is. Leaves no
    consumer group. Works on the stack of `up` and on an attached Kafka.
    """
    from lakebed.cdc.tailing import TopicTail
    from lakebed.cli.exit_codes import INTERRUPTED
    from lakebed.cli.output import err
    from lakebed.cli.running import usable_addresses
    from lakebed.cli.tail_arguments import KeyFilter, start_of, utc_now
    from lakebed.config.settings import load_settings

    if not all(topics):
        raise click.BadParameter("a topic has a name", param_hint="'TOPIC...'")
    try:
        begin = start_of(start or ("beginning" if no_follow else "end"), utc_now())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--from'") from None
    settings = load_settings({"runtime": runtime})
    addresses = usable_addresses(settings, "kafka")

    def note(text: str) -> None:
        err.print(text, style="dim", markup=False)

    reader = _reader(addresses)
    try:
        with TopicTail(addresses.kafka, topics, begin, follow=not no_follow, note=note) as reading:
            names = reading.open()
            if names:
                note(f"reading {', '.join(names)}")
            _show(reading, reader, KeyFilter(keys), count, as_json)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _reader(addresses: Addresses) -> MessageReader:
    from lakebed.cdc.messages import MessageReader
    from lakebed.clients.registry import schema_registry_client

    if "schema-registry" not in addresses:
        return MessageReader(None)
    return MessageReader(
        schema_registry_client(addresses.schema_registry_config(), addresses.schema_registry)
    )


def _show(
    reading: TopicTail, reader: MessageReader, keys: KeyFilter, count: int | None, as_json: bool
) -> None:
    from lakebed.cli.json_output import show_json_line
    from lakebed.cli.log_view import COLOURS
    from lakebed.cli.message_view import message_json, message_text
    from lakebed.cli.output import out

    shown, styles = 0, dict[str, str]()
    for raw in reading.messages():
        message = reader.read(raw)
        if not keys.lets_through(message.key):
            continue
        if as_json:
            show_json_line(message_json(message))
        else:
            style = styles.setdefault(message.topic, COLOURS[len(styles) % len(COLOURS)])
            out.print(message_text(message, style))
            out.file.flush()
        shown += 1
        if shown == count:
            return

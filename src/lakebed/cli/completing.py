"""What a shell completes that only the running servers know: the names of topics."""

from __future__ import annotations

import contextlib

import click
from click.shell_completion import CompletionItem

from lakebed.cli.options import TextType

# Nobody waits longer than that for what a key press brings.
_PATIENCE_SECONDS = 1.0


class TopicName(TextType):
    """The name of a topic, or a pattern; a shell completes the names of those there are."""

    name = "topic"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the topics that begin so; none where no Kafka is found or it does not answer at once."""
        # Whatever is wrong, a shell has no place to say it.
        with contextlib.suppress(Exception):
            names = topic_names(ctx.params.get("runtime"))
            hidden = not incomplete.startswith("_")
            return [
                CompletionItem(name)
                for name in names
                if name.startswith(incomplete) and not (hidden and name.startswith("_"))
            ]
        return []


def topic_names(runtime: str | None) -> list[str]:
    """Return the names of all topics of the Kafka that `lakebed tail` would read."""
    from lakebed.cli.running import usable_addresses
    from lakebed.config.settings import load_settings
    from lakebed.services.topics import admin_client
    from lakebed.waiting import with_patience

    addresses = usable_addresses(load_settings({"runtime": runtime}), "kafka")
    seconds = with_patience(_PATIENCE_SECONDS)
    return sorted(admin_client(addresses.kafka).list_topics(timeout=seconds).topics)

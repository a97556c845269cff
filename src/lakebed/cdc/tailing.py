"""The messages of topics as they come, read without a trace: no consumer group, nothing committed."""

from __future__ import annotations

import fnmatch
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from lakebed.config.kafka_clients import Kafka, client_settings
from lakebed.errors import StackFailed
from lakebed.waiting import with_patience

PATIENCE_SECONDS = 15.0
_POLL_SECONDS = 0.2
_REFRESH_SECONDS = 1.0
_REFRESH_PATIENCE_SECONDS = 3.0

Note = Callable[[str], None]


@dataclass(frozen=True)
class Start:
    """Where to begin in each partition: at the beginning, unless one of these is given.

    Attributes:
        at_end: with what comes from now on.
        last: with so many of the last messages.
        since: with the first message sent to Kafka then or later; aware of its time zone.
    """

    at_end: bool = False
    last: int | None = None
    since: datetime | None = None


BEGINNING, END = Start(), Start(at_end=True)


def is_pattern(topic: str) -> bool:
    """Whether a topic as a user writes it may stand for several: `*`, `?` and `[...]`, as for files."""
    return any(sign in topic for sign in "*?[")


def matching(topics: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return those of the topics, sorted, that are wanted by name or by pattern.

    Kafka's and the registry's own topics, which begin with an underscore, only where the pattern does too.
    """

    def is_wanted(topic: str) -> bool:
        return any(
            fnmatch.fnmatchcase(topic, one) and (topic[0] != "_" or one[0] == "_")
            if is_pattern(one)
            else topic == one
            for one in wanted
        )

    return sorted(topic for topic in topics if topic and is_wanted(topic))


class TopicTail:
    """A reader of topics; a context manager, which closes it.

    Args:
        kafka: its bootstrap servers, or its endpoint.
        wanted: names of topics, or patterns; those that a pattern means later are read from then on.
        start: where to begin in the topics that are there now.
        follow: whether to go on at their end; otherwise it is over with the last message that is there now.
        note: told what a person would want to know, such as which topics are read.
    """

    def __init__(
        self,
        kafka: Kafka,
        wanted: Sequence[str],
        start: Start,
        *,
        follow: bool,
        note: Note = lambda text: None,
    ) -> None:
        self._wanted = wanted
        self._start = start
        self._follow = follow
        self._note = note
        self._positions: dict[tuple[str, int], int] = {}
        self._left: dict[tuple[str, int], int] = {}
        self._is_silent = False
        self._consumer = Consumer(
            {
                **client_settings(kafka),
                # The client wants a name; without a subscription or a commit Kafka never hears of it.
                "group.id": f"lakebed-tail-{uuid.uuid4().hex}",
                "enable.auto.commit": False,
                "enable.partition.eof": not follow,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
                "topic.metadata.refresh.interval.ms": -1,
                "log_level": 0,
            }
        )

    def __enter__(self) -> TopicTail:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def open(self) -> list[str]:
        """Find the topics and begin to read them; return their names.

        Raises:
            StackFailed: Kafka does not answer, or has no such topic (a pattern that is followed may wait).
        """
        try:
            there = self._partitions(PATIENCE_SECONDS)
            missing = [
                one for one in self._wanted if not is_pattern(one) and one not in {name for name, _ in there}
            ]
            if missing or (not there and not self._follow):
                raise self._no_such_topic(missing or list(self._wanted))
            starts = self._starts(there)
        except KafkaException as error:
            raise StackFailed(
                "read from Kafka", str(error.args[0]), "see `lakebed status` and `lakebed logs kafka`"
            ) from error
        if not self._follow:
            self._left = {one: end for one, end in self._ends(there).items() if end > starts[one]}
        self._assign(starts)
        names = sorted({name for name, _ in there})
        if not names:
            self._note(f"no topic is named {' or '.join(self._wanted)} yet; waiting for one")
        return names

    def _no_such_topic(self, missing: Sequence[str]) -> StackFailed:
        known = [name for name in self._topics(PATIENCE_SECONDS) if name[0] != "_"]
        return StackFailed(
            f"read topic {', '.join(missing)}",
            "there is no such topic",
            f"known topics: {', '.join(sorted(known)) or 'none yet'}; a pattern, such as 'shop.*', also waits"
            " for topics that come later",
        )

    def _topics(self, patience_seconds: float) -> list[str]:
        return list(self._consumer.list_topics(timeout=patience_seconds).topics)

    def _partitions(self, patience_seconds: float) -> list[tuple[str, int]]:
        topics = self._consumer.list_topics(timeout=patience_seconds).topics
        return [
            (name, number)
            for name in matching(list(topics), self._wanted)
            for number in topics[name].partitions
        ]

    def _starts(self, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        if self._start.since is not None and partitions:
            milliseconds = int(self._start.since.timestamp() * 1000)
            asked = [TopicPartition(name, number, milliseconds) for name, number in partitions]
            found = self._consumer.offsets_for_times(asked, timeout=PATIENCE_SECONDS)
            offsets = {(one.topic, one.partition): one.offset for one in found}
            ends = self._ends([one for one, offset in offsets.items() if offset < 0])
            return {one: ends.get(one, offset) for one, offset in offsets.items()}
        if self._start.at_end:
            return self._ends(partitions)
        if self._start.last is not None:
            return {
                one: max(first, end - self._start.last)
                for one, (first, end) in self._marks(partitions).items()
            }
        return {one: first for one, (first, _) in self._marks(partitions).items()}

    def _marks(self, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, int]]:
        return {
            one: self._consumer.get_watermark_offsets(TopicPartition(*one), timeout=PATIENCE_SECONDS)
            for one in partitions
        }

    def _ends(self, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        return {one: end for one, (_, end) in self._marks(partitions).items()}

    def _assign(self, positions: dict[tuple[str, int], int]) -> None:
        self._positions = positions
        self._consumer.assign(
            [TopicPartition(name, number, offset) for (name, number), offset in positions.items()]
        )

    def messages(self) -> Iterator[Message]:
        """Return the messages of the topics that `open` has found, as they come.

        Raises, while iterating:
            StackFailed: Kafka refuses to hand them out.
        """
        refreshed = time.monotonic()
        while self._follow or self._left:
            message = self._consumer.poll(_POLL_SECONDS)
            if self._follow and time.monotonic() - refreshed >= _REFRESH_SECONDS:
                self._refresh()
                refreshed = time.monotonic()
            if message is None:
                continue
            place, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
            error = message.error()
            if error is None:
                self._positions[place] = offset + 1
                if self._follow or offset < self._left.get(place, 0):
                    yield message
                if offset + 1 >= self._left.get(place, 0):
                    self._left.pop(place, None)
            elif error.code() == KafkaError._PARTITION_EOF:
                # What is before the end may be no message: compacted away, or the mark of a transaction.
                self._left.pop(place, None)
            elif error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION):
                self._left.pop(place, None)
                self._refresh()
            elif not error.retriable():
                raise StackFailed(f"read topic {place[0]!r}", str(error), "see `lakebed logs kafka`")

    def _refresh(self) -> None:
        """Take in topics and partitions that are new, and leave those that are gone."""
        try:
            there = self._partitions(with_patience(_REFRESH_PATIENCE_SECONDS))
        except KafkaException as error:
            if not self._is_silent:
                self._note(f"Kafka does not answer ({error.args[0]}); waiting for it")
            self._is_silent = True
            return
        if self._is_silent:
            self._note("Kafka answers again")
        self._is_silent = False
        if set(there) == self._positions.keys():
            return
        new = sorted({name for name, _ in there} - {name for name, _ in self._positions})
        gone = sorted({name for name, _ in self._positions} - {name for name, _ in there})
        for words, names in (("reading", new), ("gone:", gone)):
            if names:
                self._note(f"{words} {', '.join(names)}")
        # All of a topic that is new has come after the start.
        self._assign({one: self._positions.get(one, OFFSET_BEGINNING) for one in there})

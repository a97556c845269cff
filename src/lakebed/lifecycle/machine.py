"""What the three state machines of lakebed share: a table of legal moves and a history of those made.

Pure: no I/O, no sleeping. Not safe for use by several threads at once; whoever shares one holds a lock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any, Generic, TypeVar

from lakebed.config.checks import check_choice
from lakebed.errors import LakebedError

S = TypeVar("S", bound=Enum)

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The present time, aware, in UTC: the clock of every machine that is given no other."""
    return datetime.now(timezone.utc)


class IllegalTransition(LakebedError):
    """A state machine was asked for a move that it does not have.

    Attributes:
        subject: what the machine is about, such as "service kafka".
        from_state: the state it is in; it stays there.
        to_state: the state it was asked to move to.
        allowed: the states it can move to from there, in the order the states are declared.
        because: why the move is refused, when the table alone does not say it.
    """

    def __init__(
        self, subject: str, from_state: str, to_state: str, allowed: Sequence[str], because: str = ""
    ) -> None:
        self.subject = subject
        self.from_state = from_state
        self.to_state = to_state
        self.allowed = tuple(allowed)
        self.because = because
        super().__init__(
            f"move {subject} from {from_state} to {to_state}",
            because or f"{from_state} -> {to_state} is no transition of {subject}",
            f"allowed from {from_state}: {', '.join(self.allowed) or 'nothing, it is the last state'}",
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.subject, self.from_state, self.to_state, self.allowed, self.because)


@dataclass(frozen=True)
class Transition(Generic[S]):
    """One move of a machine.

    Attributes:
        from_state: the state before.
        to_state: the state after; the same one for a retry.
        at: when, aware, in UTC.
        reason: why, for a reader.

    Raises:
        ValueError: `at` is naive or not in UTC.
    """

    from_state: S
    to_state: S
    at: datetime
    reason: str

    def __post_init__(self) -> None:
        if self.at.utcoffset() != timedelta(0):
            raise ValueError(f"Transition.at is {self.at.isoformat()}; allowed: an aware time in UTC")

    def to_json(self) -> dict[str, str]:
        """The transition as texts: the states by value, the time in ISO 8601."""
        return {
            "from_state": str(self.from_state.value),
            "to_state": str(self.to_state.value),
            "at": self.at.isoformat(),
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, states: type[S], value: object, where: str = "transition") -> Transition[S]:
        """The transition that `to_json` wrote; unknown fields are ignored.

        Args:
            states: the enumeration the two states belong to.
            value: the JSON object.
            where: the path of the value, for errors.

        Raises:
            TypeError, ValueError: naming the path of the field that is missing or wrong, and what is allowed.
        """
        fields = json_object(where, value)
        return cls(
            state_from_json(f"{where}.from_state", fields.get("from_state"), states),
            state_from_json(f"{where}.to_state", fields.get("to_state"), states),
            _time_from_json(f"{where}.at", fields.get("at")),
            text_from_json(f"{where}.reason", fields.get("reason")),
        )


class Machine(Generic[S]):
    """A state, the table of pairs it may move along, and every move made, with its time.

    Args:
        subject: what it is about, as errors name it ("service kafka").
        initial: the state it begins in.
        transitions: the legal pairs (from, to). A pair of the same state twice is a legal retry.
        clock: gives the time of each move, aware, in UTC.
    """

    def __init__(
        self, subject: str, initial: S, transitions: Collection[tuple[S, S]], clock: Clock = utc_now
    ) -> None:
        self._subject = subject
        self._state = initial
        self._transitions = frozenset(transitions)
        self._clock = clock
        self._history: list[Transition[S]] = []

    @property
    def subject(self) -> str:
        """What the machine is about."""
        return self._subject

    @property
    def state(self) -> S:
        """The state it is in."""
        return self._state

    @property
    def history(self) -> tuple[Transition[S], ...]:
        """Every move made, oldest first."""
        return tuple(self._history)

    def allowed(self, from_state: S | None = None) -> tuple[S, ...]:
        """The states it can move to from there (from the present state when None), in declared order."""
        origin = self._state if from_state is None else from_state
        return tuple(state for state in type(origin) if (origin, state) in self._transitions)

    def move_to(self, state: S, reason: str) -> Transition[S]:
        """Move, record it and return the record.

        Raises:
            IllegalTransition: the table has no such pair; nothing has changed.
        """
        if (self._state, state) not in self._transitions:
            raise self.refusal(state)
        transition = Transition(self._state, state, self._clock(), reason)
        self._take(transition)
        return transition

    def refusal(self, state: S, because: str = "") -> IllegalTransition:
        """The error for a move to `state` from here, for the caller to raise."""
        allowed = [str(each.value) for each in self.allowed()]
        return IllegalTransition(self._subject, str(self._state.value), str(state.value), allowed, because)

    def replay(self, transitions: Iterable[Transition[S]]) -> None:
        """Take over moves recorded elsewhere, oldest first, with the times they have.

        Raises:
            IllegalTransition: the table does not have one of them.
            ValueError: one of them begins in another state than the one before it ended in.
        """
        for transition in transitions:
            if transition.from_state is not self._state:
                raise ValueError(
                    f"the history of {self._subject} goes on from {transition.from_state.value}; "
                    f"allowed: {self._state.value}, where it was"
                )
            if (self._state, transition.to_state) not in self._transitions:
                raise self.refusal(transition.to_state)
            self._take(transition)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._subject}: {self._state.value}>"

    def _take(self, transition: Transition[S]) -> None:
        self._history.append(transition)
        self._state = transition.to_state


def json_object(where: str, value: object) -> Mapping[str, object]:
    """The value, when it is a JSON object; TypeError otherwise, naming its path."""
    if not isinstance(value, dict):
        raise TypeError(f"{where} is {value!r} ({type(value).__name__}); allowed: a JSON object")
    return value


def state_from_json(where: str, value: object, states: type[S]) -> S:
    """The state of that value; TypeError or ValueError otherwise, naming its path and the states."""
    return states(check_choice(where, value, [str(state.value) for state in states]))


def text_from_json(where: str, value: object) -> str:
    """Any text, line breaks included: reasons may hold the last lines of a log."""
    if not isinstance(value, str):
        raise TypeError(f"{where} is {value!r} ({type(value).__name__}); allowed: text")
    return value


def _time_from_json(where: str, value: object) -> datetime:
    text = text_from_json(where, value)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{where} is {text!r}; allowed: a time in ISO 8601 with +00:00") from None

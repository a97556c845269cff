"""What there is to know of a service that somebody else runs: is it one, and what may be done in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lakebed.services.definition import Place


@dataclass(frozen=True)
class Missing:
    """Something that tests need and a server does not allow.

    Attributes:
        what: cannot be done, with the server's own words.
        grant: how it is granted: SQL, a command, a setting.
    """

    what: str
    grant: str


@dataclass(frozen=True)
class AttachedService:
    """How a server of somebody else's is looked at, once, before it is used.

    Attributes:
        examine: returns when it is what its address says, within five seconds; raises WrongAddress or
            CredentialsRefused.
        missing: what is not allowed in it. It may make things, with names nobody else has, and removes them.
    """

    examine: Callable[[Place], None]
    missing: Callable[[Place], list[Missing]]

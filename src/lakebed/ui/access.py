"""Who may see the page: only who has the address that `lakebed ui` printed, in the browser it was opened in.

Sources: RFC 6265bis, "SameSite"; OWASP, "Cross-Site Request Forgery Prevention"; W3C, "Fetch Metadata Request
Headers"; W3C, "Content Security Policy Level 3".
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest

LOOPBACK = "127.0.0.1"

_TOKEN_BYTES = 32
_SAFE_METHODS = ("GET", "HEAD")
_OTHER_SITES = ("cross-site", "same-site")

SECURITY_HEADERS: dict[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": a form without a script would then send "null" for its origin.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""Of every answer."""


@dataclass(frozen=True)
class Access:
    """The secrets of one run of the page, and its port.

    Attributes:
        port: that it listens on.
        token: stands in the address that is printed, and buys the cookie.
        session: the cookie's value.
        form_token: stands in every form; who cannot read a page cannot know it.
    """

    port: int
    token: str = field(repr=False)
    session: str = field(repr=False)
    form_token: str = field(repr=False)

    @classmethod
    def new(cls, port: int) -> Access:
        """Return fresh secrets for a page on a port."""
        return cls(port, *(secrets.token_urlsafe(_TOKEN_BYTES) for _ in range(3)))

    @property
    def address(self) -> str:
        """What to open, the token in it."""
        return f"http://{LOOPBACK}:{self.port}/?token={self.token}"

    @property
    def cookie_name(self) -> str:
        """The cookie's name; cookies do not tell ports apart, so that two pages need two names."""
        return f"lakebed-ui-{self.port}"

    @property
    def cookie(self) -> str:
        """The cookie as it is set; it ends with the browser."""
        return f"{self.cookie_name}={self.session}; Path=/; HttpOnly; SameSite=Strict"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What a browser on this machine calls this server."""
        return f"{LOOPBACK}:{self.port}", f"localhost:{self.port}"

    def is_token(self, given: str) -> bool:
        """Whether it is the token, compared so that time tells nothing."""
        return compare_digest(given.encode(), self.token.encode())

    def is_form_token(self, given: str) -> bool:
        """Whether it is the token of this page's own forms."""
        return compare_digest(given.encode(), self.form_token.encode())


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered: what was wrong with it, and what to do."""

    seen: str
    remedy: str


_REMEDY = "open the address that `lakebed ui` has printed in your terminal"


def wrong_host(access: Access, headers: Mapping[str, str]) -> Refusal | None:
    """Refuse a name that is not this machine's: somebody may have it point here (DNS rebinding)."""
    if headers.get("host", "") in access.hosts:
        return None
    return Refusal("the request is for another host", f"{_REMEDY}; it begins with http://{LOOPBACK}")


def refusal(
    access: Access, method: str, headers: Mapping[str, str], cookies: Mapping[str, str]
) -> Refusal | None:
    """Return why a request is refused, or None.

    Args:
        access: the page's secrets.
        method: of HTTP.
        headers: of the request, their names in lower case.
        cookies: of the request.
    """
    session = cookies.get(access.cookie_name, "")
    if not compare_digest(session.encode(), access.session.encode()):
        return Refusal("this browser has not been let in yet", _REMEDY)
    site, mode = headers.get("sec-fetch-site", ""), headers.get("sec-fetch-mode", "")
    if site in _OTHER_SITES and mode != "navigate":
        return Refusal("another site has asked for this", _REMEDY)
    if method in _SAFE_METHODS:
        return None
    # Every browser sends the origin with a POST; whoever leaves it out is none.
    origins = [f"http://{host}" for host in access.hosts]
    if headers.get("origin") not in origins or headers["origin"] != f"http://{headers.get('host')}":
        return Refusal("the request comes from another origin", _REMEDY)
    if site not in ("", "same-origin"):
        return Refusal("another site has sent this form", _REMEDY)
    return None

"""The page's answers to requests: screens, their streams of updates, and the buttons."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from lakebed.config.secrets import mask_text
from lakebed.errors import LakebedError
from lakebed.ui.access import Access
from lakebed.ui.connectors import ACTIONS, act
from lakebed.ui.looking import Looking
from lakebed.ui.rendering import link, render
from lakebed.ui.screens import SECTIONS, Query, Screen, stamp, trouble, view

_MOST_BYTES_OF_A_FORM = 8192
_EVENT_STREAM = "text/event-stream"

Endpoint = Callable[[Request], Awaitable[Response]]


class Ending:
    """Told once that the server ends, so that streams end too."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        """Let every stream end."""
        self._event.set()

    async def comes_within(self, seconds: float) -> bool:
        """Wait for the end, at most so long; return whether it has come."""
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except asyncio.TimeoutError:
            return False
        return True


def screen_endpoint(screen: Screen, looking: Looking, access: Access, ending: Ending) -> Endpoint:
    """Return what answers for a screen: a page, or to an EventSource a stream of its changing content."""

    async def answer(request: Request) -> Response:
        query = dict(request.query_params)
        if _EVENT_STREAM in request.headers.get("accept", ""):
            events = view_events(screen, looking, query, access.form_token, ending)
            return StreamingResponse(events, media_type=_EVENT_STREAM)
        content = await to_thread.run_sync(view, screen, looking, query, access.form_token)
        return HTMLResponse(page(screen, query, content))

    return answer


def page(screen: Screen, query: Query, content: str) -> str:
    """Return a whole page around a screen's content."""
    named = query.get("name") or query.get("path")
    title = f"{named} · {screen.section}" if named else screen.section
    return render("page.html", title=title, sections=SECTIONS, current=screen.section, content=content)


async def view_events(
    screen: Screen, looking: Looking, query: Query, form_token: str, ending: Ending
) -> AsyncIterator[str]:
    """Yield a screen's content as server-sent events, at once and whenever it has changed.

    Source: HTML Living Standard, "Server-sent events".
    """
    last_stamp: object = None
    last_content = None
    yield "retry: 1000\n\n"
    while True:
        seen = await to_thread.run_sync(stamp, screen, looking, query)
        if seen is None or seen != last_stamp:
            content = await to_thread.run_sync(view, screen, looking, query, form_token)
            if content != last_content:
                yield event("view", content)
            last_stamp, last_content = seen, content
        if await ending.comes_within(screen.interval_seconds):
            return


def event(name: str, data: str) -> str:
    """Return a server-sent event; a line end of any kind in its data would end the field."""
    lines = "".join(f"data: {line}\n" for line in data.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return f"event: {name}\n{lines}\n"


def action_endpoint(looking: Looking, access: Access) -> Endpoint:
    """Return what answers to the buttons of a connector.

    A script gets what has happened as JSON; a form without one is led back to where it was.
    """

    async def answer(request: Request) -> Response:
        form = await _form(request)
        if form is None or not access.is_form_token(form.get("form_token", "")):
            error = LakebedError("take the form", "it is not one of this page's own", "reload the page")
            return HTMLResponse(render("refused.html", seen=error.seen, remedy=error.remedy), 403)
        name, action = form.get("name", ""), request.path_params["action"]
        if action not in ACTIONS:
            return Response("no such action", 404)
        done, said = await to_thread.run_sync(_done, looking, name, action)
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"done": done, "said": said}, 200 if done else 409)
        if not done:
            content = trouble(LakebedError(f"{action} connector {name!r}", said))
            return HTMLResponse(
                render("page.html", title=name, sections=SECTIONS, current="Connectors", content=content), 409
            )
        return RedirectResponse(_back(request, name), 303)

    return answer


def _done(looking: Looking, name: str, action: str) -> tuple[bool, str]:
    try:
        found = looking()
        if found is None:
            return False, "no stack runs"
        return True, act(found, name, action)
    except LakebedError as error:
        return False, mask_text(f"{error.seen.splitlines()[0] if error.seen else error.attempted}")
    except Exception as error:  # Connect may be stopped meanwhile
        return False, f"{type(error).__name__}"


def _back(request: Request, name: str) -> str:
    came_from = urlsplit(request.headers.get("referer", "")).path
    return "/connectors" if came_from == "/connectors" else link("/connector", name=name)


async def _form(request: Request) -> dict[str, str] | None:
    """Return the fields of a form; None where it is too long or no text."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES_OF_A_FORM:
            return None
    try:
        return {name: values[0] for name, values in parse_qs(body.decode()).items()}
    except ValueError:
        return None

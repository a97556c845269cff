"""The page as an ASGI application: routes behind a guard."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lakebed.ui.access import SECURITY_HEADERS, Access, refusal, wrong_host
from lakebed.ui.looking import Looking
from lakebed.ui.pages import Ending, Endpoint, action_endpoint, screen_endpoint
from lakebed.ui.rendering import FOLDER, render
from lakebed.ui.screens import SCREENS

_FIRST_SCREEN = SCREENS[0].path
_STATIC = "/static"


def application(looking: Looking, access: Access, ending: Ending) -> Starlette:
    """Return the application.

    Args:
        looking: looks at the stack, from any thread.
        access: who may see the page.
        ending: is told when the server ends.
    """
    screens = [
        Route(screen.path, screen_endpoint(screen, looking, access, ending), methods=["GET"])
        for screen in SCREENS
    ]
    return Starlette(
        routes=[
            Route("/", _entrance(access), methods=["GET"]),
            *screens,
            Route("/connector/{action}", action_endpoint(looking, access), methods=["POST"]),
            Mount(_STATIC, StaticFiles(directory=FOLDER / "static")),
        ],
        middleware=[Middleware(Guard, access=access)],
        exception_handlers={404: _not_found},
    )


class Guard:
    """Refuses whoever may not see the page, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        answer = self._refused(Request(scope))
        await (answer or self._app)(scope, receive, send_guarded)

    def _refused(self, request: Request) -> Response | None:
        headers = _by_name(request.headers)
        refused = wrong_host(self._access, headers)
        is_open = request.method in ("GET", "HEAD") and (
            request.url.path.startswith(f"{_STATIC}/")
            or (request.url.path == "/" and "token" in request.query_params)
        )
        if refused is None and not is_open:
            refused = refusal(self._access, request.method, headers, request.cookies)
        if refused is None:
            return None
        return HTMLResponse(render("refused.html", seen=refused.seen, remedy=refused.remedy), 403)


def _by_name(headers: Headers) -> dict[str, str]:
    """Return the headers by name; of one that comes twice nothing, so that it is not believed."""
    return {name: headers[name] for name in headers if len(headers.getlist(name)) == 1}


def _entrance(access: Access) -> Endpoint:
    async def answer(request: Request) -> Response:
        given = request.query_params.get("token")
        if given is None:
            return RedirectResponse(_FIRST_SCREEN, 303)
        if not access.is_token(given):
            remedy = "open the newest address that `lakebed ui` has printed; each run has one of its own"
            return HTMLResponse(
                render("refused.html", seen="the token is not this run's", remedy=remedy), 403
            )
        # No redirect: a strict cookie is not sent along one that began at another site, such as a file.
        return HTMLResponse(render("entrance.html", to=_FIRST_SCREEN), headers={"Set-Cookie": access.cookie})

    return answer


async def _not_found(request: Request, error: Exception) -> Response:
    return HTMLResponse(
        render("refused.html", seen=f"there is no page at {request.url.path}", remedy="go to /services"), 404
    )

"""What a request shows of who sends it: a bearer token, or the cookie of a browser; and what a browser must add to it.

Rules kept here:

1. A token in the ``Authorization`` header, or (browsers cannot set one on a WebSocket) as the subprotocol
   ``bearer.TOKEN`` beside the real one, is shown by whoever holds it: nothing more is asked. It is never in the
   address, which proxies log.
2. A cookie is sent by the browser, also for a page of somebody else. So what changes something must carry
   :data:`CSRF_HEADER`, which only a page of ours can know, and come from a page of ours, as far as the browser says.
3. A page is ours when its origin is the address that was asked. An origin that is none (``null``: a sandboxed frame, a
   file) is another one.
4. The cookie is HttpOnly and SameSite=Strict; under TLS it is Secure and bound to this host by its name.

Not here: whose token it is (:class:`controller.services.sessions.Sessions`).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from yarl import URL

from controller.config import is_loopback
from controller.services.errors import ForbiddenError

CSRF_HEADER: Final = "X-CSRF-Token"
#: Name of the cookie under TLS: browsers take a ``__Host-`` cookie only with Secure, Path=/ and no Domain.
SECURE_COOKIE: Final = "__Host-loa"
#: Name of the cookie on plain loopback.
PLAIN_COOKIE: Final = "loa"
_BEARER: Final = "bearer."
#: Methods that change nothing.
_READING: Final = frozenset({"GET", "HEAD"})
_CSRF_LABEL: Final = b"loa-csrf-1"


class ForgedError(ForbiddenError):
    """The browser sent it, but no page of ours asked for it."""

    code = "csrf_refused"


@dataclass(frozen=True, slots=True)
class Credential:
    """A token, and whether a browser sent it by itself."""

    token: str
    cookie: bool

    @property
    def csrf(self) -> str | None:
        """What a page must send along in :data:`CSRF_HEADER`; None for a bearer token, which needs nothing."""
        return csrf_of(self.token) if self.cookie else None


def credential_of(request: web.Request) -> Credential | None:
    """What the request shows: a bearer token before a cookie; None when it shows nothing."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return Credential(token.strip(), cookie=False)
    if is_upgrade(request):
        for part in offered(request):
            if part.startswith(_BEARER):
                return Credential(part.removeprefix(_BEARER), cookie=False)
    kept = request.cookies.get(_cookie_name(request))
    return Credential(kept, cookie=True) if kept else None


def csrf_of(token: str) -> str:
    """What belongs to a session's token and does not tell it."""
    return hmac.new(token.encode(errors="replace"), _CSRF_LABEL, hashlib.sha256).hexdigest()


def check_not_forged(request: web.Request, credential: Credential) -> None:
    """Rule 2: let through what a page of ours asked for.

    Raises:
        ForgedError: it changes something, and the header is missing or wrong, or the page is of another origin; or it
            opens a WebSocket (which cannot carry the header) and does not say that a page of ours does.
    """
    if not credential.cookie:
        return
    if is_upgrade(request) and not is_own_origin(request, request.headers.get("Origin", "")):
        raise ForgedError("a browser must say which page connects, and it must be ours", code="wrong_origin")
    if request.method in _READING:
        return
    check_own_page(request)
    said = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(said.encode(errors="replace"), csrf_of(credential.token).encode()):
        raise ForgedError(f"the header {CSRF_HEADER} is missing or of another session; load the page again")


def check_own_page(request: web.Request) -> None:
    """Let through what comes from a page of ours, or from no page at all (programs say nothing of pages).

    Raises:
        ForgedError: the browser says that the page is of another origin.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site not in {None, "same-origin"} or (origin is not None and not is_own_origin(request, origin)):
        raise ForgedError("a page of another site may not do this; open the console by its own address")


def is_own_origin(request: web.Request, origin: str) -> bool:
    """Whether a page of this origin is one of ours."""
    schemes = {"https"} if over_tls(request) else {"http", "https"}  # a proxy may have taken the TLS off unsaid
    try:
        page = URL(origin)
        return page.scheme in schemes and page.authority == URL(f"{page.scheme}://{request.host}").authority
    except ValueError:
        return False


def put_cookie(request: web.Request, response: web.Response, token: str) -> None:
    """Have the browser keep a session until it is closed; the session itself ends by its own rules."""
    secure = over_tls(request)
    response.set_cookie(_cookie_name(request), token, path="/", httponly=True, samesite="Strict", secure=secure)


def clear_cookie(request: web.Request, response: web.Response) -> None:
    """Have the browser forget it."""
    secure = over_tls(request)
    response.del_cookie(_cookie_name(request), path="/", httponly=True, samesite="Strict", secure=secure)


def over_tls(request: web.Request) -> bool:
    """Whether the browser speaks TLS, to us or to a proxy on this machine that says so."""
    if request.secure:
        return True
    return is_loopback(request.remote or "") and request.headers.get("X-Forwarded-Proto", "").lower() == "https"


def is_upgrade(request: web.Request) -> bool:
    """Whether the client wants a WebSocket."""
    return request.headers.get("Upgrade", "").lower() == "websocket"


def offered(request: web.Request) -> list[str]:
    """The subprotocols that the client speaks."""
    headers = request.headers.getall("Sec-WebSocket-Protocol", [])
    return [part.strip() for header in headers for part in header.split(",")]


def _cookie_name(request: web.Request) -> str:
    return SECURE_COOKIE if over_tls(request) else PLAIN_COOKIE

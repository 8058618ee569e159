"""The API client of the command line: standard-library HTTP, so that a command starts quickly.

Where to and as whom: ``--url``/``--token`` beat ``LOA_URL``/``LOA_TOKEN``, which beat the saved login
(``$XDG_CONFIG_HOME/loa/login.json``, mode 0600), which beats http://127.0.0.1:8470. A self-signed certificate is
accepted only by the fingerprint that was given to ``login`` and saved with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import quote, urlencode, urlsplit

from controller.cli.output import CliError, UsageFault

DEFAULT_URL = "http://127.0.0.1:8470"
#: Longest wait for an answer, in seconds; uploads get longer because the controller decodes before it answers.
TIMEOUT = 30.0
UPLOAD_TIMEOUT = 600.0
#: A connection that was idle for longer is not used again, in seconds.
_IDLE_S = 3.0


@dataclass(frozen=True, slots=True)
class Login:
    """Where to, and as whom."""

    url: str
    token: str | None = None
    fingerprint: str | None = None  # SHA-256 of the server's certificate, hex; None = the system's authorities decide


def login_path() -> Path:
    """Where the saved login lives."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "loa" / "login.json"


def saved_login() -> Login | None:
    """The saved login, if there is one that can be read."""
    try:
        value = json.loads(login_path().read_text())
        return Login(str(value["url"]), value.get("token"), value.get("fingerprint"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def save_login(login: Login) -> Path:
    """Keep a login for the next command (mode 0600)."""
    path = login_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = json.dumps({"url": login.url, "token": login.token, "fingerprint": login.fingerprint})
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
    return path


def current_login() -> Login:
    """Environment, then saved login, then this machine."""
    saved = saved_login()
    url = os.environ.get("LOA_URL") or (saved.url if saved else DEFAULT_URL)
    same = saved is not None and saved.url == url
    token = os.environ.get("LOA_TOKEN") or (saved.token if same and saved else None)
    return Login(url, token, saved.fingerprint if same and saved else None)


class ApiError(CliError):
    """The controller refused; carries its problem+json."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        detail = str(body.get("detail") or f"the controller answered {status}")
        fields = body.get("fields", ())
        # One field at fault stands in the detail already.
        lines = (": ".join(filter(None, (one.get("field"), one.get("message")))) for one in fields)
        more = "".join(f"\n  {text}" for text in lines) if len(fields) > 1 else ""
        super().__init__(detail + more, code=str(body.get("code", "http_error")))
        self.status = status
        self.body = body


class ApiClient:
    """One conversation with the controller. Use it as a context manager."""

    def __init__(self, login: Login | None = None) -> None:
        self._login = login or current_login()
        scheme, host, port, self._base = _where(self._login.url)
        token = self._login.token
        if token is not None and not (token.isascii() and token.isprintable()):
            raise UsageFault("the token (LOA_TOKEN or the saved login) has letters no token has", code="bad_token")
        self._used = 0.0
        self._connection = self._connect(scheme, host, port)

    @property
    def login(self) -> Login:
        """Where to, and as whom."""
        return self._login

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Any:
        """GET; returns the parsed JSON."""
        return self.request("GET", path, query=query)

    def post(self, path: str, body: object = None, *, idempotency_key: str | None = None) -> Any:
        """POST a JSON body."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self.request("POST", path, body=body if body is not None else {}, headers=headers)

    def patch(self, path: str, body: object) -> Any:
        """PATCH with a JSON body."""
        return self.request("PATCH", path, body=body)

    def put(self, path: str, body: object) -> Any:
        """PUT a JSON body."""
        return self.request("PUT", path, body=body)

    def delete(self, path: str) -> None:
        """DELETE."""
        self.request("DELETE", path)

    def pages(self, path: str, query: Mapping[str, object] | None = None) -> Iterator[dict[str, Any]]:
        """Every item of a paginated list."""
        cursor: str | None = None
        while True:
            page = self.get(path, {**(query or {}), "limit": 500, **({"cursor": cursor} if cursor else {})})
            yield from page["items"]
            cursor = page.get("next")
            if cursor is None:
                return

    def upload(
        self,
        path: str,
        file: IO[bytes],
        *,
        size: int,
        query: Mapping[str, object],
        media_type: str,
        method: str = "POST",
    ) -> Any:
        """Send a file as a raw body, read as it is sent."""
        headers = {"Content-Type": media_type, "Content-Length": str(size)}
        self._connection.timeout = UPLOAD_TIMEOUT
        return self._send(method, _target(self._base, path, query), file, headers)

    def download(self, path: str, query: Mapping[str, object] | None = None) -> bytes:
        """GET something that is not JSON."""
        content: bytes = self._send("GET", _target(self._base, path, query), None, {"Accept": "*/*"}, raw=True)
        return content

    def stream(self, path: str, query: Mapping[str, object] | None = None) -> Iterator[bytes]:
        """GET something without an end; its first byte is there when this returns.

        Raises:
            ApiError: the controller refused.
            CliError: it could not be reached.
        """
        response = self._open("GET", _target(self._base, path, query), None, {"Accept": "*/*"})
        if response.status >= 400:  # noqa: PLR2004 - success ends there
            _read(response.status, response.getheader("Content-Type", ""), response.read())
        return _pieces(response)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """One request; returns the parsed JSON, None when the answer has no body.

        Raises:
            ApiError: the controller refused.
            CliError: it could not be reached.
        """
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        more = {"Content-Type": "application/json"} if content is not None else {}
        return self._send(method, _target(self._base, path, query), content, {**more, **(headers or {})})

    def _send(
        self,
        method: str,
        target: str,
        body: bytes | IO[bytes] | None,
        headers: Mapping[str, str],
        *,
        raw: bool = False,
    ) -> Any:
        response = self._open(method, target, body, headers)
        try:
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        self._used = time.monotonic()
        if raw and response.status < 400:  # noqa: PLR2004 - success ends there
            return content
        return _read(response.status, response.getheader("Content-Type", ""), content)

    def _open(
        self, method: str, target: str, body: bytes | IO[bytes] | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        """Send a request and read the head of the answer."""
        own = {
            "Accept": "application/json",
            **({"Authorization": f"Bearer {self._login.token}"} if self._login.token else {}),
        }
        try:
            if time.monotonic() - self._used > _IDLE_S:
                self._connection.close()  # the controller may have closed it; opening it anew loses nothing
            if self._connection.sock is None:
                self._connection.connect()
                self._check_certificate()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before it was whole: hear why
                self._connection.request(method, target, body=body, headers={**own, **headers})
            return self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> CliError:
        why = str(error) or type(error).__name__
        return CliError(
            f"cannot reach the controller at {self._login.url}: {why}\n"
            "Is it running (loa-controller serve)? Set LOA_URL, or run: loa-controller login --url URL NAME",
            code="unreachable",
        )

    def _connect(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        context = ssl.create_default_context()
        if self._login.fingerprint is not None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE  # the fingerprint decides, see _check_certificate
        return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)

    def _check_certificate(self) -> None:
        if self._login.fingerprint is None or not isinstance(self._connection.sock, ssl.SSLSocket):
            return
        certificate = self._connection.sock.getpeercert(binary_form=True) or b""
        if hashlib.sha256(certificate).hexdigest() != self._login.fingerprint.lower().replace(":", ""):
            self._connection.close()
            raise CliError("the controller's certificate is not the one you signed in to", code="wrong_certificate")


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """What comes, as it comes, until it ends or breaks off."""
    try:
        while piece := response.read1(16_384):
            yield piece
    except (OSError, http.client.HTTPException) as error:
        raise CliError(f"the stream broke off: {error or type(error).__name__}", code="broken_off") from error


def _where(url: str) -> tuple[str, str, int | None, str]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # a port that is none, brackets that do not close
        parts, port = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageFault(f"{url!r} is not a URL such as {DEFAULT_URL}", code="bad_url")
    return parts.scheme, parts.hostname, port, parts.path.rstrip("/")


def _target(base: str, path: str, query: Mapping[str, object] | None) -> str:
    pairs = {name: value for name, value in (query or {}).items() if value is not None}
    return base + quote(path, safe="/") + (f"?{urlencode(pairs, doseq=True)}" if pairs else "")


def _read(status: int, content_type: str, content: bytes) -> Any:
    try:
        value = json.loads(content) if content else None
    except ValueError:
        value = None
    if status < 400 and (not content or "json" in content_type):  # noqa: PLR2004 - success ends there
        return value
    if isinstance(value, dict) and "json" in content_type:
        raise ApiError(status, value)
    raise ApiError(status, {"detail": f"the server answered {status}; is this really a Loa controller?"})

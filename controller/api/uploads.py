"""Files as they arrive over HTTP: a raw body, or the file of a form.

Rules kept here: nothing is gathered in memory; a sender that is silent for :data:`SILENT_S` is cut off; a form's fields
come before its file and are few and short.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import BodyPartReader, web

from controller.api.problems import RequestError
from controller.services.media_store import DiskFullError, UploadTooLargeError
from controller.services.recordings import Upload

#: A sender may pause this long, in seconds.
SILENT_S: Final = 30.0
_CHUNK: Final = 256 * 1024
_FIELDS: Final = 10
_FIELD_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Received:
    """A file on its way in, and what the form said beside it."""

    upload: Upload
    file_name: str
    fields: Mapping[str, str]


@asynccontextmanager
async def receiving(request: web.Request) -> AsyncIterator[Received]:
    """The file of a request; room and size problems get their HTTP status.

    Raises:
        RequestError: no file (400), cut off (400), too slow (408), too large (413), no room (507).
    """
    try:
        if request.content_type.startswith("multipart/"):
            yield await _of_form(request)
        else:
            yield Received(Upload(_raw(request), request.content_length), "", {})
    except UploadTooLargeError as error:
        raise RequestError(413, error.code, error.detail) from error
    except DiskFullError as error:
        raise RequestError(507, error.code, error.detail) from error
    except TimeoutError as error:
        raise RequestError(408, "upload_too_slow", f"nothing came for {SILENT_S:.0f} s; try again") from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise RequestError(400, "upload_cut_off", "the upload ended before it was whole; try again") from error


async def _of_form(request: web.Request) -> Received:
    fields: dict[str, str] = {}
    try:
        reader = await request.multipart()
        for _ in range(_FIELDS):
            async with asyncio.timeout(SILENT_S):
                part = await reader.next()
            if not isinstance(part, BodyPartReader):
                break
            if part.filename is not None or part.name == "file":
                return Received(Upload(_part(part)), part.filename or "", fields)
            value = await part.read_chunk(_FIELD_BYTES)
            fields[part.name or ""] = value.decode("utf-8", errors="replace")
            await part.release()
    except ValueError as error:
        raise RequestError(400, "bad_form", "this is not a form that can be read") from error
    raise RequestError(400, "no_file", "the form has no file; its fields come first, then 'file'")


async def _raw(request: web.Request) -> AsyncIterator[bytes]:
    while True:
        async with asyncio.timeout(SILENT_S):
            chunk = await request.content.readany()
        if not chunk:
            return
        yield chunk


async def _part(part: BodyPartReader) -> AsyncIterator[bytes]:
    while True:
        async with asyncio.timeout(SILENT_S):
            chunk = await part.read_chunk(_CHUNK)
        if not chunk:
            return
        yield chunk

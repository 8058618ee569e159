"""Alerts, drafts and templates as plain JSON, as the journal of orders and the database keep them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from controller.services.alerts.model import Alert, AlertDraft, Message

ValueT = TypeVar("ValueT")


class Codec(Generic[ValueT]):
    """One kind of frozen value to JSON and back."""

    def __init__(self, kind: type[ValueT]) -> None:
        self._adapter: TypeAdapter[ValueT] = TypeAdapter(kind)

    def dump(self, value: ValueT) -> dict[str, Any]:
        """The value as JSON."""
        dumped: dict[str, Any] = self._adapter.dump_python(value, mode="json")
        return dumped

    def load(self, value: Mapping[str, Any]) -> ValueT | None:
        """The value again; None when another version of the software wrote it otherwise."""
        try:
            return self._adapter.validate_python(dict(value))
        except ValidationError:
            return None


ALERTS = Codec(Alert)
DRAFTS = Codec(AlertDraft)
MESSAGES = Codec(Message)

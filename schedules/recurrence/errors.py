"""The one error of this package.

ValueError
└── RecurrenceError   code: rule_syntax, rule_unsupported, rule_value, time_syntax, time_out_of_range,
                            time_not_local, unknown_timezone
"""

from __future__ import annotations


class RecurrenceError(ValueError):
    """A recurrence that cannot be. ``code`` says why, in stable snake_case; the message says it to a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

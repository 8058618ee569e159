"""The agent's error tree. Every error has a stable ``code`` that scripts and records may rely on.

    AgentError
    ├── ConfigError          bad_url, bad_output, file_unwritable, bad_provisioning, bad_data_dir, bad_option
    ├── StorageError         storage_failing, storage_newer, not_enrolled
    ├── MediaError           media_missing, media_altered, media_too_large, disk_full
    ├── DiscoveryError       several_controllers, no_controller, mdns_unavailable
    ├── LinkError            unreachable, closed, timed_out, refused, bad_answer, wrong_root
    ├── EnrolmentError       enrolment_refused, enrolment_pending
    ├── StatusError          not_running, bad_status
    └── SupervisionError     crash_loop

Not here: what the wire and the trust rules refuse (:mod:`protocol`), what sound refuses (:mod:`audio`).
"""

from __future__ import annotations


class AgentError(Exception):
    """Something the agent could not do. ``code`` is stable, the message says what to do about it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ConfigError(AgentError):
    """An option or a provisioning file that cannot be right; exit code 2."""


class StorageError(AgentError):
    """The data directory cannot be read or written."""


class MediaError(AgentError):
    """A stored sound is missing, altered or does not fit."""


class DiscoveryError(AgentError):
    """No controller was found, or more than one that nothing tells apart."""


class LinkError(AgentError):
    """The controller could not be reached, or said something it must not."""


class EnrolmentError(AgentError):
    """The controller does not take this agent (yet)."""


class StatusError(AgentError):
    """The running agent could not be asked."""


class SupervisionError(AgentError):
    """A loop crashed too often; the process ends and systemd starts it again."""

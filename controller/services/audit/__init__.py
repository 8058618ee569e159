"""Who did what to what, in words; and proof that nobody changed the log."""

from controller.services.audit.checking import ChainCheck, Checked
from controller.services.audit.log import AuditFilter, AuditPage, AuditRow, AuditService, verify_file
from controller.services.audit.names import Names, Thing
from controller.services.audit.sentences import AuditKind

__all__ = [
    "AuditFilter",
    "AuditKind",
    "AuditPage",
    "AuditRow",
    "AuditService",
    "ChainCheck",
    "Checked",
    "Names",
    "Thing",
    "verify_file",
]

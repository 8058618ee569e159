"""Warnings in service (CAP): sources and policy, intake, matching, proposals, automatic rules; our own alerts as CAP.

The façade of the package.
"""

from __future__ import annotations

from controller.services.warnings.book import Kept, WarningBook
from controller.services.warnings.desk import Changes, WarningDesk, WarningFilter
from controller.services.warnings.drafts import Proposal, SpokenWords
from controller.services.warnings.handling import WarningHandler
from controller.services.warnings.intake import SourceHealth, WarningIntake
from controller.services.warnings.model import GeocodeRow, SourceEntry, SourceKind, State, WarningEntry
from controller.services.warnings.own_alerts import OwnAlert
from controller.services.warnings.policy import Mode, WarningPolicy, WarningRule
from controller.services.warnings.ports import Alerts, Composition
from controller.services.warnings.publishing import CapPublisher, FeedEntry, atom
from controller.services.warnings.reader import WarningReader
from controller.services.warnings.source_checks import SourceSpec, fingerprint
from controller.services.warnings.sources import TokenEntry, WarningSources

__all__ = [
    "Alerts",
    "CapPublisher",
    "Changes",
    "Composition",
    "FeedEntry",
    "GeocodeRow",
    "Kept",
    "Mode",
    "OwnAlert",
    "Proposal",
    "SourceEntry",
    "SourceHealth",
    "SourceKind",
    "SourceSpec",
    "SpokenWords",
    "State",
    "TokenEntry",
    "WarningBook",
    "WarningDesk",
    "WarningEntry",
    "WarningFilter",
    "WarningHandler",
    "WarningIntake",
    "WarningPolicy",
    "WarningReader",
    "WarningRule",
    "WarningSources",
    "atom",
    "fingerprint",
]

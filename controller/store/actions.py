"""Every action that the audit log may hold: who changes something names it with one of these.

A type, so that the type checker refuses an action nobody has words for
(:mod:`controller.services.audit.sentences` has a sentence for each, and a test that none is missing). Actions of the
journal of orders are made from its kinds of entries: ``order.`` and the kind of an order, ``alert.`` and a step.
"""

from __future__ import annotations

from typing import Literal

AuditAction = Literal[
    # people and their sessions
    "user.create", "user.grants", "user.disable", "user.enable", "user.password",
    "user.second_factor_begin", "user.second_factor", "user.second_factor_removed", "user.recovery_code",
    "session.login", "session.token", "session.logout",
    # places and boxes
    "area.create", "area.change", "area.delete",
    "zone.create", "zone.change", "zone.delete",
    "cluster.create", "cluster.change", "cluster.volume", "cluster.delete",
    "agent.provision", "agent.enrol", "agent.approve", "agent.move", "agent.revoke",
    # what is prepared
    "recording.create", "recording.ready", "recording.refused", "recording.cancel",
    "recording.change", "recording.replace",
    "recording.approve", "recording.reject", "recording.archive", "recording.restore",
    "source.create", "source.change", "source.archive", "source.lost", "source.back",
    "programme.create", "programme.change", "programme.change_one", "programme.split", "programme.join",
    "programme.withdraw", "programme.withdraw_one",
    # what sounds now
    "order.stop", "order.release", "order.withdraw", "order.play", "order.test",
    "order.stream_open", "order.close_stream",
    "live.start", "live.extend", "live.stop", "live.end",
    "listen.cluster", "listen.source",
    "tape.begin", "tape.end", "tape.cut_off", "tape.expire",
    # warnings
    "alert.compose", "alert.arm", "alert.fail", "alert.confirm", "alert.override", "alert.extend", "alert.cancel",
    "alert.clear", "alert.expire", "alert.stop", "alert.replace",
    "drill.drill", "drill.test", "drill.silent", "drill.cancel",
    "template.create", "template.change", "template.activate", "template.retire",
    "warning.propose", "warning.issue", "warning.accept", "warning.decline", "warning.cancel", "warning.reopen",
    "warning.superseded",
    "warning_source.create", "warning_source.change", "warning_source.remove", "warning_source.token",
    "warning_source.revoke_token", "warning_source.demote", "warning_source.restore",
    "cap.publish",
    # the house
    "backup.make",
    "backup.cancel", "backup.download",
]  # fmt: skip

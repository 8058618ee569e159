"""What a source's warnings may do by themselves: be shown, be proposed to people, or sound.

Rules kept here:

1. Test, Exercise, Draft and System messages, acknowledgements, quarantined or expired alerts, alerts with an altered
   signature, alerts not meant for the public, and alerts that reach no cluster of ours are shown and no more,
   whatever the policy says.
2. *Propose* fills in an alert that two people then send, or do not.
3. *Automatic* needs everything at once: the policy says so, one rule names this sender and this event, severity,
   urgency and certainty reach the rule's least, in a language it wants, the signature is valid by a certificate of the
   source, the alert says when it expires and is fresh, a template is there for the event, and the source was not
   demoted. Whatever is missing makes it a proposal, and the reasons say what was missing.
4. All words of a rule must hold for one and the same part (``<info>``), and only such parts sound by it
   (:func:`parts_for`): the places of the others hear nothing that was not said of them.

Pure: ``now`` is an argument. Not here: what is done about it (:mod:`controller.services.warnings.handling`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from controller.cap import at_least
from controller.services.warnings.languages import same_language
from controller.services.warnings.notice import Notice, NoticeInfo

#: An alert without a time of expiry is taken to hold this long.
LIFE_UNSAID: Final = timedelta(hours=24)
#: How far a sender's clock may be ahead of ours before its alerts lose their automatic way.
AHEAD: Final = timedelta(minutes=10)
#: An alert sent longer ago than this is news to nobody and sounds by no policy.
FRESH: Final = timedelta(hours=6)
#: Automatic alerts of one source within an hour after which people take over.
MOST_AUTOMATIC: Final = 3
MAX_RULES: Final = 20
_MAX_LIST: Final = 50

Severity = Literal["Extreme", "Severe", "Moderate", "Minor", "Unknown"]
Urgency = Literal["Immediate", "Expected", "Future", "Past", "Unknown"]
Certainty = Literal["Observed", "Likely", "Possible", "Unlikely", "Unknown"]
_Text = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f\u2028-\u202e\u2066-\u2069]+$"
    ),
]
_Tag = Annotated[str, StringConstraints(min_length=2, max_length=35, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$")]


class Mode(StrEnum):
    """How far a source's warnings get without a person."""

    SHOW = "show"
    PROPOSE = "propose"
    AUTOMATIC = "automatic"


class WarningRule(BaseModel):
    """When a warning sounds without a person. All of it must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _Text
    senders: tuple[_Text, ...] = Field(min_length=1, max_length=_MAX_LIST, description="Exactly as in <sender>")
    events: tuple[_Text, ...] = Field(
        min_length=1, max_length=_MAX_LIST, description="Words of <event> or values of <eventCode>, in any case"
    )
    min_severity: Severity = "Severe"
    min_urgency: Urgency = "Expected"
    min_certainty: Certainty = "Likely"
    languages: tuple[_Tag, ...] = Field(
        (), max_length=8, description="A part that sounds speaks one of them; none = any"
    )


class WarningPolicy(BaseModel):
    """What a source's warnings may do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode = Mode.SHOW
    require_signature: bool = Field(default=False, description="Without a valid signature a warning is only shown")
    propose_from: Severity = Field("Unknown", description="Least severity that is proposed; below it is only shown")
    repeat_two_hourly: bool = Field(default=False, description="Proposals repeat every two hours until they expire")
    most_automatic_per_hour: int = Field(MOST_AUTOMATIC, ge=1, le=20)
    rules: tuple[WarningRule, ...] = Field((), max_length=MAX_RULES)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.mode is Mode.AUTOMATIC and not self.rules:
            raise ValueError("automatic needs a rule that names senders and events")
        names = [rule.name for rule in self.rules]
        if len(set(names)) != len(names):
            raise ValueError("each rule needs a name of its own")
        return self


class Action(StrEnum):
    """How far a warning gets by itself."""

    SHOW = "show"
    PROPOSE = "propose"
    ISSUE = "issue"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of a warning, and what kept it from more (codes)."""

    action: Action
    reasons: tuple[str, ...] = ()
    rule: WarningRule | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """What is known beside the warning itself when it is judged."""

    reached: int  # clusters of ours
    template: bool  # one is there for its event
    demoted: bool  # the source lost its automatic way
    superseded: bool = False  # a later message of the source replaced or cancelled it already
    acted: bool = False  # the same words came by another source, which acted


@dataclass(frozen=True, slots=True)
class Issued:
    """An alert of ours that a warning led to."""

    alert_id: str
    sender: str  # of the warning
    automatic: bool


def expires_at(notice: Notice) -> datetime:
    """When the last part of a warning ends; a day after it was sent when it does not say."""
    said = [info.expires for info in notice.infos if info.expires is not None]
    whole = said and len(said) == len(notice.infos)
    return max(said) if whole else max([*said, _day_after(notice.sent)])


def in_force(notice: Notice, now: datetime) -> Notice:
    """The warning without its parts that are over; as it is when all of them are."""
    lasting = tuple(info for info in notice.infos if (info.expires or _day_after(notice.sent)) > now)
    return replace(notice, infos=lasting) if lasting else notice


def _day_after(sent: datetime) -> datetime:
    try:
        return sent + LIFE_UNSAID
    except OverflowError:  # sent on the last day that a calendar has
        return sent


def judge(notice: Notice, policy: WarningPolicy, case: Case, *, now: datetime) -> Judgement:
    """How far an Alert or Update gets by itself. A Cancel is for :func:`judge_cancel`."""
    held_back = _shown_only(notice, policy, case, now)
    if held_back or policy.mode is Mode.SHOW:
        return Judgement(Action.SHOW, held_back or ("policy_show",))
    if policy.mode is Mode.PROPOSE:
        return Judgement(Action.PROPOSE)
    missing = _not_automatic(notice, case, now)
    rule, nearest = _rule_for(notice, policy.rules)
    missing += nearest if rule is None else ()
    if missing or rule is None:
        return Judgement(Action.PROPOSE, missing)
    return Judgement(Action.ISSUE, rule=rule)


def _shown_only(notice: Notice, policy: WarningPolicy, case: Case, now: datetime) -> tuple[str, ...]:
    """What keeps a warning from being more than shown."""
    return tuple(
        code
        for code, holds in (
            (f"status_{notice.status.lower()}", notice.status != "Actual"),
            (f"message_{notice.msg_type.lower()}", notice.msg_type not in {"Alert", "Update"}),
            ("not_public", notice.scope != "Public"),
            *_doubtful(notice, policy),
            ("no_info", not notice.infos),
            ("expired", bool(notice.infos) and expires_at(notice) <= now),
            ("superseded", case.superseded),
            ("acted_already", case.acted),
            ("no_cluster", case.reached == 0),
            ("below_severity", bool(notice.infos) and not _reaches(notice, policy.propose_from)),
        )
        if holds
    )


def _doubtful(notice: Notice, policy: WarningPolicy) -> tuple[tuple[str, bool], ...]:
    return (
        ("quarantine", notice.quarantine),
        ("signature_invalid", notice.signature == "invalid"),
        ("signature_required", policy.require_signature and notice.signature != "valid"),
    )


def judge_cancel(notice: Notice, policy: WarningPolicy, *, issued: Sequence[Issued]) -> Judgement:
    """Whether a Cancel silences what was sent because of the messages it names, and still holds (``issued``).

    By itself only what the policy had sent by itself, of the same sender, and with a valid signature; what people sent
    is for people to cancel.
    """
    if notice.status != "Actual":
        return Judgement(Action.SHOW, (f"status_{notice.status.lower()}",))
    doubts = tuple(code for code, holds in _doubtful(notice, policy) if holds)
    if doubts or not issued:
        return Judgement(Action.SHOW, doubts or ("nothing_to_cancel",))
    missing = tuple(
        code
        for code, holds in (
            ("policy_propose", policy.mode is not Mode.AUTOMATIC),
            (f"signature_{notice.signature}", notice.signature != "valid"),
            ("other_sender", any(one.sender != notice.sender for one in issued)),
            ("sent_by_people", not all(one.automatic for one in issued)),
        )
        if holds
    )
    return Judgement(Action.PROPOSE, missing) if missing else Judgement(Action.ISSUE)


def of_its_own(notice: Notice, issued: Sequence[Issued]) -> tuple[str, ...]:
    """The alerts that an automatic Update may take the place of: those the policy sent, of the same sender."""
    return tuple(one.alert_id for one in issued if one.automatic and one.sender == notice.sender)


def _reaches(notice: Notice, least: str) -> bool:
    return any(at_least(info.severity, least) for info in notice.infos)


def _not_automatic(notice: Notice, case: Case, now: datetime) -> tuple[str, ...]:
    """What every rule asks, beside its own words."""
    return tuple(
        code
        for code, holds in (
            (f"signature_{notice.signature}", notice.signature != "valid"),
            ("no_expiry", any(info.expires is None for info in notice.infos)),
            ("from_the_future", notice.sent > now + AHEAD),
            ("not_yet_effective", any((info.effective or now) > now + AHEAD for info in notice.infos)),
            ("stale", notice.sent < now - FRESH),
            ("no_template", not case.template),
            ("all_clear", any("AllClear" in info.responses for info in notice.infos)),
            ("demoted", case.demoted),
        )
        if holds
    )


def _rule_for(notice: Notice, rules: Sequence[WarningRule]) -> tuple[WarningRule | None, tuple[str, ...]]:
    """The first rule that holds; else what was missing for the one that came nearest."""
    nearest: tuple[str, ...] = ("no_rule",)
    for index, rule in enumerate(rules):
        missing = rule_misses(notice, rule)
        if not missing:
            return rule, ()
        if index == 0 or len(missing) < len(nearest):
            nearest = missing
    return None, nearest


def rule_misses(notice: Notice, rule: WarningRule) -> tuple[str, ...]:
    """What of a rule does not hold for the part of a warning that comes nearest; nothing = it holds."""
    if notice.sender not in rule.senders:
        return ("rule_sender",)
    missing = [_misses(info, rule) for info in notice.infos]
    named = [codes for codes in missing if "rule_event" not in codes]
    return min(named, key=len) if named else ("rule_event",)


def parts_for(notice: Notice, rule: WarningRule) -> tuple[NoticeInfo, ...]:
    """The parts of a warning for which all of a rule holds: these alone may sound by it."""
    if notice.sender not in rule.senders:
        return ()
    return tuple(info for info in notice.infos if not _misses(info, rule))


def parts_to_sound(
    notice: Notice, rule: WarningRule, template_for: Callable[[NoticeInfo], str | None]
) -> tuple[str | None, tuple[NoticeInfo, ...], tuple[str, ...]]:
    """The one template that sounds by a rule, and the parts it sounds for; without one (None) why not."""
    found = [(template_for(info), info) for info in parts_for(notice, rule)]
    named = [(template, info) for template, info in found if template is not None]
    if len({template for template, _ in named}) > 1:
        return None, (), ("several_templates",)  # which of them sounds where is for people to say
    if not named:
        return None, (), ("no_template",)
    return named[0][0], tuple(info for _, info in named), ()


def _misses(info: NoticeInfo, rule: WarningRule) -> tuple[str, ...]:
    """What of a rule does not hold for one part."""
    wanted = {event.casefold() for event in rule.events}
    spoken = not rule.languages or any(same_language(info.language, tag) for tag in rule.languages)
    return tuple(
        code
        for code, holds in (
            ("rule_event", not wanted & {name.casefold() for name in (info.event, *info.codes)}),
            ("rule_severity", not at_least(info.severity, rule.min_severity)),
            ("rule_urgency", not at_least(info.urgency, rule.min_urgency)),
            ("rule_certainty", not at_least(info.certainty, rule.min_certainty)),
            ("rule_language", not spoken),
        )
        if holds
    )

"""The numbered invariants of protocol.trust, each by the attack it is there against."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from protocol.codec import encode, seal_document
from protocol.counters import Counters
from protocol.documents import (
    PAYLOAD_TYPES,
    CloseStreamOrder,
    DocumentKind,
    PlayOrder,
    ReleaseOrder,
    SilentTestOrder,
    StockClip,
    StockKind,
    StopOrder,
    Targets,
    WithdrawOrder,
)
from protocol.envelope import seal
from protocol.errors import AlreadyHaveError, MalformedError, ProtocolError, TrustError
from protocol.keys import Role, SigningKey
from protocol.limits import MAX_BODY
from protocol.trust import TrustedState
from schedules.instants import Frames
from schedules.ladder import Priority
from schedules.model import Clip, Pause, Recorded, Relay
from tests.unit.protocol import district as d

LATER = d.NOW + timedelta(seconds=5)


def refused(code: str, judge: Callable[..., Any], *args: Any, **kwargs: Any) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        judge(*args, **kwargs)
    assert caught.value.code == code, caught.value
    return caught.value


@pytest.fixture
def agent() -> d.Agent:
    return d.new_agent()


class TestWhatIsAccepted:
    def test_settings_plan_command_and_stream_in_turn(self, agent: d.Agent) -> None:
        state = agent.state
        assert agent.take(state.verify_settings(seal_document(d.settings(), d.PLAN), now=LATER)) == d.settings()
        assert agent.take(state.verify_plan(seal_document(d.plan(), d.PLAN), now=LATER)) == d.plan()
        assert agent.take(state.verify_command(seal_document(d.command(), d.PLAN), now=LATER)) == d.command()
        opened = state.verify_stream_open(seal_document(d.stream_open(), d.LIVE), now=LATER)
        assert agent.take(opened) == d.stream_open()
        assert state.cluster_id == d.CLUSTER

    def test_nothing_changes_before_commit(self, agent: d.Agent) -> None:
        before = agent.state.counters
        verified = agent.state.verify_plan(seal_document(d.plan(), d.PLAN), now=LATER)
        assert agent.state.counters == before
        assert verified.counters.marks[DocumentKind.PLAN].seq == 1
        agent.state.commit(verified)
        assert agent.state.counters == verified.counters

    def test_kinds_count_apart(self, agent: d.Agent) -> None:
        agent.take(agent.state.verify_command(seal_document(d.command(seq=900), d.PLAN), now=LATER))
        agent.take(agent.state.verify_plan(seal_document(d.plan(seq=1), d.PLAN), now=LATER))
        agent.take(agent.state.verify_stream_open(seal_document(d.stream_open(seq=1), d.LIVE), now=LATER))


class TestSignatures:
    """Invariants 1 and 2."""

    def test_unsigned(self, agent: d.Agent) -> None:
        value = json.loads(seal_document(d.plan(), d.PLAN))
        refused("unsigned", agent.state.verify_plan, json.dumps(value | {"signatures": []}), now=LATER)

    def test_two_signatures_where_one_is_needed(self, agent: d.Agent) -> None:
        refused("too_many_signatures", agent.state.verify_plan, seal_document(d.plan(), d.PLAN, d.LIVE), now=LATER)

    def test_the_same_signature_twice(self, agent: d.Agent) -> None:
        value = json.loads(seal_document(d.plan(), d.PLAN))
        value["signatures"] *= 2
        refused("too_many_signatures", agent.state.verify_plan, json.dumps(value), now=LATER)

    def test_altered_body(self, agent: d.Agent) -> None:
        value = json.loads(seal_document(d.plan(), d.PLAN))
        value["payload"] = base64.b64encode(encode(d.plan(seq=2))).decode()
        refused("bad_signature", agent.state.verify_plan, json.dumps(value), now=LATER)

    def test_a_body_of_garbage_is_not_even_parsed_without_a_signature(self, agent: d.Agent) -> None:
        value = json.loads(seal_document(d.plan(), d.PLAN))
        value["payload"] = base64.b64encode(b"[" * 9000).decode()
        refused("bad_signature", agent.state.verify_plan, json.dumps(value), now=LATER)

    def test_stranger(self, agent: d.Agent) -> None:
        refused("unknown_key", agent.state.verify_plan, seal_document(d.plan(), d.STRANGER), now=LATER)

    def test_key_named_but_not_held(self, agent: d.Agent) -> None:
        value = json.loads(seal_document(d.plan(), d.STRANGER))
        value["signatures"][0]["keyid"] = d.PLAN.fingerprint
        refused("bad_signature", agent.state.verify_plan, json.dumps(value), now=LATER)

    @pytest.mark.parametrize("kind", [kind for kind in DocumentKind if kind is not DocumentKind.PLAN])
    def test_another_type_with_the_same_body(self, agent: d.Agent, kind: DocumentKind) -> None:
        relabelled = seal(PAYLOAD_TYPES[kind], encode(d.plan()), d.PLAN)
        refused("wrong_type", agent.state.verify_plan, relabelled, now=LATER)

    def test_signed_body_of_another_kind(self, agent: d.Agent) -> None:
        confused = seal(PAYLOAD_TYPES[DocumentKind.COMMAND], encode(d.plan()), d.PLAN)
        refused("bad_field", agent.state.verify_command, confused, now=LATER)

    def test_too_large_before_anything_else(self, agent: d.Agent) -> None:
        refused("too_large", agent.state.verify_plan, b"{" * (2 * MAX_BODY), now=LATER)
        refused("too_large", seal, PAYLOAD_TYPES[DocumentKind.PLAN], bytes(MAX_BODY + 1), d.PLAN)

    def test_no_key_set_no_belief(self) -> None:
        state = TrustedState(d.AGENT_ID, d.ROOT.public)
        refused("no_key_set", state.verify_plan, seal_document(d.plan(), d.PLAN), now=LATER)


ALL = list(Priority)
STORED = [p for p in ALL if p is not Priority.STOP]


def _may_play(role: Role, priority: Priority) -> bool:
    if priority >= 80:
        return role is Role.EMERGENCY
    return role is (Role.DRILL if priority == 70 else Role.PLAN)


def _may_stream(role: Role, priority: Priority) -> bool:
    if priority >= 80:
        return role is Role.EMERGENCY
    return role is (Role.DRILL if priority == 70 else Role.LIVE)


class TestRoles:
    """Invariant 3: the whole table, every role against every class."""

    @pytest.mark.parametrize("role", list(Role))
    @pytest.mark.parametrize("priority", STORED)
    def test_play(self, agent: d.Agent, role: Role, priority: Priority) -> None:
        sealed = seal_document(d.play(priority), d.KEYS[role])
        if _may_play(role, priority):
            assert agent.take(agent.state.verify_command(sealed, now=LATER)).priority is priority
        else:
            refused("wrong_role", agent.state.verify_command, sealed, now=LATER)

    @pytest.mark.parametrize("role", list(Role))
    @pytest.mark.parametrize("priority", STORED)
    def test_stream(self, agent: d.Agent, role: Role, priority: Priority) -> None:
        sealed = seal_document(d.stream_open(priority, d.KEYS[role]), d.KEYS[role])
        if role is Role.DRILL and priority is Priority.DRILL:
            refused("drill_unmarked", agent.state.verify_stream_open, sealed, now=LATER)
        elif _may_stream(role, priority):
            assert agent.take(agent.state.verify_stream_open(sealed, now=LATER)).priority is priority
        else:
            refused("wrong_role", agent.state.verify_stream_open, sealed, now=LATER)

    @pytest.mark.parametrize("role", list(Role))
    @pytest.mark.parametrize(
        "order",
        [
            StopOrder(),
            StopOrder(timedelta(hours=1)),
            ReleaseOrder(),
            WithdrawOrder("pr_x"),
            CloseStreamOrder(5),
        ],
    )
    def test_silence(self, agent: d.Agent, role: Role, order: Any) -> None:
        sealed = seal_document(d.command(order), d.KEYS[role])
        if role in (Role.PLAN, Role.EMERGENCY):
            assert agent.take(agent.state.verify_command(sealed, now=LATER)).order == order
        else:
            refused("wrong_role", agent.state.verify_command, sealed, now=LATER)

    @pytest.mark.parametrize("role", list(Role))
    def test_silent_test(self, agent: d.Agent, role: Role) -> None:
        sealed = seal_document(d.command(SilentTestOrder()), d.KEYS[role])
        if role is Role.DRILL:
            assert agent.take(agent.state.verify_command(sealed, now=LATER)).order == SilentTestOrder()
        else:
            refused("wrong_role", agent.state.verify_command, sealed, now=LATER)

    @pytest.mark.parametrize("role", [Role.LIVE, Role.EMERGENCY, Role.DRILL])
    def test_only_the_plan_key_signs_settings_and_plans(self, agent: d.Agent, role: Role) -> None:
        refused("wrong_role", agent.state.verify_plan, seal_document(d.plan(), d.KEYS[role]), now=LATER)
        refused("wrong_role", agent.state.verify_settings, seal_document(d.settings(), d.KEYS[role]), now=LATER)

    @pytest.mark.parametrize("role", list(Role))
    def test_stop_is_not_a_sound(self, agent: d.Agent, role: Role) -> None:
        key = d.KEYS[role]
        refused("wrong_role", agent.state.verify_command, seal_document(d.play(Priority.STOP), key), now=LATER)
        opened = seal_document(d.stream_open(Priority.STOP, key), key)
        refused("wrong_role", agent.state.verify_stream_open, opened, now=LATER)

    def test_the_bundle_key_is_bound_by_its_own_role(self, agent: d.Agent) -> None:
        opened = d.stream_open(Priority.EMERGENCY_LIVE, d.LIVE)
        refused("wrong_role", agent.state.verify_stream_open, seal_document(opened, d.EMERGENCY), now=LATER)
        unknown = d.stream_open(Priority.COMMUNE_LIVE, d.STRANGER)
        refused("unknown_key", agent.state.verify_stream_open, seal_document(unknown, d.LIVE), now=LATER)

    def test_the_root_signs_no_orders(self, agent: d.Agent) -> None:
        refused("unknown_key", agent.state.verify_command, seal_document(d.command(), d.ROOT), now=LATER)

    def test_a_document_is_judged_by_its_keys_validity_when_it_was_issued(self, agent: d.Agent) -> None:
        retired = d.online(Role.PLAN, not_after=d.NOW + timedelta(days=1))
        keys = seal_document(d.key_set(version=2, keys=(retired,)), d.ROOT)
        agent.take(agent.state.verify_keyset(keys, now=LATER))
        much_later = d.NOW + timedelta(days=3)
        agent.take(agent.state.verify_plan(seal_document(d.plan(), d.PLAN), now=much_later))
        after = d.plan(seq=2, issued=d.NOW + timedelta(days=2))
        refused("key_not_valid", agent.state.verify_plan, seal_document(after, d.PLAN), now=much_later)

    def test_a_removed_key_is_revoked(self, agent: d.Agent) -> None:
        keys = seal_document(d.key_set(version=2, keys=(d.online(Role.LIVE),)), d.ROOT)
        agent.take(agent.state.verify_keyset(keys, now=LATER))
        refused("unknown_key", agent.state.verify_plan, seal_document(d.plan(), d.PLAN), now=LATER)


class TestOrder:
    """Invariants 4, 5 and 6."""

    @pytest.mark.parametrize("reboot", [False, True])
    def test_a_replayed_command_is_refused_for_ever(self, agent: d.Agent, reboot: bool) -> None:
        sealed = seal_document(d.command(seq=5), d.PLAN)
        agent.take(agent.state.verify_command(sealed, now=LATER))
        agent = agent.reboot() if reboot else agent
        refused("replayed", agent.state.verify_command, sealed, now=LATER)
        refused("replayed", agent.state.verify_command, seal_document(d.command(seq=4), d.PLAN), now=LATER)
        other = d.command(WithdrawOrder("pr_x"), seq=5)
        refused("replayed", agent.state.verify_command, seal_document(other, d.PLAN), now=LATER)
        agent.take(agent.state.verify_command(seal_document(d.command(seq=6), d.PLAN), now=LATER))

    @pytest.mark.parametrize("reboot", [False, True])
    def test_a_plan_offered_again_is_told_apart(self, agent: d.Agent, reboot: bool) -> None:
        sealed = seal_document(d.plan(seq=7), d.PLAN)
        agent.take(agent.state.verify_plan(sealed, now=LATER))
        agent = agent.reboot() if reboot else agent
        error = refused("already_have", agent.state.verify_plan, sealed, now=LATER)
        assert isinstance(error, AlreadyHaveError)
        assert error.document == d.plan(seq=7)
        other = seal_document(d.plan(seq=7, settings_sha256="00" * 32), d.PLAN)
        refused("replayed", agent.state.verify_plan, other, now=LATER)
        refused("older_version", agent.state.verify_plan, seal_document(d.plan(seq=6), d.PLAN), now=LATER)

    def test_settings_offered_again_are_told_apart(self, agent: d.Agent) -> None:
        sealed = seal_document(d.settings(seq=2), d.PLAN)
        agent.take(agent.state.verify_settings(sealed, now=LATER))
        refused("already_have", agent.state.verify_settings, sealed, now=LATER)
        refused("older_version", agent.state.verify_settings, seal_document(d.settings(), d.PLAN), now=LATER)

    def test_a_stream_is_opened_once(self, agent: d.Agent) -> None:
        sealed = seal_document(d.stream_open(seq=3), d.LIVE)
        agent.take(agent.state.verify_stream_open(sealed, now=LATER))
        refused("replayed", agent.state.verify_stream_open, sealed, now=LATER)

    def test_an_online_key_cannot_change_the_term(self, agent: d.Agent) -> None:
        refused("term_not_rooted", agent.state.verify_plan, seal_document(d.plan(term=2), d.PLAN), now=LATER)
        keys = seal_document(d.key_set(term=3, version=1), d.ROOT)
        agent.take(agent.state.verify_keyset(keys, now=LATER))
        refused("term_too_low", agent.state.verify_plan, seal_document(d.plan(term=2), d.PLAN), now=LATER)
        agent.take(agent.state.verify_plan(seal_document(d.plan(term=3), d.PLAN), now=LATER))

    def test_the_root_recovers_from_a_stolen_key_that_ran_the_counter_to_its_end(self, agent: d.Agent) -> None:
        last = 2**53 - 1
        agent.take(agent.state.verify_command(seal_document(d.command(seq=last), d.PLAN), now=LATER))
        refused("replayed", agent.state.verify_command, seal_document(d.command(seq=2), d.PLAN), now=LATER)
        agent.take(agent.state.verify_keyset(seal_document(d.key_set(term=2), d.ROOT), now=LATER))
        agent.take(agent.state.verify_command(seal_document(d.command(term=2, seq=1), d.PLAN), now=LATER))

    def test_a_key_set_never_goes_back(self, agent: d.Agent) -> None:
        newer = seal_document(d.key_set(version=5), d.ROOT)
        agent.take(agent.state.verify_keyset(newer, now=LATER))
        refused("already_have", agent.state.verify_keyset, newer, now=LATER)
        refused("older_version", agent.state.verify_keyset, seal_document(d.key_set(version=4), d.ROOT), now=LATER)
        changed = seal_document(d.key_set(version=5, expires=d.NOW + timedelta(days=9)), d.ROOT)
        refused("replayed", agent.state.verify_keyset, changed, now=LATER)

    def test_commit_refuses_to_go_back(self, agent: d.Agent) -> None:
        first = agent.state.verify_command(seal_document(d.command(seq=1), d.PLAN), now=LATER)
        second = agent.state.verify_command(seal_document(d.command(seq=2), d.PLAN), now=LATER)
        agent.state.commit(second)
        refused("replayed", agent.state.commit, first)
        assert agent.state.counters.marks[DocumentKind.COMMAND].seq == 2

    def test_the_same_order_twice_before_the_first_is_on_disk(self, agent: d.Agent) -> None:
        sealed = seal_document(d.play(), d.PLAN)
        first = agent.state.verify_command(sealed, now=LATER)
        second = agent.state.verify_command(sealed, now=LATER)
        agent.state.commit(first)
        refused("replayed", agent.state.commit, second)

    def test_a_refused_document_moves_no_counter(self, agent: d.Agent) -> None:
        before = agent.state.counters
        value = json.loads(seal_document(d.command(seq=2**40), d.STRANGER))
        value["signatures"][0]["keyid"] = d.PLAN.fingerprint
        refused("bad_signature", agent.state.verify_command, json.dumps(value), now=LATER)
        elsewhere = seal_document(d.command(seq=2**40, targets=Targets(agents=("0" * 32,))), d.PLAN)
        refused("wrong_target", agent.state.verify_command, elsewhere, now=LATER)
        assert agent.state.counters == before

    def test_damaged_counters_are_not_taken_for_empty(self, agent: d.Agent) -> None:
        stored = agent.state.counters.to_dict()
        assert Counters.from_dict(json.loads(json.dumps(stored))) == agent.state.counters
        damages: list[Any] = [[], None, {"key_set": [1, 1]}, {"key_set": [1, -1, "00" * 32]}, {"key_set": [1, 1, "z"]}]
        for damage in damages:
            with pytest.raises(MalformedError):
                Counters.from_dict(damage)


class TestTargets:
    """Invariant 7."""

    def test_documents_for_another_agent(self, agent: d.Agent) -> None:
        other = "0" * 32
        refused("wrong_target", agent.state.verify_plan, seal_document(d.plan(agent_id=other), d.PLAN), now=LATER)
        sealed = seal_document(d.settings(agent_id=other), d.PLAN)
        refused("wrong_target", agent.state.verify_settings, sealed, now=LATER)

    @pytest.mark.parametrize(
        ("targets", "meant"),
        [
            (Targets(everyone=True), True),
            (Targets(clusters=("cl_other", d.CLUSTER)), True),
            (Targets(agents=(d.AGENT_ID,)), True),
            (Targets(clusters=("cl_other",)), False),
            (Targets(agents=("0" * 32,), clusters=("cl_other",)), False),
        ],
    )
    def test_whom_an_order_means(self, agent: d.Agent, targets: Targets, meant: bool) -> None:
        for judge, sealed in (
            (agent.state.verify_command, seal_document(d.command(targets=targets), d.PLAN)),
            (agent.state.verify_stream_open, seal_document(d.stream_open(targets=targets), d.LIVE)),
        ):
            if meant:
                agent.take(judge(sealed, now=LATER))
            else:
                refused("wrong_target", judge, sealed, now=LATER)

    def test_moved_to_another_cluster_by_signed_settings_alone(self, agent: d.Agent) -> None:
        moved = d.settings(cluster=replace(d.settings().cluster, cluster_id="cl_elsewhere"))
        agent.take(agent.state.verify_settings(seal_document(moved, d.PLAN), now=LATER))
        old = seal_document(d.command(targets=Targets(clusters=(d.CLUSTER,))), d.PLAN)
        refused("wrong_target", agent.state.verify_command, old, now=LATER)


class TestTime:
    """Invariant 8."""

    @pytest.mark.parametrize("late", [timedelta(0), timedelta(days=900)])
    def test_expired(self, agent: d.Agent, late: timedelta) -> None:
        state = agent.state
        refused("expired", state.verify_plan, seal_document(d.plan(), d.PLAN), now=d.plan().expires + late)
        refused("expired", state.verify_command, seal_document(d.command(), d.PLAN), now=d.command().expires + late)
        opened = d.stream_open()
        refused("expired", state.verify_stream_open, seal_document(opened, d.LIVE), now=opened.not_after + late)
        keys = d.key_set(version=2, expires=d.NOW + timedelta(days=2))
        refused("expired", state.verify_keyset, seal_document(keys, d.ROOT), now=keys.expires + late)

    def test_from_the_future_and_the_freshness_is_not_burnt(self, agent: d.Agent) -> None:
        future = d.NOW + timedelta(days=9)
        ahead = seal_document(d.command(seq=50, issued=future, expires=future + timedelta(minutes=9)), d.PLAN)
        refused("not_yet_valid", agent.state.verify_command, ahead, now=LATER)
        agent.take(agent.state.verify_command(seal_document(d.command(seq=2), d.PLAN), now=LATER))

    def test_two_honest_clocks_may_differ(self, agent: d.Agent) -> None:
        agent.take(agent.state.verify_plan(seal_document(d.plan(), d.PLAN), now=d.NOW - timedelta(minutes=9)))

    def test_without_trusted_time(self, agent: d.Agent) -> None:
        state = agent.state
        agent.take(state.verify_settings(seal_document(d.settings(), d.PLAN), now=None))
        agent.take(state.verify_plan(seal_document(d.plan(), d.PLAN), now=None))
        agent.take(state.verify_command(seal_document(d.command(seq=1), d.PLAN), now=None))
        loud = seal_document(d.play(Priority.EMERGENCY_STORED, seq=2), d.EMERGENCY)
        agent.take(state.verify_command(loud, now=None))
        refused("replayed", state.verify_command, loud, now=None)
        for priority, key in ((Priority.PROGRAMME, d.PLAN), (Priority.DRILL, d.DRILL)):
            sealed = seal_document(d.play(priority, seq=3), key)
            refused("time_untrusted", state.verify_command, sealed, now=None)
        refused("time_untrusted", state.verify_stream_open, seal_document(d.stream_open(), d.LIVE), now=None)
        opened = seal_document(d.stream_open(Priority.EMERGENCY_LIVE, d.EMERGENCY), d.EMERGENCY)
        agent.take(state.verify_stream_open(opened, now=None))


def _drill(*pieces: Clip | Pause) -> bytes:
    item = replace(d.item(Priority.DRILL), content=Recorded(pieces))
    return seal_document(d.command(PlayOrder(item)), d.DRILL)


class TestDrills:
    """Invariant 10: a drill says so, first and last, in the words that the signed settings name."""

    other = Clip("cd" * 32, Frames(48_000))

    @pytest.mark.parametrize(
        "pieces",
        [
            (other,),
            (other, d.NOTICE),
            (d.NOTICE, other),
            (Pause(Frames(1)), d.NOTICE, other, d.NOTICE),
            (d.NOTICE, other, d.NOTICE, Pause(Frames(1))),
            (other, d.NOTICE, other),
        ],
    )
    def test_unmarked(self, agent: d.Agent, pieces: tuple[Clip | Pause, ...]) -> None:
        refused("drill_unmarked", agent.state.verify_command, _drill(*pieces), now=LATER)

    def test_a_relay_is_no_drill(self, agent: d.Agent) -> None:
        relay = Relay("so_vov", (d.NOTICE,))
        item = replace(d.item(Priority.DRILL), content=relay, slot_end=d.item().start + timedelta(minutes=5))
        sealed = seal_document(d.command(PlayOrder(item)), d.DRILL)
        refused("drill_unmarked", agent.state.verify_command, sealed, now=LATER)

    def test_marked(self, agent: d.Agent) -> None:
        agent.take(agent.state.verify_command(_drill(d.NOTICE, self.other, d.NOTICE), now=LATER))

    def test_the_settings_say_which_notice(self, agent: d.Agent) -> None:
        notice = StockClip("77" * 32, Frames(48_000), 9_000, StockKind.DRILL_NOTICE)
        agent.take(agent.state.verify_settings(seal_document(d.settings(stock=(notice,)), d.PLAN), now=LATER))
        refused("drill_unmarked", agent.state.verify_command, _drill(d.NOTICE, self.other, d.NOTICE), now=LATER)
        new = Clip(notice.sha256, notice.frames)
        agent.take(agent.state.verify_command(_drill(new, self.other, new), now=LATER))

    def test_without_any_notice_there_is_no_drill(self) -> None:
        agent = d.new_agent()
        agent.take(agent.state.verify_settings(seal_document(d.settings(stock=()), d.PLAN), now=LATER))
        refused("drill_unmarked", agent.state.verify_command, _drill(d.NOTICE, self.other, d.NOTICE), now=LATER)


class TestRoots:
    """Invariant 9."""

    def _rotate(self, agent: d.Agent) -> None:
        agent.take(agent.state.verify_root(seal_document(d.successor(), d.ROOT, d.NEXT_ROOT)))

    def test_rotation(self, agent: d.Agent) -> None:
        self._rotate(agent)
        assert agent.state.root_public == d.NEXT_ROOT.public
        old = seal_document(d.key_set(version=2), d.ROOT)
        refused("wrong_root", agent.state.verify_keyset, old, now=LATER)
        new = seal_document(d.key_set(version=2, root_fingerprint=d.NEXT_ROOT.fingerprint), d.NEXT_ROOT)
        agent.take(agent.state.verify_keyset(new, now=LATER))

    def test_the_fleet_goes_on_and_reboots_between_rotation_and_the_new_key_set(self, agent: d.Agent) -> None:
        sealed = seal_document(d.plan(), d.PLAN)
        agent.take(agent.state.verify_plan(sealed, now=LATER))
        self._rotate(agent)
        agent = agent.reboot()
        assert agent.state.restore_plan(sealed) == d.plan()
        agent.take(agent.state.verify_command(seal_document(d.command(), d.PLAN), now=LATER))

    @pytest.mark.parametrize("signers", [(d.ROOT,), (d.NEXT_ROOT,), (), (d.ROOT, d.STRANGER), (d.PLAN, d.NEXT_ROOT)])
    def test_not_signed_by_both(self, agent: d.Agent, signers: tuple[SigningKey, ...]) -> None:
        with pytest.raises(TrustError) as caught:
            agent.state.verify_root(seal_document(d.successor(), *signers))
        assert caught.value.code in {"unsigned", "unknown_key", "wrong_root"}

    @pytest.mark.parametrize("version", [3, 9])
    def test_one_step_at_a_time(self, agent: d.Agent, version: int) -> None:
        skipped = seal_document(d.successor(version=version), d.ROOT, d.NEXT_ROOT)
        refused("older_version", agent.state.verify_root, skipped)

    def test_a_succession_is_not_replayed(self, agent: d.Agent) -> None:
        self._rotate(agent)
        back = d.successor(version=3, previous=d.NEXT_ROOT.fingerprint, public=d.ROOT.public)
        agent.take(agent.state.verify_root(seal_document(back, d.NEXT_ROOT, d.ROOT)))
        refused("older_version", agent.state.verify_root, seal_document(d.successor(), d.ROOT, d.NEXT_ROOT))

    def test_a_rogue_root_signs_nothing_here(self, agent: d.Agent) -> None:
        rogue = d.key_set(version=9, root_fingerprint=d.OTHER_ROOT.fingerprint)
        refused("wrong_root", agent.state.verify_keyset, seal_document(rogue, d.OTHER_ROOT), now=LATER)
        lying = d.key_set(version=9, root_fingerprint=d.OTHER_ROOT.fingerprint)
        refused("wrong_root", agent.state.verify_keyset, seal_document(lying, d.ROOT), now=LATER)
        refused("wrong_root", agent.state.verify_keyset, seal_document(d.key_set(version=2), d.PLAN), now=LATER)


class TestDisk:
    """Invariant 10."""

    def test_restored_as_it_was(self, agent: d.Agent) -> None:
        settings, plan = seal_document(d.settings(seq=4), d.PLAN), seal_document(d.plan(seq=4), d.PLAN)
        agent.take(agent.state.verify_settings(settings, now=LATER))
        agent.take(agent.state.verify_plan(plan, now=LATER))
        agent = agent.reboot()
        assert agent.state.cluster_id is None
        assert agent.state.restore_settings(settings) == d.settings(seq=4)
        assert agent.state.restore_plan(plan, now=LATER) == d.plan(seq=4)
        assert agent.state.cluster_id == d.CLUSTER

    def test_an_older_plan_put_back_on_the_disk(self, agent: d.Agent) -> None:
        old = seal_document(d.plan(seq=1), d.PLAN)
        agent.take(agent.state.verify_plan(old, now=LATER))
        agent.take(agent.state.verify_plan(seal_document(d.plan(seq=2), d.PLAN), now=LATER))
        agent = agent.reboot()
        refused("replayed", agent.state.restore_plan, old)

    def test_one_that_was_never_accepted(self, agent: d.Agent) -> None:
        refused("replayed", agent.state.restore_plan, seal_document(d.plan(), d.PLAN))

    @pytest.mark.parametrize("when", [None, d.NOW + timedelta(days=5)])
    def test_the_expiry_of_the_key_set_does_not_silence_the_plan(self, when: datetime | None) -> None:
        agent = d.Agent(TrustedState(d.AGENT_ID, d.ROOT.public))
        short = d.key_set(expires=d.NOW + timedelta(days=1))
        agent.take(agent.state.verify_keyset(seal_document(short, d.ROOT), now=LATER))
        sealed = seal_document(d.plan(), d.PLAN)
        agent.take(agent.state.verify_plan(sealed, now=LATER))
        agent = agent.reboot()
        assert agent.state.restore_plan(sealed, now=when) == d.plan()
        siren = seal_document(d.play(Priority.EMERGENCY_STORED), d.EMERGENCY)
        agent.take(agent.state.verify_command(siren, now=LATER))

    def test_an_expired_plan_stays_silent(self, agent: d.Agent) -> None:
        sealed = seal_document(d.plan(), d.PLAN)
        agent.take(agent.state.verify_plan(sealed, now=LATER))
        refused("expired", agent.reboot().state.restore_plan, sealed, now=d.plan().expires)

    def test_survives_a_raised_term(self, agent: d.Agent) -> None:
        sealed = seal_document(d.plan(), d.PLAN)
        agent.take(agent.state.verify_plan(sealed, now=LATER))
        agent.take(agent.state.verify_keyset(seal_document(d.key_set(term=2), d.ROOT), now=LATER))
        assert agent.reboot().state.restore_plan(sealed) == d.plan()

    def test_a_lost_key_set_is_taken_again(self, agent: d.Agent) -> None:
        sealed = agent.key_set
        assert sealed is not None
        lost = TrustedState(d.AGENT_ID, d.ROOT.public, agent.state.counters)
        lost.commit(lost.verify_keyset(sealed, now=LATER))
        assert lost.key_set == d.key_set()

    def test_a_key_set_swapped_on_the_disk(self, agent: d.Agent) -> None:
        with pytest.raises(TrustError):
            TrustedState(d.AGENT_ID, d.ROOT.public, agent.state.counters, seal_document(d.key_set(version=2), d.ROOT))


def test_the_play_order_of_a_command_keeps_its_item(agent: d.Agent) -> None:
    command = agent.take(agent.state.verify_command(seal_document(d.play(), d.PLAN), now=LATER))
    assert command.order == PlayOrder(d.item())

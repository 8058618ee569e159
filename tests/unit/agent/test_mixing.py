"""What runs on beneath: the same cue before and after, faders told beforehand, records that say what was heard."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from audio.playout import MUTED_DB, CuePhase
from protocol.telemetry import PlayOutcome
from schedules.instants import SAMPLE_RATE, MonoUs, to_unix_us
from schedules.ladder import Priority
from schedules.model import AfterPreempt
from tests.unit.agent.rehearsal import SECOND, T0, Rehearsal, StopOrder, clip, command, item, play, relay, settings
from tests.unit.agent.test_live import Studio

START = T0 + timedelta(seconds=30)
EMERGENCY = Priority.EMERGENCY_STORED


@dataclass
class FaderLog:
    """What the player was told, as (seconds after START, level)."""

    agent: Rehearsal
    moves: list[tuple[float, float]] = field(default_factory=list)

    @classmethod
    def of(cls, agent: Rehearsal) -> FaderLog:
        log, inner = cls(agent), agent.player.set_level

        def told(cue_id: str, level_db: float, at: MonoUs | None = None) -> None:
            instant = agent.clock.mono_us() if at is None else at
            since = instant + agent.clock.offset_us - to_unix_us(START)
            log.moves.append((round(since / 1e6, 3), level_db))
            inner(cue_id, level_db, at)

        agent.player.set_level = told  # type: ignore[method-assign]
        return log


def cues(agent: Rehearsal) -> list[str]:
    return [act.cue_id for act in agent.conductor._show.stage.acts]


def test_what_joins_runs_on_beneath_a_programme_and_keeps_its_cue() -> None:
    joins = item("a", START, 30, after_preempt=AfterPreempt.JOIN)
    siren = item("siren", START + 10 * SECOND, 5, priority=EMERGENCY)
    agent = Rehearsal(joins, siren)
    log = FaderLog.of(agent)
    agent.run_until(START + 5 * SECOND)
    before = cues(agent)
    agent.run_until(START + 12 * SECOND)
    assert agent.heard() == "bulletin siren"
    assert before[0] in cues(agent)
    agent.run_until(START + 20 * SECOND)
    assert cues(agent) == before
    assert log.moves == [(10.0, MUTED_DB), (15.0, 0.0)]  # at the very instants, told beforehand
    agent.run_until(START + 60 * SECOND)
    by_title = {record.title: record for record in agent.records()}
    record = by_title["bulletin a"]
    assert record.frames == 25 * SAMPLE_RATE  # five seconds nobody heard
    assert record.silence_frames == 0
    assert record.outcome is PlayOutcome.PARTIAL
    assert (record.started, record.ended) == (START, START + 30 * SECOND)


def test_an_order_from_nowhere_mutes_when_its_first_sample_sounds() -> None:
    joins = item("a", START, 30, after_preempt=AfterPreempt.JOIN)
    agent = Rehearsal(joins)
    log = FaderLog.of(agent)
    agent.run_until(START + 10 * SECOND)
    siren = item("siren", agent.now, 5, priority=EMERGENCY)
    agent.conductor.take(play(siren, agent.now))
    agent.run_until(START + 25 * SECOND)
    (shut, muted), (opened, level) = log.moves
    assert (muted, level) == (MUTED_DB, 0.0)
    started = next(record.started for record in agent.records() if record.title == "bulletin siren")
    assert started is not None
    assert shut == pytest.approx((started - START).total_seconds(), abs=0.001)
    assert opened == pytest.approx(15.0, abs=0.2)
    assert agent.heard() == "bulletin a"


def radio_and_studio(*more: object, **cluster: object) -> tuple[Rehearsal, Studio]:
    """A relay on air since five seconds."""
    window = relay("radio", START, 60)
    agent = Rehearsal(window, *more, cluster=settings(**cluster))  # type: ignore[arg-type]
    radio = Studio(agent, priority=Priority.RELAY)
    agent.run_until(START - 5 * SECOND)
    radio.sync()
    radio.open(window.rule_id)
    radio.begin_in((START - agent.now).total_seconds() + 0.0)
    while agent.now < START - 0.5 * SECOND:
        agent.run_for(0.1)
    return agent, radio


def test_a_relay_comes_back_in_step_from_beneath_a_bulletin_without_being_armed_again() -> None:
    agent, radio = radio_and_studio(item("news", START + 10 * SECOND, 5))
    log = FaderLog.of(agent)
    radio.speak(5)
    before = cues(agent)
    radio.speak(8)
    assert agent.heard() == "bulletin news"
    radio.speak(7)
    assert agent.heard() == "relay radio"
    assert cues(agent) == before
    assert log.moves == [(10.0, MUTED_DB), (15.0, 0.0)]
    radio.speak(5, end=True)
    agent.run_for(60)
    by_title = {record.title: record for record in agent.records()}
    assert by_title["relay radio"].frames == 20 * SAMPLE_RATE
    assert by_title["relay radio"].silence_frames == 0
    assert by_title["bulletin news"].start_error_us == 0


def test_a_live_announcement_speaks_over_the_radio_where_the_settings_say_so() -> None:
    agent, radio = radio_and_studio(duck_db=-20.0)
    log = FaderLog.of(agent)
    radio.speak(5)
    before = cues(agent)
    voice = Studio(agent, stream=9)
    voice.open()
    voice.begin_in(0.4)
    for number in range(25):
        for one in (radio, voice):
            data = one.bundle(end=one is voice and number == 24)
            if agent.streams.push(data, now=agent.now):
                agent.conductor.step()
        agent.run_for(0.2)
    assert [level for _, level in log.moves] == [-20.0]
    phases = {cue.cue_id: cue.phase for cue in agent.player.state().cues}
    assert phases[before[0]] is CuePhase.SOUNDING
    radio.speak(5, end=True)
    assert [level for _, level in log.moves] == [-20.0, 0.0]
    agent.run_for(60)
    record = next(record for record in agent.records() if record.title == "relay radio")
    assert (record.frames, record.silence_frames) == (15 * SAMPLE_RATE, 0)  # softly, but heard


def test_new_settings_move_a_ducked_relay_at_once() -> None:
    agent, radio = radio_and_studio(duck_db=-20.0)
    log = FaderLog.of(agent)
    radio.speak(2)
    voice = Studio(agent, stream=9)
    voice.open()
    voice.begin_in(0.4)
    for number in range(15):
        for one in (radio, voice):
            if agent.streams.push(one.bundle(), now=agent.now):
                agent.conductor.step()
        agent.run_for(0.2)
        if number == 8:
            agent.conductor.set_settings(replace(agent.conductor.settings, duck_db=-12.0))
        if number == 11:
            agent.conductor.set_settings(replace(agent.conductor.settings, duck_db=None))
    assert [level for _, level in log.moves] == [-20.0, -12.0, MUTED_DB]


def test_stop_silences_what_runs_on_beneath_too() -> None:
    joins = item("a", START, 30, after_preempt=AfterPreempt.JOIN)
    siren = item("siren", START + 10 * SECOND, 5, priority=EMERGENCY)
    agent = Rehearsal(joins, siren)
    agent.run_until(START + 12 * SECOND)
    agent.conductor.take(command(StopOrder(), agent.now))
    agent.run_for(0.2)
    assert cues(agent) == []
    agent.run_until(START + 40 * SECOND)
    assert agent.heard() is None
    assert {record.outcome for record in agent.records()} == {PlayOutcome.STOPPED}


def test_what_came_beneath_an_emergency_starts_when_it_is_first_heard() -> None:
    siren = item("siren", START, 10, priority=EMERGENCY)
    joins = item("a", START + 5 * SECOND, 20, after_preempt=AfterPreempt.JOIN)
    agent = Rehearsal(siren, joins)
    agent.run_until(START + 8 * SECOND)
    assert agent.heard() == "bulletin siren"
    assert len(cues(agent)) == 2
    agent.run_until(START + 60 * SECOND)
    record = next(record for record in agent.records() if record.title == "bulletin a")
    assert record.started == START + 10 * SECOND
    assert record.start_error_us == 5_000_000
    assert record.frames == 15 * SAMPLE_RATE


def test_never_heard_beneath_an_emergency_is_missed() -> None:
    siren = item("siren", START, 30, priority=EMERGENCY)
    joins = item("a", START + 5 * SECOND, 10, after_preempt=AfterPreempt.JOIN)
    agent = Rehearsal(siren, joins)
    agent.run_until(START + 60 * SECOND)
    record = next(record for record in agent.records() if record.title == "bulletin a")
    assert (record.outcome, record.started, record.frames) == (PlayOutcome.MISSED, None, 0)


def test_what_resumes_loses_no_sample() -> None:
    one = item("a", START, 30)
    siren = item("siren", START + 10 * SECOND, 5, priority=EMERGENCY)
    agent = Rehearsal(one, siren)
    agent.run_until(START + 80 * SECOND)
    record = next(record for record in agent.records() if record.title == "bulletin a")
    assert (record.outcome, record.frames) == (PlayOutcome.PLAYED, 30 * SAMPLE_RATE + 4800)  # and the fade at its end
    assert record.ended == START + 35 * SECOND


def test_a_withdrawn_emergency_opens_the_fader_again() -> None:
    """Told beforehand that it will be silenced, and then it is not."""
    joins = item("a", START, 30, after_preempt=AfterPreempt.JOIN)
    siren = item("siren", START + 10 * SECOND, 5, priority=EMERGENCY)
    agent = Rehearsal(joins, siren)
    log = FaderLog.of(agent)
    agent.run_until(START + 9.9 * SECOND)
    assert [level for _, level in log.moves] == [MUTED_DB]
    agent.conductor.set_plan((joins,))
    agent.run_until(START + 60 * SECOND)
    (record,) = [record for record in agent.records() if record.title == "bulletin a"]
    assert (record.outcome, record.frames) == (PlayOutcome.PLAYED, 30 * SAMPLE_RATE)
    assert [level for _, level in log.moves] == [MUTED_DB, 0.0]


def test_a_relay_whose_stream_is_early_opens_with_its_window() -> None:
    window = relay("radio", START, 20, (clip("song", 3),))
    agent = Rehearsal(window)
    radio = Studio(agent, priority=Priority.RELAY)
    agent.run_until(START - 10 * SECOND)
    radio.sync()
    radio.open(window.rule_id)
    radio.begin_in(0.5)
    radio.speak(15)
    record_at = agent.conductor.heard()
    assert record_at is not None
    assert record_at.started_at is not None
    assert record_at.started_at + agent.clock.offset_us == to_unix_us(START)

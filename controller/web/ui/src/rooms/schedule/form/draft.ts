/** What the form holds, and its way to the API's shape and back. Pure. */
import type { shapes } from "../../../api";
import { NOWHERE, type Choice } from "../../../design/targets";
import { addDays, dayOf, isDay, weekdayOf, type Wall } from "../grid/wall";
import { patternOf, rruleOf, type Pattern } from "../recurrence";

export type Kind = "bulletin" | "relay" | "text" | "recording";
export const KINDS: readonly Kind[] = ["bulletin", "relay", "text", "recording"];
export type Priority = "PROGRAMME" | "PRIORITY_BULLETIN" | "FILLER";
export type Chime = "opening" | "closing" | null;

export interface Draft {
  title: string;
  kind: Kind;
  day: string;
  time: string;
  pattern: Pattern;
  recordings: readonly string[];
  source: string;
  minutes: number;
  priority: Priority;
  repeat: number;
  gap: number;
  chimeBefore: boolean;
  chimeAfter: boolean;
  late: "join" | "skip" | "play_full_within";
  lateMinutes: number;
  afterPreempt: "resume" | "restart" | "skip" | "join";
  choice: Choice;
}

/** As most programmes are: tomorrow at five in the morning, once. */
export function freshDraft(now: Wall, at?: { start: Wall; minutes: number }, area?: string): Draft {
  const day = at ? dayOf(at.start) : addDays(dayOf(now), 1);
  return {
    title: "",
    kind: "bulletin",
    day,
    time: at ? at.start.slice(11, 16) : "05:00",
    pattern: { repeats: "once", weekdays: [weekdayOf(day)], until: "", rrule: "FREQ=MONTHLY;BYMONTHDAY=1" },
    recordings: [],
    source: "",
    minutes: at ? Math.max(at.minutes, 5) : 30,
    priority: "PROGRAMME",
    repeat: 1,
    gap: 30,
    chimeBefore: false,
    chimeAfter: false,
    late: "join",
    lateMinutes: 10,
    afterPreempt: "resume",
    choice: area ? { ...NOWHERE, areas: [area] } : NOWHERE,
  };
}

/** A programme as the form shows it. */
export function draftOf(shape: shapes.ProgrammeView): Draft {
  const { content } = shape;
  const recorded = content.kind === "recorded" ? content : null;
  return {
    title: shape.title,
    kind: content.kind === "relay" ? "relay" : "bulletin",
    day: dayOf(shape.dtstart),
    time: shape.dtstart.slice(11, 16),
    pattern: patternOf(shape.rrule ?? null, shape.dtstart),
    recordings: recorded?.recordings ?? [],
    source: content.kind === "relay" ? content.source : "",
    minutes: shape.slot_s ? Math.round(shape.slot_s / 60) : 30,
    priority: shape.priority === "RELAY" || !shape.priority ? "PROGRAMME" : shape.priority,
    repeat: recorded?.repeat ?? 1,
    gap: recorded?.gap_s ?? 30,
    chimeBefore: Boolean(recorded?.chime_before),
    chimeAfter: Boolean(recorded?.chime_after),
    late: shape.late?.kind ?? "join",
    lateMinutes: Math.max(1, Math.round((shape.late?.within_s ?? 600) / 60)),
    afterPreempt: shape.after_preempt ?? "resume",
    choice: {
      ...NOWHERE,
      areas: shape.targets.areas ?? [],
      clusters: shape.targets.clusters ?? [],
      zones: shape.targets.zones ?? [],
    },
  };
}

export type Missing = "title" | "content" | "source" | "where" | "weekdays" | "time" | "rrule";

/** What still has to be filled in, in the order of the form. */
export function missingIn(draft: Draft): Missing[] {
  const { pattern, choice } = draft;
  const found: Missing[] = [];
  if (draft.kind === "relay" && !draft.source) found.push("source");
  if (draft.kind !== "relay" && draft.recordings.length === 0) found.push("content");
  if (!draft.title.trim()) found.push("title");
  if (!isDay(draft.day) || !/^\d{2}:\d{2}/.test(draft.time)) found.push("time");
  if (pattern.repeats === "weekly" && pattern.weekdays.length === 0) found.push("weekdays");
  if (pattern.repeats === "rule" && !pattern.rrule.trim()) found.push("rrule");
  if (choice.areas.length + choice.clusters.length + choice.zones.length === 0 && !choice.everywhere)
    found.push("where");
  return found;
}

export function firstOf(draft: Draft): Wall {
  return `${draft.day}T${draft.time.slice(0, 5)}:00`;
}

/**
 * What the API is told. `before`: the programme that is changed; what the form does not show stays as it is, and single
 * occurrences that were edited stay so while the times are the same.
 */
export function shapeOf(draft: Draft, areaId: string, before?: shapes.ProgrammeView): shapes.ProgrammeShapeInput {
  const relay = draft.kind === "relay";
  const dtstart = firstOf(draft);
  const rrule = rruleOf(draft.pattern);
  const sameTimes = before !== undefined && before.rrule === rrule && sameMinute(before.dtstart, dtstart);
  const kept = sameTimes
    ? { exdates: before.exdates, rdates: before.rdates, moved: before.moved, replaced: before.replaced }
    : {};
  const fallback = before?.content.kind === "relay" ? before.content.fallback : undefined;
  return {
    area_id: areaId,
    title: draft.title.trim(),
    priority: relay ? "RELAY" : draft.priority,
    dtstart: sameTimes ? before.dtstart : dtstart,
    timezone: before?.timezone ?? null,
    rrule,
    ...kept,
    content: relay
      ? { kind: "relay", source: draft.source, ...(fallback ? { fallback } : {}) }
      : {
          kind: "recorded",
          recordings: [...draft.recordings],
          repeat: draft.repeat,
          gap_s: draft.gap,
          chime_before: draft.chimeBefore ? "opening" : null,
          chime_after: draft.chimeAfter ? "closing" : null,
        },
    targets: {
      areas: [...draft.choice.areas],
      clusters: [...draft.choice.clusters],
      zones: [...draft.choice.zones],
    },
    late: { kind: draft.late, within_s: draft.late === "play_full_within" ? draft.lateMinutes * 60 : null },
    after_preempt: draft.afterPreempt,
    overrun: before?.overrun ?? "let_finish",
    slot_s: relay ? draft.minutes * 60 : before?.content.kind === "recorded" ? (before.slot_s ?? null) : null,
    max_delay_s: before?.max_delay_s ?? 600,
  };
}

function sameMinute(a: Wall, b: Wall): boolean {
  return a.slice(0, 16) === b.slice(0, 16);
}

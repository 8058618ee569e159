import { expect, it } from "vitest";
import type { shapes } from "../../../api";
import { NOWHERE } from "../../../design/targets";
import { draftOf, freshDraft, missingIn, shapeOf } from "./draft";

const NOW = "2026-11-29T16:00:00";

it("begins as most programmes are: tomorrow at five, once", () => {
  const draft = freshDraft(NOW);
  expect([draft.day, draft.time, draft.pattern.repeats]).toEqual(["2026-11-30", "05:00", "once"]);
  expect(missingIn(draft)).toEqual(["content", "title", "where"]);
  const drawn = freshDraft(NOW, { start: "2026-12-01T17:30:00", minutes: 45 }, "ar_1");
  expect([drawn.day, drawn.time, drawn.minutes, drawn.choice.areas]).toEqual(["2026-12-01", "17:30", 45, ["ar_1"]]);
});

it("says to the API what was filled in", () => {
  const draft = { ...freshDraft(NOW), title: " Bản tin ", recordings: ["rc_1"], choice: { ...NOWHERE, areas: ["a"] } };
  expect(missingIn(draft)).toEqual([]);
  expect(shapeOf({ ...draft, chimeBefore: true, late: "play_full_within" }, "d")).toMatchObject({
    title: "Bản tin",
    dtstart: "2026-11-30T05:00:00",
    rrule: null,
    priority: "PROGRAMME",
    content: { kind: "recorded", recordings: ["rc_1"], repeat: 1, chime_before: "opening", chime_after: null },
    late: { kind: "play_full_within", within_s: 600 },
    slot_s: null,
  });
  expect(shapeOf({ ...draft, kind: "relay", source: "so_1", minutes: 60 }, "d")).toMatchObject({
    priority: "RELAY",
    slot_s: 3_600,
    content: { kind: "relay", source: "so_1" },
  });
});

it("keeps what it does not show, and single edits while the times are the same", () => {
  const before = {
    ...shapeOf({ ...freshDraft(NOW), recordings: ["rc_1"], choice: { ...NOWHERE, areas: ["a"] } }, "d"),
    title: "Bản tin",
    rrule: "FREQ=DAILY",
    dtstart: "2026-11-30T05:00:20",
    exdates: ["2026-12-01T05:00:20"],
    overrun: "cut_with_fade",
    slot_s: 300,
    max_delay_s: 60,
  } as unknown as shapes.ProgrammeView;
  const same = shapeOf({ ...draftOf(before), title: "Bản tin mới" }, "d", before);
  expect(same).toMatchObject({
    title: "Bản tin mới",
    dtstart: "2026-11-30T05:00:20",
    exdates: ["2026-12-01T05:00:20"],
    overrun: "cut_with_fade",
    slot_s: 300,
    max_delay_s: 60,
  });
  const later = shapeOf({ ...draftOf(before), time: "06:00" }, "d", before);
  expect([later.dtstart, later.exdates]).toEqual(["2026-11-30T06:00:00", undefined]);
});

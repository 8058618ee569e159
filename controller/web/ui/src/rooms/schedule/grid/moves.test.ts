import { expect, it } from "vitest";
import { item } from "./item.fixture";
import { drawn, isAhead, mayResize, moved, slotSeconds } from "./moves";

const now = "2026-11-30T05:02:00";

it("never plans into the past", () => {
  expect(isAhead("2026-11-30T05:02:01", now)).toBe(true);
  expect(isAhead(now, now)).toBe(false);
});

it("takes of a drawn stretch what is yet to come", () => {
  expect(drawn("2026-11-30T06:00:00", "2026-11-30T06:20:00", now)).toEqual({
    start: "2026-11-30T06:00:00",
    minutes: 20,
  });
  expect(drawn("2026-11-30T04:00:00", "2026-11-30T06:00:00", now)).toEqual({
    start: "2026-11-30T05:05:00",
    minutes: 55,
  });
  expect(drawn("2026-11-30T04:00:00", "2026-11-30T05:05:00", now)).toBeNull();
});

it("makes windows longer and shorter, within what is allowed; recordings not", () => {
  expect([mayResize(item()), mayResize(item({ kind: "relay" }))]).toEqual([false, true]);
  expect(mayResize(item({ kind: "relay", editable: false }))).toBe(false);
  expect(slotSeconds("2026-11-30T05:00:00", "2026-11-30T05:30:00")).toBe(1_800);
  expect(slotSeconds("2026-11-30T05:00:00", "2026-11-30T05:00:00")).toBe(60);
  expect(slotSeconds("2026-11-30T05:00:00", "2026-12-01T05:00:00")).toBe(43_200);
});

it("keeps the length of what is moved", () => {
  const there = moved(item(), new Date("2026-11-30T10:00:00Z"));
  expect([there.start, there.end, there.moved]).toEqual(["2026-11-30T10:00:00.000Z", "2026-11-30T10:05:00.000Z", true]);
});

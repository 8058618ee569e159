import { expect, it } from "vitest";
import { clashes } from "./clashes";
import { item } from "./item.fixture";

const zone = "Asia/Ho_Chi_Minh";
const quiet = { begin: "21:30:00", end: "04:45:00" };
const morning = item({ start: "2026-11-29T22:00:00Z", end: "2026-11-29T22:05:00Z" }); // 5 o'clock on the 30th
const met = (start: string, end: string) => clashes(start, end, { items: [morning], quiet, zone });

it("names what sounds in that stretch, and not what ends where it begins", () => {
  expect(met("2026-11-30T04:50:00", "2026-11-30T05:05:00").items).toEqual([morning]);
  expect(met("2026-11-30T05:05:00", "2026-11-30T05:30:00").items).toEqual([]);
  expect(met("2026-11-30T04:45:00", "2026-11-30T05:00:00").items).toEqual([]);
});

it("knows quiet hours over midnight, from the evening before and into the next day", () => {
  expect(met("2026-11-30T04:30:00", "2026-11-30T04:50:00").quiet).toBe(true);
  expect(met("2026-11-30T21:00:00", "2026-11-30T22:00:00").quiet).toBe(true);
  expect(met("2026-11-30T20:00:00", "2026-12-01T00:00:00").quiet).toBe(true);
  expect(met("2026-11-30T04:45:00", "2026-11-30T21:30:00").quiet).toBe(false);
});

it("knows quiet hours at noon, and none", () => {
  const [start, end] = ["2026-11-30T11:00:00", "2026-11-30T12:00:00"];
  expect(clashes(start, end, { items: [], quiet: { begin: "11:30", end: "13:30" }, zone }).quiet).toBe(true);
  expect(clashes(start, end, { items: [], quiet: null, zone }).quiet).toBe(false);
});

import { expect, it } from "vitest";
import { addDays, instantAt, isDay, mondayOf, offsetAt, wallAt } from "./wall";

const VN = "Asia/Ho_Chi_Minh";

it("goes to the wall and back", () => {
  expect(wallAt("2026-11-29T22:00:00Z", VN)).toBe("2026-11-30T05:00:00");
  expect(instantAt("2026-11-30T05:00:00", VN).toISOString()).toBe("2026-11-29T22:00:00.000Z");
  expect(offsetAt(new Date("2026-11-29T22:00:00Z"), VN)).toBe("+07:00");
  expect(offsetAt(new Date("2026-06-29T22:00:00Z"), "America/St_Johns")).toBe("-02:30");
});

it("knows zones whose clocks are changed", () => {
  const berlin = "Europe/Berlin";
  expect(instantAt("2026-07-01T05:00:00", berlin).toISOString()).toBe("2026-07-01T03:00:00.000Z");
  expect(instantAt("2026-12-01T05:00:00", berlin).toISOString()).toBe("2026-12-01T04:00:00.000Z");
  expect(wallAt(instantAt("2026-03-29T03:30:00", berlin), berlin)).toBe("2026-03-29T03:30:00");
});

it("counts days and weeks", () => {
  expect([mondayOf("2026-11-29"), mondayOf("2026-11-30"), addDays("2026-12-31", 1)]).toEqual([
    "2026-11-23",
    "2026-11-30",
    "2027-01-01",
  ]);
  expect([isDay("2026-11-30"), isDay("30/11"), isDay("2026-13-40"), isDay(null)]).toEqual([true, false, false, false]);
});

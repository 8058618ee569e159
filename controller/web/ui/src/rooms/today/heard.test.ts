import { expect, it } from "vitest";
import { cut, heard, well } from "./heard";

const nothing = {
  title: "Cảnh báo lũ",
  priority: 80,
  start: "2026-11-29T09:00:00Z",
  expected: null,
  reported: 0,
  played: 0,
  partial: 0,
  missed: 0,
  skipped: 0,
  refused: 0,
  stopped: 0,
  silent_count: 0,
};

it("says of what was cancelled that it was cut, not that nobody heard all of it", () => {
  const cancelled = { ...nothing, reported: 3, stopped: 3 };
  expect([cut(cancelled), heard(cancelled)]).toEqual([true, "bị dừng giữa chừng"]);
});

it("says where it was cut while it goes on elsewhere", () => {
  const held = { ...nothing, reported: 1, stopped: 1, expected: 9 };
  expect(heard(held)).toBe("bị dừng ở 1 cụm");
  expect(heard({ ...held, reported: 9, stopped: 9 })).toBe("bị dừng giữa chừng");
});

it("says how many heard all of it once one did, or failed to", () => {
  const some = { ...nothing, reported: 3, played: 1, stopped: 2, expected: 3 };
  expect([cut(some), heard(some), well(some)]).toEqual([false, "1/3 cụm phát đủ", false]);
  const failed = { ...nothing, reported: 2, missed: 1, stopped: 1 };
  expect([cut(failed), heard(failed), well(failed)]).toEqual([false, "0 cụm phát đủ", false]);
  const all = { ...nothing, reported: 2, played: 2, expected: 2 };
  expect([heard(all), well(all)]).toEqual(["2/2 cụm phát đủ", true]);
});

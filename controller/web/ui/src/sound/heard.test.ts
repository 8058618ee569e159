import { expect, it } from "vitest";
import { fewer, heardShare, heardWhole, outline } from "./heard";

const played = (...parts: [number, number][]) => ({
  length: parts.length,
  start: (i: number) => parts[i]![0],
  end: (i: number) => parts[i]![1],
});

it("counts what was played, not where the playhead stands", () => {
  expect(heardShare(played([0, 10], [50, 60]), 60)).toBeCloseTo(1 / 3);
  expect(heardShare(played(), 60)).toBe(0);
  expect(heardShare(played([0, 1]), 0)).toBe(0);
});

it("is whole only when nothing but a breath is missing", () => {
  expect(heardWhole(played([0, 59.8]), 60)).toBe(true);
  expect(heardWhole(played([0, 30], [31, 60]), 60)).toBe(false);
  expect(heardWhole(played([0, 0.4]), 0.5)).toBe(true);
  expect(heardWhole(played(), 0)).toBe(false);
});

it("draws a bar for each part", () => {
  expect(outline([0, 1])).toBe("M0.5 -0.015V0.015M1.5 -1.000V1.000");
  expect(fewer([0.1, 0.5, 0.2, 0.9], 2)).toEqual([0.5, 0.9]);
  expect(fewer([0.1], 5)).toEqual([0.1]);
});

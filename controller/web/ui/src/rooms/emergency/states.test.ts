import { expect, it } from "vitest";
import { badgeOf, isGiven, isRunning, stateOf } from "./states";

it("what sounded once is over, what repeats is not, and a late box may still sound it", () => {
  const alert = (counts: Record<string, number> | null, every_s: number | null = null) =>
    stateOf({ state: "sounding", every_s, counts });
  expect(alert({ started: 1, finished: 2 })).toBe("sounding");
  expect(alert({ started: 0, finished: 2, queued: 1 })).toBe("sounded");
  expect(alert({ started: 0, finished: 2 }, 7_200)).toBe("sounding");
  expect(alert(null)).toBe("sounding");
  expect(stateOf({ state: "armed", every_s: null, counts: null })).toBe("armed");
});

it("red is for what is real", () => {
  expect(["armed", "sounding", "sounded", "cancelled"].map(badgeOf)).toEqual(["warn", "emergency", "emergency", "ok"]);
  expect(["composed", "sounding", "missed"].map(isRunning)).toEqual([true, true, false]);
  expect(isGiven("sounded")).toBe(true);
});

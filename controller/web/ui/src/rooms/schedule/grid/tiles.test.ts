import { expect, it } from "vitest";
import { item } from "./item.fixture";
import { tilesOf, type Measure } from "./tiles";

const measure: Measure = { zone: "Asia/Ho_Chi_Minh", minMinutes: 10, columns: 3, sliceMinutes: 30 };
const at = (n: number, begin: string, minutes: number) => {
  const start = new Date(`2026-11-29T${begin}:00Z`);
  const said = { start: start.toISOString(), end: new Date(start.getTime() + minutes * 60_000).toISOString() };
  return item({ programme_id: `pr_${n}`, recurrence: said.start, ...said });
};

it("draws what is short long enough to be hit, at the area's own time", () => {
  const [tile] = tilesOf([at(1, "22:00", 1)], measure);
  expect([tile!.start, tile!.end]).toEqual(["2026-11-30T05:00:00", "2026-11-30T05:10:00"]);
});

it("leaves a few side by side as they are", () => {
  const items = [at(1, "22:00", 60), at(2, "22:05", 5), at(3, "22:20", 5)];
  expect(tilesOf(items, measure).map((tile) => tile.items.length)).toEqual([1, 1, 1]);
});

it("gathers a crowd by stretches, and nothing else", () => {
  const crowd = Array.from({ length: 12 }, (_, i) => at(i, "22:00", 20));
  const tiles = tilesOf([...crowd, at(50, "22:40", 5), at(51, "09:00", 5)], measure);
  expect(tiles.map((tile) => [tile.start.slice(11, 16), tile.end.slice(11, 16), tile.items.length])).toEqual([
    ["16:00", "16:10", 1],
    ["05:00", "05:20", 12],
    ["05:40", "05:50", 1],
  ]);
});

it("makes few tiles of two thousand, losing none", () => {
  const items = Array.from({ length: 2_000 }, (_, i) => {
    const start = Date.UTC(2026, 10, 29, 22) + (i % 7) * 86_400_000 + Math.floor(i / 7) * 4 * 60_000;
    return item({
      programme_id: `pr_${i}`,
      recurrence: new Date(start).toISOString(),
      start: new Date(start).toISOString(),
      end: new Date(start + (5 + (i % 5) * 9) * 60_000).toISOString(),
    });
  });
  const tiles = tilesOf(items, measure);
  expect(tiles.reduce((sum, tile) => sum + tile.items.length, 0)).toBe(2_000);
  expect(tiles.length).toBeLessThan(400);
});

import { expect, it } from "vitest";
import { item } from "./item.fixture";
import { MAX_TILES, tilesOf, type Measure } from "./tiles";

const measure: Measure = { zone: "Asia/Ho_Chi_Minh", days: 7, minMinutes: 10, columns: 3, sliceMinutes: 30 };
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

it.each([
  ["one behind the other", 5, 5],
  ["at the same times", 0, 20],
  ["with gaps between them", 15, 3],
  ["of all lengths", 4, 47],
])("makes few tiles of two thousand %s, losing none", (_, apart, longest) => {
  const items = Array.from({ length: 2_000 }, (_, i) => {
    const start = Date.UTC(2026, 10, 29, 17) + (i % 7) * 86_400_000 + ((Math.floor(i / 7) * apart) % 1_440) * 60_000;
    const said = new Date(start).toISOString();
    const end = new Date(start + (1 + (i % longest)) * 60_000).toISOString();
    return item({ programme_id: `pr_${i}`, recurrence: said, start: said, end });
  });
  for (const minMinutes of [20, 10, 5]) {
    const tiles = tilesOf(items, { ...measure, minMinutes, sliceMinutes: minMinutes * 3 });
    expect(tiles.reduce((sum, tile) => sum + tile.items.length, 0)).toBe(2_000);
    expect(tiles.length).toBeLessThanOrEqual(MAX_TILES);
  }
});

it("leaves a quiet day beside a full one as it is", () => {
  const full = Array.from({ length: 280 }, (_, i) => {
    const start = new Date(Date.UTC(2026, 10, 29, 17) + i * 5 * 60_000).toISOString();
    return item({ programme_id: `pr_${i}`, start, end: new Date(Date.parse(start) + 300_000).toISOString() });
  });
  const next = ["00:00", "00:20", "00:40"].map((time, i) => {
    const start = `2026-12-01T${time}:00Z`;
    return item({ programme_id: `next_${i}`, start, end: new Date(Date.parse(start) + 600_000).toISOString() });
  });
  const tiles = tilesOf([...full, ...next], { ...measure, minMinutes: 5 });
  expect(tiles.slice(-3).map((tile) => tile.items.length)).toEqual([1, 1, 1]);
  expect(tiles).toHaveLength(24 + 3);
});

/**
 * What the grid draws: one tile for one occurrence, or for many that stand in each other's way. Pure.
 *
 * Short sounds get a height that can be read and hit; where more than a few tiles would stand side by side, those of a
 * stretch become one tile that says how many they are. So a week of thousands stays a page of some hundred tiles.
 */
import type { shapes } from "../../../api";
import { fromMs, toMs, wallAt, type Wall } from "./wall";

export type Item = shapes.GridItemView;

export interface Tile {
  id: string;
  start: Wall;
  /** Where it is drawn to: the end of the sound, or later when that is too short to be seen. */
  end: Wall;
  items: readonly Item[];
}

export interface Measure {
  zone: string;
  /** Nothing is drawn shorter. */
  minMinutes: number;
  /** Tiles side by side, before they are gathered. */
  columns: number;
  /** The stretch that is gathered. */
  sliceMinutes: number;
}

interface Placed {
  item: Item;
  start: number;
  end: number;
}

const MINUTE = 60_000;

export function keyOf(item: { programme_id: string; recurrence: string }): string {
  return `${item.programme_id} ${item.recurrence}`;
}

export function tilesOf(items: readonly Item[], measure: Measure): Tile[] {
  const placed = items
    .map((item): Placed => {
      const start = toMs(wallAt(item.start, measure.zone));
      const length = Date.parse(item.end) - Date.parse(item.start);
      return { item, start, end: start + Math.max(length, measure.minMinutes * MINUTE) };
    })
    .sort((a, b) => a.start - b.start || b.end - a.end || (keyOf(a.item) < keyOf(b.item) ? -1 : 1));
  return crowds(placed).flatMap((crowd) =>
    columnsOf(crowd) <= measure.columns ? crowd.map((each) => tile([each])) : gathered(crowd, measure),
  );
}

/** Those that touch each other, directly or through others. */
function crowds(placed: readonly Placed[]): Placed[][] {
  const found: Placed[][] = [];
  let end = -Infinity;
  for (const each of placed) {
    if (each.start >= end) found.push([]);
    found.at(-1)!.push(each);
    end = Math.max(end, each.end);
  }
  return found;
}

function columnsOf(crowd: readonly Placed[]): number {
  const ends: number[] = [];
  for (const { start, end } of crowd) {
    const free = ends.findIndex((each) => each <= start);
    ends[free < 0 ? ends.length : free] = end;
  }
  return ends.length;
}

function gathered(crowd: readonly Placed[], { sliceMinutes, minMinutes }: Measure): Tile[] {
  const slice = sliceMinutes * MINUTE;
  const slices = Map.groupBy(crowd, (each) => Math.floor(each.start / slice));
  return [...slices].map(([number, within]) =>
    within.length === 1
      ? tile(within)
      : tile(
          within,
          Math.max(
            within[0]!.start + minMinutes * MINUTE,
            Math.min((number + 1) * slice, Math.max(...within.map((each) => each.end))),
          ),
        ),
  );
}

function tile(within: readonly Placed[], end: number = within[0]!.end): Tile {
  const { item, start } = within[0]!;
  const many = within.length > 1 ? "many " : "";
  return { id: many + keyOf(item), start: fromMs(start), end: fromMs(end), items: within.map((each) => each.item) };
}

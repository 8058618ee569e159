/**
 * What the grid draws: one tile for one occurrence, or for many that stand in each other's way. Pure.
 *
 * Short sounds get a height that can be read and hit; where more than a few tiles would stand side by side, those of a
 * stretch become one tile that lists them. A day with more tiles than can be drawn while it scrolls is gathered further,
 * by the hour at last: a week of thousands is a page of some hundred tiles, and a quiet day beside a full one stays as
 * it is.
 */
import type { shapes } from "../../../api";
import { DAY_MS, fromMs, toMs, wallAt, type Wall } from "./wall";

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
  /** Days beside each other. */
  days: number;
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

/** So many tiles scroll smoothly on a slow machine without a graphics card. */
export const MAX_TILES = 420;
const HOUR_MINUTES = 60;

export function tilesOf(items: readonly Item[], measure: Measure): Tile[] {
  const placed = items
    .map((item): Placed => {
      const start = toMs(wallAt(item.start, measure.zone));
      const length = Date.parse(item.end) - Date.parse(item.start);
      return { item, start, end: start + Math.max(length, measure.minMinutes * MINUTE) };
    })
    .sort((a, b) => a.start - b.start || b.end - a.end || (keyOf(a.item) < keyOf(b.item) ? -1 : 1));
  return [...Map.groupBy(placed, (each) => Math.floor(each.start / DAY_MS)).values()].flatMap((day) =>
    tilesOfDay(day, measure),
  );
}

function tilesOfDay(placed: readonly Placed[], measure: Measure): Tile[] {
  const most = Math.floor(MAX_TILES / measure.days);
  const side = drawn(placed, measure);
  if (side.length <= most) return side;
  const alone = drawn(placed, { ...measure, columns: 1 });
  if (alone.length <= most) return alone;
  return gathered(placed, { ...measure, sliceMinutes: Math.max(measure.sliceMinutes, HOUR_MINUTES) });
}

function drawn(placed: readonly Placed[], measure: Measure): Tile[] {
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

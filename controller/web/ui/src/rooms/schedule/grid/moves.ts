/** Where a tile may be put. Pure: now is an argument. */
import type { Item } from "./tiles";
import { fromMs, toMs, type Wall } from "./wall";

/** What the pointer is doing on the grid, and where it would come to. */
export type Drag =
  { kind: "move" | "resize"; item: Item; start: Wall; end: Wall } | { kind: "draw"; start: Wall; end: Wall };

export const SNAP_MINUTES = 5;
/** A relay lasts at most so long (the API's own limit). */
export const MAX_SLOT_MINUTES = 720;

/** Nothing is planned into the past. */
export function isAhead(start: Wall, now: Wall): boolean {
  return toMs(start) > toMs(now);
}

/** An area of the grid that was drawn over: begins now or later, on a whole step, and lasts at least a step. */
export function drawn(start: Wall, end: Wall, now: Wall): { start: Wall; minutes: number } | null {
  const step = SNAP_MINUTES * 60_000;
  const begin = Math.max(toMs(start), Math.floor(toMs(now) / step) * step + step);
  const minutes = Math.round((toMs(end) - begin) / 60_000);
  return minutes < SNAP_MINUTES ? null : { start: fromMs(begin), minutes: Math.min(minutes, MAX_SLOT_MINUTES) };
}

/** Only a relay is as long as its window; a recording is as long as it is. */
export function mayResize(item: Item): boolean {
  return item.editable && item.kind === "relay";
}

/** How long a window becomes when its lower edge is put there. */
export function slotSeconds(start: Wall, end: Wall): number {
  const minutes = Math.round((toMs(end) - toMs(start)) / 60_000);
  return Math.min(Math.max(minutes, 1), MAX_SLOT_MINUTES) * 60;
}

/** The item as it will be, shown before the controller has answered. */
export function moved(item: Item, start: Date): Item {
  const length = Date.parse(item.end) - Date.parse(item.start);
  return { ...item, start: start.toISOString(), end: new Date(start.getTime() + length).toISOString(), moved: true };
}

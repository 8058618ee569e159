/**
 * What stands where a new programme is being drawn, as far as the grid itself knows: nobody has said yet what is to sound
 * there, and where. The controller is asked once that is known. Pure.
 */
import { keyOf, type Item } from "./tiles";
import { addDays, dayOf, later, toMs, wallAt, type Day, type Wall } from "./wall";

/** Local times of a day; an end that is not after the beginning is of the next day. */
export interface Quiet {
  begin: string;
  end: string;
}

export interface Clashes {
  /** The stretch touches quiet hours. */
  quiet: boolean;
  /** What sounds then, by start. */
  items: readonly Item[];
}

/** The quiet stretches that begin on these days. */
export function quietStretches(first: Day, days: number, quiet: Quiet): { day: Day; start: Wall; end: Wall }[] {
  return Array.from({ length: days }, (_, i) => {
    const day = addDays(first, i);
    const over = quiet.end <= quiet.begin ? addDays(day, 1) : day;
    return { day, start: `${day}T${quiet.begin.slice(0, 5)}:00`, end: `${over}T${quiet.end.slice(0, 5)}:00` };
  });
}

export function clashes(
  start: Wall,
  end: Wall,
  { items, quiet, zone }: { items: readonly Item[]; quiet: Quiet | null; zone: string },
): Clashes {
  const [first, last] = [dayOf(start), dayOf(later(end, -1))];
  const days = Math.round((toMs(`${last}T00:00:00`) - toMs(`${first}T00:00:00`)) / 86_400_000) + 2;
  const meets = (from: Wall, to: Wall) => from < end && start < to;
  const found = items.filter((item) => meets(wallAt(item.start, zone), wallAt(item.end, zone)));
  return {
    quiet:
      quiet !== null && quietStretches(addDays(first, -1), days, quiet).some((each) => meets(each.start, each.end)),
    items: found.sort((a, b) => Date.parse(a.start) - Date.parse(b.start) || (keyOf(a) < keyOf(b) ? -1 : 1)),
  };
}

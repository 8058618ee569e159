/** What the calendar is told: tiles as its events, and the words and measures of the grid. Pure. */
import type { Calendar } from "@event-calendar/core";
import { soundClass } from "../../../design/sound-class";
import { times, type Language } from "../../../i18n";
import { quietStretches, type Quiet } from "./clashes";
import { mayResize } from "./moves";
import { standing } from "./standing";
import type { Tile } from "./tiles";
import { addDays, fromCalendar, offsetAt, type Day, type Wall } from "./wall";

export type Zoom = "small" | "normal" | "large";
/** Height of half an hour in pixels, and what a tile is at least: some 22 px, to be read and hit. */
export const ZOOMS: Record<Zoom, { slotHeight: number; minMinutes: number }> = {
  small: { slotHeight: 32, minMinutes: 20 },
  normal: { slotHeight: 64, minMinutes: 10 },
  large: { slotHeight: 128, minMinutes: 5 },
};

export function eventOf(tile: Tile, mayPlan: boolean): Calendar.EventInput {
  const one = tile.items.length === 1 ? tile.items[0] : undefined;
  const editable = mayPlan && one !== undefined && one.editable;
  return {
    id: tile.id,
    start: tile.start,
    end: tile.end,
    startEditable: editable,
    durationEditable: editable && mayResize(one),
    classNames: [
      standing(tile.items),
      one ? soundClass(one.priority) : "many",
      ...(tile.items.every((item) => !item.editable) ? ["fixed"] : []),
    ],
    extendedProps: { tile },
  };
}

/** The shaded stretches behind the tiles: quiet hours, and what is past. */
export function shades(first: Day, days: number, quiet: Quiet | null, now: Wall): Calendar.EventInput[] {
  const found: Calendar.EventInput[] = [];
  const shade = (id: string, start: Wall, end: Wall) =>
    found.push({ id, start, end, display: "background", classNames: [id.split(" ")[0]!] });
  for (const { day, start, end } of quiet ? quietStretches(addDays(first, -1), days + 1, quiet) : []) {
    shade(`quiet ${day}`, start, end);
  }
  const begin = `${first}T00:00:00`;
  const end = `${addDays(first, days)}T00:00:00`;
  if (now > begin) shade("past", begin, now < end ? now : end);
  return found;
}

/** "thứ Hai 30/11" above a column. */
export function dayHead(date: Date, lang: Language): string {
  const wall = fromCalendar(date);
  const [, month, day] = wall.slice(0, 10).split("-");
  const name = times.weekday(date.getDay(), lang);
  return lang === "vi" ? `${name} ${day}/${month}` : `${name} ${Number(day)}/${Number(month)}`;
}

export function frame(zoom: Zoom, zone: string, lang: Language, now: Date): Calendar.Options {
  return {
    locale: lang,
    headerToolbar: { start: "", center: "", end: "" },
    allDaySlot: false,
    firstDay: 1,
    slotDuration: "00:30:00",
    slotLabelInterval: "01:00:00",
    slotHeight: ZOOMS[zoom].slotHeight,
    snapDuration: "00:05:00",
    scrollTime: "04:30:00",
    slotEventOverlap: false,
    nowIndicator: true,
    timeZone: offsetAt(now, zone),
    dayHeaderFormat: (date: Date) => dayHead(date, lang),
    slotLabelFormat: (time: Date) => `${String(time.getHours()).padStart(2, "0")}:00`,
    longPressDelay: 400,
    eventDragMinDistance: 4,
    selectMinDistance: 6,
  };
}

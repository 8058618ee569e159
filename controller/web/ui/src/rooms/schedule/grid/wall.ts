/**
 * Times as the grid draws them: what a clock on the wall of the area shows, as "2026-11-30T05:00:00". Pure.
 *
 * The calendar knows no zones; between it and the API every instant becomes a wall time and back, here and only here.
 */
import { wallOf } from "../../../i18n/times";

export type Wall = string;
export type Day = string;

const MINUTE = 60_000;
export const DAY_MS = 86_400_000;

export function wallAt(at: string | Date, zone: string): Wall {
  const { year, month, day, hour, minute, second } = wallOf(typeof at === "string" ? new Date(at) : at, zone);
  return fromMs(Date.UTC(year, month - 1, day, hour, minute, second));
}

/** The instant at which the zone's clocks show this; one that is skipped is the instant after the gap. */
export function instantAt(wall: Wall, zone: string): Date {
  const wanted = toMs(wall);
  let guess = wanted;
  for (let i = 0; i < 3; i += 1) guess += wanted - toMs(wallAt(new Date(guess), zone));
  return new Date(guess);
}

/** "+07:00": how far the zone's clocks are ahead of UTC at that instant. */
export function offsetAt(at: Date, zone: string): string {
  const minutes = Math.round((toMs(wallAt(at, zone)) - at.getTime()) / MINUTE);
  const size = Math.abs(minutes);
  return `${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** What the calendar hands out: a Date whose local parts are the wall time. */
export function fromCalendar(date: Date): Wall {
  return fromMs(
    Date.UTC(
      date.getFullYear(),
      date.getMonth(),
      date.getDate(),
      date.getHours(),
      date.getMinutes(),
      date.getSeconds(),
    ),
  );
}

/** Milliseconds on a line without zones: good for differences between wall times, for nothing else. */
export function toMs(wall: Wall): number {
  return Date.parse(`${wall}Z`);
}

export function fromMs(ms: number): Wall {
  return new Date(ms).toISOString().slice(0, 19);
}

export function later(wall: Wall, minutes: number): Wall {
  return fromMs(toMs(wall) + minutes * MINUTE);
}

export function dayOf(wall: Wall): Day {
  return wall.slice(0, 10);
}

export function addDays(day: Day, days: number): Day {
  return fromMs(Date.parse(`${day}T00:00:00Z`) + days * DAY_MS).slice(0, 10);
}

/** 0 = Sunday. */
export function weekdayOf(day: Day): number {
  return new Date(`${day}T00:00:00Z`).getUTCDay();
}

/** The Monday on or before it. */
export function mondayOf(day: Day): Day {
  return addDays(day, -((weekdayOf(day) + 6) % 7));
}

export function isDay(text: string | null): text is Day {
  return text !== null && /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(`${text}T00:00:00Z`));
}

function two(n: number): string {
  return String(n).padStart(2, "0");
}

/**
 * How often, in the words of the staff: Trong ngày, Hàng ngày, Hàng tuần; RRULE for whoever wants more. Pure.
 */
import { language, times } from "../../i18n";
import { isDay, weekdayOf, type Wall } from "./grid/wall";
import { t } from "./words";

export type Repeats = "once" | "daily" | "weekly" | "rule";

export interface Pattern {
  repeats: Repeats;
  /** 0 = Sunday; for weekly. */
  weekdays: readonly number[];
  /** Last day, for daily and weekly; "" = without end. */
  until: string;
  /** As it is, for "rule". */
  rrule: string;
}

const NAMES = ["SU", "MO", "TU", "WE", "TH", "FR", "SA"];
/** As weeks are read here: from Monday. */
export const WEEK = [1, 2, 3, 4, 5, 6, 0] as const;

/** What the API is told; null = once. */
export function rruleOf({ repeats, weekdays, until, rrule }: Pattern): string | null {
  if (repeats === "once") return null;
  if (repeats === "rule") return rrule.trim().replace(/^RRULE:/i, "");
  const days = WEEK.filter((day) => weekdays.includes(day)).map((day) => NAMES[day]);
  const parts = repeats === "daily" ? ["FREQ=DAILY"] : ["FREQ=WEEKLY", `BYDAY=${days.join(",")}`];
  if (isDay(until)) parts.push(`UNTIL=${until.replaceAll("-", "")}`);
  return parts.join(";");
}

/** The simplest pattern that says the same. */
export function patternOf(rrule: string | null, first: Wall): Pattern {
  const none: Pattern = { repeats: "once", weekdays: [weekdayOf(first.slice(0, 10))], until: "", rrule: rrule ?? "" };
  if (rrule === null) return none;
  const parts = new Map(rrule.split(";").map((part) => part.split("=") as [string, string]));
  const until = untilDay(parts.get("UNTIL"));
  const known = new Set(["FREQ", "BYDAY", "UNTIL"]);
  if ([...parts.keys()].some((key) => !known.has(key)) || until === null) return { ...none, repeats: "rule" };
  if (parts.get("FREQ") === "DAILY" && !parts.has("BYDAY")) return { ...none, repeats: "daily", until };
  const days = (parts.get("BYDAY")?.split(",") ?? [NAMES[none.weekdays[0]!]!]).map((name) => NAMES.indexOf(name));
  if (parts.get("FREQ") === "WEEKLY" && !days.includes(-1))
    return { ...none, repeats: "weekly", weekdays: days, until };
  return { ...none, repeats: "rule" };
}

/** The same rule when its first time goes from one wall time to another: days of the week go along. */
export function shifted(rrule: string | null, from: Wall, to: Wall): string | null {
  const pattern = patternOf(rrule, from);
  if (pattern.repeats !== "weekly") return rrule;
  const days = Math.round((Date.parse(`${to.slice(0, 10)}Z`) - Date.parse(`${from.slice(0, 10)}Z`)) / 86_400_000);
  return rruleOf({ ...pattern, weekdays: pattern.weekdays.map((day) => (((day + days) % 7) + 7) % 7) });
}

/** "Hàng tuần, thứ Hai và thứ Tư, 5 giờ sáng, đến hết 31/12/2026" */
export function patternWords(pattern: Pattern, first: Wall): string {
  const lang = language.current;
  const [hour = 0, minute = 0] = first.slice(11).split(":").map(Number);
  const time = times.saidTime(hour, minute, lang);
  const date = (day: string) => times.date(new Date(`${day}T12:00:00Z`), lang, "UTC");
  const until = isDay(pattern.until) ? t.when.untilSaid(date(pattern.until)) : "";
  const weekday = (day: number) => times.weekday(day, lang);
  switch (pattern.repeats) {
    case "once":
      return `${weekday(weekdayOf(first.slice(0, 10)))} ${date(first.slice(0, 10))}, ${time}`;
    case "daily":
      return `${t.when.repeats.daily}, ${time}${until}`;
    case "weekly": {
      const days = WEEK.filter((day) => pattern.weekdays.includes(day)).map(weekday);
      return `${t.when.repeats.weekly}, ${t.when.list(days)}, ${time}${until}`;
    }
    case "rule":
      return `${t.when.byRule} ${pattern.rrule}, ${time}`;
  }
}

/** "" without one, null when it is no plain day. */
function untilDay(text: string | undefined): string | null {
  if (text === undefined) return "";
  const found = /^(\d{4})(\d{2})(\d{2})/.exec(text);
  return found ? `${found[1]}-${found[2]}-${found[3]}` : null;
}

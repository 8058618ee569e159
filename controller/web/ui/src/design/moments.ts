/** Times of day and days as people here write them, to and from what a native input would hold. Pure. */

const CLOCK = /^(\d{1,2})(?:\s*(?:[:.hg]|giờ)\s*(\d{1,2})?(?::(\d{2}))?)?$/i;
const DAY = /^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})$/;
const ISO = /^(\d{4})-(\d{2})-(\d{2})$/;

/** "5:30", "0530", "5h30", "5 giờ": "05:30", "05:00"; null for what is no time of day. */
export function readClock(text: string): string | null {
  const said = text.trim().replace(/^(\d{1,2})(\d{2})$/, "$1:$2");
  const [, hour, minute = "0", second] = CLOCK.exec(said) ?? [];
  if (hour === undefined || Number(hour) > 23 || Number(minute) > 59 || Number(second ?? 0) > 59) return null;
  return [hour, minute, ...(second && second !== "00" ? [second] : [])].map((part) => part.padStart(2, "0")).join(":");
}

export function writeClock(value: string): string {
  return value.replace(/^(\d{2}:\d{2}):00(\.0+)?$/, "$1");
}

/** "1/12/2026", "01-12-2026", also "2026-12-01": "2026-12-01"; null for what is no day of the calendar. */
export function readDay(text: string): string | null {
  const said = text.trim();
  const [, year, month, day] = ISO.exec(said) ?? [];
  const [, theDay = day, theMonth = month, theYear = year] = DAY.exec(said) ?? [];
  if (!theDay || !theMonth || !theYear) return null;
  const value = `${theYear}-${theMonth.padStart(2, "0")}-${theDay.padStart(2, "0")}`;
  const at = new Date(`${value}T00:00:00Z`);
  return Number.isNaN(at.getTime()) || at.toISOString().slice(0, 10) !== value ? null : value;
}

export function writeDay(value: string): string {
  return value.replace(ISO, "$3/$2/$1");
}

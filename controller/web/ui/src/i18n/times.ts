/**
 * Dates and times as people here write and say them. Pure: every function is given its zone and its language.
 *
 * Vietnamese parts of the day are those of everyday speech: sáng 1–10, trưa 11–12, chiều 13–17, tối 18–21, đêm 22–0.
 */
import type { Language } from "./language.svelte";

export const DEFAULT_ZONE = "Asia/Ho_Chi_Minh";

export interface Wall {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  weekday: number; // 0 = Sunday
}

const formats = new Map<string, Intl.DateTimeFormat>();
/** Clocks are put forward or back at whole quarters of an hour, so a zone is asked once for each. */
const QUARTER_MS = 900_000;
const MOST_OFFSETS = 10_000;
const offsets = new Map<string, number>();

/** What a clock on the wall of that zone shows. */
export function wallOf(at: Date, zone: string = DEFAULT_ZONE): Wall {
  const there = new Date(at.getTime() + offsetOf(at, zone));
  return {
    year: there.getUTCFullYear(),
    month: there.getUTCMonth() + 1,
    day: there.getUTCDate(),
    hour: there.getUTCHours(),
    minute: there.getUTCMinutes(),
    second: there.getUTCSeconds(),
    weekday: there.getUTCDay(),
  };
}

/** Milliseconds that a zone's clocks are ahead of UTC; asking for a week of instants one by one would take long. */
function offsetOf(at: Date, zone: string): number {
  const quarter = Math.floor(at.getTime() / QUARTER_MS);
  const key = `${zone} ${quarter}`;
  let offset = offsets.get(key);
  if (offset === undefined) {
    if (offsets.size >= MOST_OFFSETS) offsets.clear();
    offset = askedOffset(new Date(quarter * QUARTER_MS), zone);
    offsets.set(key, offset);
  }
  return offset;
}

function askedOffset(at: Date, zone: string): number {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-GB", {
      timeZone: zone,
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      hourCycle: "h23",
    });
    formats.set(zone, format);
  }
  const part: Record<string, number> = {};
  for (const { type, value } of format.formatToParts(at)) part[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
  return Date.UTC(year, month - 1, day, hour, minute, second) - at.getTime();
}

/** "05:00" */
export function clock(at: Date, zone?: string, seconds = false): string {
  const wall = wallOf(at, zone);
  return [wall.hour, wall.minute, ...(seconds ? [wall.second] : [])].map(two).join(":");
}

/** "5 giờ sáng", "5 giờ 30 chiều"; "5 in the morning", "5:30 in the afternoon" */
export function clockWords(at: Date, lang: Language, zone?: string): string {
  const { hour, minute } = wallOf(at, zone);
  return saidTime(hour, minute, lang);
}

/** The same for an hour and a minute that are no instant yet: what somebody is typing. */
export function saidTime(hour: number, minute: number, lang: Language): string {
  const twelve = hour % 12 === 0 ? 12 : hour % 12;
  if (lang === "vi") {
    const part =
      hour === 0 || hour >= 22 ? "đêm" : hour <= 10 ? "sáng" : hour <= 12 ? "trưa" : hour <= 17 ? "chiều" : "tối";
    return minute === 0 ? `${twelve} giờ ${part}` : `${twelve} giờ ${two(minute)} ${part}`;
  }
  if (minute === 0 && hour === 0) return "midnight";
  if (minute === 0 && hour === 12) return "noon";
  const part =
    hour < 5 || hour >= 22
      ? "at night"
      : hour < 12
        ? "in the morning"
        : hour < 18
          ? "in the afternoon"
          : "in the evening";
  return minute === 0 ? `${twelve} ${part}` : `${twelve}:${two(minute)} ${part}`;
}

const WEEKDAYS: Record<Language, string[]> = {
  vi: ["Chủ nhật", "thứ Hai", "thứ Ba", "thứ Tư", "thứ Năm", "thứ Sáu", "thứ Bảy"],
  en: ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"],
};
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

export function weekday(day: number, lang: Language): string {
  return WEEKDAYS[lang][day] ?? "";
}

/** "30/11/2026"; "30 Nov 2026" */
export function date(at: Date, lang: Language, zone?: string): string {
  const { day, month, year } = wallOf(at, zone);
  return lang === "vi" ? `${two(day)}/${two(month)}/${year}` : `${day} ${MONTHS[month - 1]} ${year}`;
}

/** "thứ Hai, 30/11/2026"; "Monday, 30 Nov 2026" */
export function dateWords(at: Date, lang: Language, zone?: string): string {
  return `${weekday(wallOf(at, zone).weekday, lang)}, ${date(at, lang, zone)}`;
}

/** Short and enough: only the clock today, with "hôm qua"/"ngày mai" beside, otherwise with the date. */
export function near(at: Date, now: Date, lang: Language, zone?: string): string {
  const time = clock(at, zone);
  const days = dayNumber(at, zone) - dayNumber(now, zone);
  if (days === 0) return time;
  if (days === 1) return lang === "vi" ? `${time} ngày mai` : `${time} tomorrow`;
  if (days === -1) return lang === "vi" ? `${time} hôm qua` : `${time} yesterday`;
  return lang === "vi" ? `${time} ${date(at, lang, zone)}` : `${time}, ${date(at, lang, zone)}`;
}

/** "vừa xong", "3 phút trước", "sau 2 giờ" */
export function relative(at: Date, now: Date, lang: Language): string {
  const seconds = Math.round((at.getTime() - now.getTime()) / 1000);
  const size = Math.abs(seconds);
  if (size < 10) return lang === "vi" ? "vừa xong" : "just now";
  const [n, unit] =
    size < 60
      ? [size, 0]
      : size < 3600
        ? [Math.round(size / 60), 1]
        : size < 86_400
          ? [Math.round(size / 3600), 2]
          : [Math.round(size / 86_400), 3];
  if (lang === "vi") {
    const name = ["giây", "phút", "giờ", "ngày"][unit];
    return seconds < 0 ? `${n} ${name} trước` : `sau ${n} ${name}`;
  }
  const name = ["second", "minute", "hour", "day"][unit];
  const many = n === 1 ? `${n} ${name}` : `${n} ${name}s`;
  return seconds < 0 ? `${many} ago` : `in ${many}`;
}

/** "1 phút 30 giây"; "1 min 30 s". Whole seconds, at most two parts. */
export function duration(seconds: number, lang: Language): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const names = lang === "vi" ? ["giờ", "phút", "giây"] : ["h", "min", "s"];
  const said = parts.map((n, i) => (n > 0 ? `${n} ${names[i]}` : "")).filter(Boolean);
  return said.slice(0, 2).join(" ") || `0 ${names[2]}`;
}

/** "1:30", "1:02:05": for players and countdowns. */
export function timecode(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

function dayNumber(at: Date, zone?: string): number {
  const { year, month, day } = wallOf(at, zone);
  return Date.UTC(year, month - 1, day) / 86_400_000;
}

function two(n: number): string {
  return String(n).padStart(2, "0");
}

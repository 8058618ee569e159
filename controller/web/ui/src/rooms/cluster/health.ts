/** Hours of health as series for charts. Pure. */
import type { shapes } from "../../api";

export interface Series {
  key: "heard" | "temperature" | "sync" | "rtt" | "disk" | "faults";
  /** Seconds since 1970, one for every hour of the span. */
  at: number[];
  /** Null: nothing was told in that hour. */
  values: (number | null)[];
}
const HOUR_S = 3600;

/**
 * One series a gauge that was told at all. With several boxes each hour shows the worst of them; hours before the first
 * that is kept are unknown, silent hours after it are zero minutes.
 */
export function seriesOf({ since, until, hours }: shapes.HealthHistoryView): Series[] {
  const first = Math.floor(Date.parse(since) / 1000 / HOUR_S) * HOUR_S;
  const last = Math.floor(Date.parse(until) / 1000 / HOUR_S) * HOUR_S;
  const at = Array.from({ length: (last - first) / HOUR_S + 1 }, (_, i) => first + i * HOUR_S);
  const by = Map.groupBy(hours, (hour) => Date.parse(hour.hour) / 1000);
  const known = Math.min(...by.keys());
  type Hour = shapes.HealthHourView;
  const line = (
    key: Series["key"],
    of: (hour: Hour) => number | null,
    worst: (...values: number[]) => number,
    none: number | null = null,
  ): Series => ({
    key,
    at,
    values: at.map((instant) => {
      const told = (by.get(instant) ?? []).map(of).filter((value) => value !== null);
      return told.length > 0 ? worst(...told) : instant < known ? null : none;
    }),
  });
  const thousandth = (value: number | null) => (value === null ? null : value / 1000);
  return [
    line("heard", (hour) => hour.heard, Math.min, 0),
    line("faults", (hour) => hour.faults, Math.max),
    line("temperature", (hour) => hour.temperature_c, Math.max),
    line("sync", (hour) => thousandth(hour.sync_error_us), Math.max),
    line("rtt", (hour) => thousandth(hour.rtt_us), Math.max),
    line("disk", (hour) => thousandth(hour.disk_free_mb), Math.min),
  ].filter((series) => series.key === "heard" || series.values.some((value) => value !== null));
}

import { expect, it } from "vitest";
import type { shapes } from "../../api";
import { seriesOf } from "./health";

const hour = (at: string, more: Partial<shapes.HealthHourView>): shapes.HealthHourView => ({
  agent_id: "a",
  hour: at,
  heard: 60,
  temperature_c: null,
  disk_free_mb: null,
  sync_error_us: null,
  rtt_us: null,
  under_voltage: false,
  faults: 0,
  ...more,
});

it("has every hour of the span, silent ones as silence, and the worst of several boxes", () => {
  const series = seriesOf({
    since: "2026-11-30T00:20:00Z",
    until: "2026-11-30T04:10:00Z",
    hours: [
      hour("2026-11-30T01:00:00Z", { heard: 60, temperature_c: 41 }),
      hour("2026-11-30T01:00:00Z", { agent_id: "b", heard: 12, temperature_c: 55 }),
      hour("2026-11-30T03:00:00Z", { heard: 30 }),
    ],
  });
  expect(series.map(({ key, values }) => [key, values])).toEqual([
    ["heard", [null, 12, 0, 30, 0]],
    ["faults", [null, 0, null, 0, null]],
    ["temperature", [null, 55, null, null, null]],
  ]);
  expect(series[0]!.at[1]! - series[0]!.at[0]!).toBe(3600);
});

/** The settings of a cluster as they stand in a form, and what of them is to be sent. Pure. */
import type { shapes } from "../../api";

export interface Draft {
  name: string;
  area_id: string;
  contact_name: string;
  contact_phone: string;
  languages: readonly string[];
  latitude: string;
  longitude: string;
  output_delay_ms: string;
  ducks: boolean;
  duck_db: string;
  gpio: boolean;
  pin: string;
  lead_ms: string;
  tail_ms: string;
  active: boolean;
}
/** Usual softness beneath a live announcement (`schedules.model.DUCK_USUAL_DB`). */
const DUCK_USUAL_DB = -20;

export function draftOf(cluster: shapes.ClusterView): Draft {
  const text = (value: number | null) => (value === null ? "" : String(value));
  return {
    name: cluster.name,
    area_id: cluster.area_id,
    contact_name: cluster.contact_name,
    contact_phone: cluster.contact_phone,
    languages: cluster.languages,
    latitude: text(cluster.latitude),
    longitude: text(cluster.longitude),
    output_delay_ms: String(cluster.output_delay_ms),
    ducks: cluster.duck_db !== null,
    duck_db: String(cluster.duck_db ?? DUCK_USUAL_DB),
    gpio: cluster.amplifier.port === "gpio",
    pin: text(cluster.amplifier.pin ?? null),
    lead_ms: String(cluster.amplifier.lead_ms),
    tail_ms: String(cluster.amplifier.tail_ms),
    active: cluster.state === "active",
  };
}

/** Only what differs from what is there: two people who change different things do not undo each other. */
export function changeOf(draft: Draft, cluster: shapes.ClusterView): shapes.ClusterChange {
  const whole: Required<Omit<shapes.ClusterChange, "gains">> = {
    name: draft.name.trim(),
    area_id: draft.area_id,
    contact_name: draft.contact_name.trim(),
    contact_phone: draft.contact_phone.trim(),
    languages: [...draft.languages],
    latitude: number(draft.latitude),
    longitude: number(draft.longitude),
    output_delay_ms: number(draft.output_delay_ms) ?? 0,
    duck_db: draft.ducks ? (number(draft.duck_db) ?? DUCK_USUAL_DB) : null,
    amplifier: draft.gpio
      ? {
          port: "gpio",
          pin: number(draft.pin) ?? 0,
          lead_ms: number(draft.lead_ms) ?? 0,
          tail_ms: number(draft.tail_ms) ?? 0,
        }
      : { port: "none", pin: null, lead_ms: 0, tail_ms: 0 },
    state: draft.active ? "active" : "disabled",
  };
  const before = cluster as unknown as Record<string, unknown>;
  return Object.fromEntries(
    Object.entries(whole).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(before[key])),
  );
}

function number(text: string): number | null {
  const value = Number(text.trim().replace(",", "."));
  return text.trim() === "" || !Number.isFinite(value) ? null : value;
}

import { expect, it } from "vitest";
import type { shapes } from "../../api";
import { changeOf, draftOf } from "./draft";

const CLUSTER: shapes.ClusterView = {
  id: "cl",
  area_id: "ar",
  name: "Tà Rụt 1",
  latitude: 16.5,
  longitude: null,
  languages: ["vi", "pac"],
  contact_name: "",
  contact_phone: "",
  gains: {},
  output_delay_ms: 0,
  duck_db: null,
  amplifier: { port: "none", pin: null, lead_ms: 0, tail_ms: 0 },
  state: "active",
  timezone: "Asia/Ho_Chi_Minh",
  agents: [],
};

it("sends nothing when nothing was changed", () => {
  expect(changeOf(draftOf(CLUSTER), CLUSTER)).toEqual({});
});

it("sends what was changed, with a comma as people write it", () => {
  const draft = { ...draftOf(CLUSTER), name: " Tà Rụt 2 ", longitude: "106,95", ducks: true, active: false };
  expect(changeOf(draft, CLUSTER)).toEqual({
    name: "Tà Rụt 2",
    longitude: 106.95,
    duck_db: -20,
    state: "disabled",
  });
});

it("sends an amplifier whole", () => {
  const draft = { ...draftOf(CLUSTER), gpio: true, pin: "17", lead_ms: "800" };
  expect(changeOf(draft, CLUSTER)).toEqual({ amplifier: { port: "gpio", pin: 17, lead_ms: 800, tail_ms: 0 } });
});

import { expect, it } from "vitest";
import type { shapes } from "../../api";
import { reasonPath } from "./paths";
import { troubles, waiting } from "./trouble";

const nothing: shapes.WrongView = { failed: [], unheard: [], holes: [], faults: [], held: [], red_lists: [] };
const fault = (cluster_id: string, code: string, since: string): shapes.TodayFault => ({
  cluster_id,
  code,
  since,
  detail: "in English",
  agent_id: `a-${cluster_id}`,
});

it("says nothing when all is well", () => expect(troubles(nothing)).toEqual([]));

it("tells faults of one kind in one line, with the oldest instant", () => {
  const found = troubles({
    ...nothing,
    faults: [
      fault("c1", "link_offline", "2026-11-29T09:00:00Z"),
      fault("c2", "link_offline", "2026-11-29T07:00:00Z"),
      fault("c3", "never_heard_of", "2026-11-29T07:00:00Z"),
    ],
  });
  expect(found.map((each) => [each.title, each.text, each.href])).toEqual([
    ["Mất kết nối", "2 cụm", null],
    ["in English", "1 cụm", "/cluster/c3"],
  ]);
  expect([found[0]!.at, found[0]!.places]).toEqual(["2026-11-29T07:00:00Z", ["c1", "c2"]]);
});

it("puts an alert that was not heard before everything else", () => {
  const red = { alert_id: "al_1", title: "Lũ quét", start: null, clusters: 37, sounded: 34, red: ["c1", "c2", "c3"] };
  const found = troubles({ ...nothing, faults: [fault("c1", "muted", "")], red_lists: [red] });
  expect(found[0]).toMatchObject({ state: "emergency", text: "3/37 cụm CHƯA vang", href: "/emergency/al_1" });
});

it("tells at once who keeps which clusters silent, and not again as a fault of theirs", () => {
  const person = { by: "hoang", display_name: "Trần Văn Hoàng", crew: true };
  const hold = { since: "2026-11-29T07:00:00Z", until: "2026-11-29T08:00:00Z", ...person };
  const found = troubles({ ...nothing, faults: [fault("c1", "muted", "")], held: [{ cluster_id: "c1", ...hold }] });
  expect(found.map((each) => [each.title, each.text, each.href])).toEqual([
    ["Trần Văn Hoàng (hoang) giữ im lặng, kể cả cảnh báo khẩn cấp", "1 cụm", "/cluster/c1"],
  ]);
});

it("leads to what explains it, and to a cluster where nothing does", () => {
  const at = "2026-11-29T22:00:00Z";
  expect(reasonPath({ kind: "programme", id: "pr_1", recurrence: at }, [])).toBe(
    "/schedule?item=pr_1&at=2026-11-29T22%3A00%3A00Z",
  );
  expect(reasonPath({ kind: "order", id: "now_1", recurrence: null }, ["c9"])).toBe("/cluster/c9");
  expect(reasonPath({ kind: "unknown", id: null, recurrence: null }, [])).toBeNull();
});

it("says first what waits for a decision", () => {
  const warning = { id: "wa_1", headline: "Lũ quét", event: "", reached: 4, received_at: "2026-11-29T19:14:00Z" };
  const found = waiting([warning as shapes.WarningLine], 2);
  expect(found.map((each) => [each.title, each.text, each.href])).toEqual([
    ["Lũ quét", "tin cảnh báo tới 4 cụm, chờ quyết định", "/warnings/wa_1"],
    ["2 bản thu chờ phê duyệt", "nghe rồi quyết định", "/library?standing=waiting"],
  ]);
  expect(waiting([], 0)).toEqual([]);
});

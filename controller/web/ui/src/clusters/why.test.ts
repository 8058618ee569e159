import { describe, expect, it } from "vitest";
import type { shapes } from "../api";
import { isQuiet, whyOf, type Place } from "./why";

const PLACE: Place = { timezone: "Asia/Ho_Chi_Minh", quiet: { begin: "21:30", end: "04:45" } };
const NOON = new Date("2026-11-30T12:00:00+07:00");
const NIGHT = new Date("2026-11-30T23:00:00+07:00");

function state(more: Partial<shapes.ClusterStateView>): shapes.ClusterStateView {
  return {
    cluster_id: "cl",
    state: "idle",
    since: null,
    sounding: null,
    cut_off: null,
    faults: [],
    last_seen: "2026-11-30T04:41:00Z",
    boxes: 1,
    online: 1,
    muted: null,
    clock: "ready",
    sync_error_us: null,
    output: "ok",
    content: "complete",
    disk_free_mb: null,
    temperature_c: null,
    gains_db: {},
    ...more,
  };
}

const said = (more: Partial<shapes.ClusterStateView>, now = NOON) => whyOf(state(more), PLACE, now, "vi");

describe("why a cluster is silent", () => {
  it("says since when it is offline, and what to do", () => {
    const why = said({ state: "offline" });
    expect(why.text).toBe("Không liên lạc được từ 11:41. Thiết bị vẫn tự phát lịch đã tải.");
    expect(why.bad && why.todo).toContain("Gọi người phụ trách");
  });

  it("says who muted it and until when", () => {
    expect(said({ state: "muted", muted: { by: "order", until: "2026-11-30T06:00:00Z" } }).text).toContain("13:00");
    expect(said({ state: "muted", muted: { by: "technician", until: "2026-12-01T05:00:00Z" } }).text).toContain(
      "12:00 ngày mai",
    );
  });

  it("says the first fault and how many more", () => {
    expect(said({ state: "faulty", faults: ["output_failed"] }).text).toBe("Đường ra loa bị hỏng.");
    expect(said({ state: "faulty", faults: ["output_failed", "link_offline"] }).text).toMatch(
      /^Đường ra loa bị hỏng\. Ngoài ra: Mất kết nối/,
    );
    expect(said({ state: "faulty", faults: ["never_met"] }).text).toContain("never_met");
    expect(said({ state: "faulty", output: "failed" }).text).toBe("Đường ra loa bị hỏng.");
  });

  it("says of a well one what keeps it silent now", () => {
    expect(said({ clock: "untrusted" }).bad).toBe(true);
    expect(said({ content: "incomplete" }).text).toContain("Chưa tải đủ");
    expect(said({}, NIGHT)).toEqual({ text: "Đang trong giờ yên tĩnh, đến 4 giờ 45 sáng.", todo: "", bad: false });
    expect(said({}).bad).toBe(false);
    const cut = { title: "Tiếp sóng đài tỉnh", until: "2026-11-30T05:30:00Z" };
    const slow = said({ state: "faulty", faults: ["timing_degraded"], cut_off: cut });
    expect([slow.bad, slow.text.includes("đã bị lệnh DỪNG cắt")]).toEqual([true, true]); // its fault does not silence it
    expect(said({ cut_off: cut }).text).toContain("“Tiếp sóng đài tỉnh” đã bị lệnh DỪNG cắt");
  });

  it("names what sounds, by its class when it has no title", () => {
    const sounding = {
      title: "",
      priority: 40,
      class: "PROGRAMME",
      since: "2026-11-30T04:41:00Z",
      kind: "programme" as const,
      id: null,
      recurrence: null,
    };
    expect(said({ state: "playing", sounding }).text).toBe("Đang phát: Chương trình");
  });
});

it("quiet hours may cross midnight", () => {
  const at = (clock: string) => isQuiet(PLACE, new Date(`2026-11-30T${clock}:00+07:00`));
  expect(["21:29", "21:30", "00:00", "04:44", "04:45"].map(at)).toEqual([false, true, true, true, false]);
  expect(isQuiet({ ...PLACE, quiet: { begin: "12:00", end: "13:00" } }, NOON)).toBe(true);
  expect(isQuiet({ ...PLACE, quiet: null }, NOON)).toBe(false);
});

import { describe, expect, it } from "vitest";
import * as times from "./times";

const at = (iso: string) => new Date(iso);

describe("the time as people say it", () => {
  it.each([
    ["2026-11-30T05:00:00+07:00", "5 giờ sáng", "5 in the morning"],
    ["2026-11-30T17:30:00+07:00", "5 giờ 30 chiều", "5:30 in the afternoon"],
    ["2026-11-30T11:05:00+07:00", "11 giờ 05 trưa", "11:05 in the morning"],
    ["2026-11-30T12:00:00+07:00", "12 giờ trưa", "noon"],
    ["2026-11-30T18:00:00+07:00", "6 giờ tối", "6 in the evening"],
    ["2026-11-30T22:15:00+07:00", "10 giờ 15 đêm", "10:15 at night"],
    ["2026-11-30T00:00:00+07:00", "12 giờ đêm", "midnight"],
    ["2026-11-30T01:00:00+07:00", "1 giờ sáng", "1 at night"],
  ])("%s", (iso, vi, en) => {
    expect(times.clockWords(at(iso), "vi")).toBe(vi);
    expect(times.clockWords(at(iso), "en")).toBe(en);
  });
});

describe("dates", () => {
  it("name the weekday as Vietnamese people write it", () => {
    expect(times.dateWords(at("2026-11-30T05:00:00+07:00"), "vi")).toBe("thứ Hai, 30/11/2026");
    expect(times.dateWords(at("2026-11-29T05:00:00+07:00"), "vi")).toBe("Chủ nhật, 29/11/2026");
    expect(times.dateWords(at("2026-11-30T05:00:00+07:00"), "en")).toBe("Monday, 30 Nov 2026");
  });

  it("are those of the place, not of the machine", () => {
    const late = at("2026-11-29T18:00:00Z");
    expect(times.date(late, "vi")).toBe("30/11/2026");
    expect(times.date(late, "vi", "UTC")).toBe("29/11/2026");
    expect(times.clock(late, "Asia/Ho_Chi_Minh")).toBe("01:00");
  });

  it("are left out when near", () => {
    const now = at("2026-11-30T23:00:00+07:00");
    expect(times.near(at("2026-11-30T05:00:00+07:00"), now, "vi")).toBe("05:00");
    expect(times.near(at("2026-12-01T05:00:00+07:00"), now, "vi")).toBe("05:00 ngày mai");
    expect(times.near(at("2026-11-29T05:00:00+07:00"), now, "en")).toBe("05:00 yesterday");
    expect(times.near(at("2026-12-05T05:00:00+07:00"), now, "vi")).toBe("05:00 05/12/2026");
  });
});

it("spans and distances", () => {
  const now = at("2026-11-30T12:00:00Z");
  expect(times.relative(at("2026-11-30T11:57:00Z"), now, "vi")).toBe("3 phút trước");
  expect(times.relative(at("2026-11-30T14:00:00Z"), now, "en")).toBe("in 2 hours");
  expect(times.relative(now, now, "vi")).toBe("vừa xong");
  expect(times.duration(90, "vi")).toBe("1 phút 30 giây");
  expect(times.duration(7_384, "en")).toBe("2 h 3 min");
  expect(times.duration(0, "vi")).toBe("0 giây");
  expect(times.timecode(3_725)).toBe("1:02:05");
});

import { describe, expect, it } from "vitest";
import { patternOf, patternWords, rruleOf, shifted, type Pattern } from "./recurrence";

const FIRST = "2026-11-30T05:00:00"; // a Monday
const said = (rrule: string | null) => patternWords(patternOf(rrule, FIRST), FIRST);

describe("in the words of the staff", () => {
  it("says them", () => {
    expect(said(null)).toBe("thứ Hai 30/11/2026, 5 giờ sáng");
    expect(said("FREQ=DAILY")).toBe("Hàng ngày, 5 giờ sáng");
    expect(said("FREQ=DAILY;UNTIL=20261231")).toBe("Hàng ngày, 5 giờ sáng, đến hết 31/12/2026");
    expect(said("FREQ=WEEKLY;BYDAY=SU,WE,MO")).toBe("Hàng tuần, thứ Hai, thứ Tư và Chủ nhật, 5 giờ sáng");
    expect(said("FREQ=WEEKLY")).toBe("Hàng tuần, thứ Hai, 5 giờ sáng");
    expect(said("FREQ=MONTHLY;BYMONTHDAY=1")).toBe("Theo quy tắc FREQ=MONTHLY;BYMONTHDAY=1, 5 giờ sáng");
  });
  it("keeps what it does not understand as it is", () => {
    for (const rule of [
      "FREQ=DAILY;INTERVAL=2",
      "FREQ=WEEKLY;BYDAY=1MO",
      "FREQ=DAILY;BYDAY=MO",
      "FREQ=DAILY;COUNT=3",
    ]) {
      expect(patternOf(rule, FIRST).repeats).toBe("rule");
      expect(rruleOf(patternOf(rule, FIRST))).toBe(rule);
    }
  });
});

it("says to the API what was chosen", () => {
  const pattern: Pattern = { repeats: "weekly", weekdays: [0, 3, 1], until: "", rrule: "" };
  expect(rruleOf(pattern)).toBe("FREQ=WEEKLY;BYDAY=MO,WE,SU");
  expect(rruleOf({ ...pattern, repeats: "once" })).toBeNull();
  expect(rruleOf({ ...pattern, repeats: "daily", until: "2026-12-31" })).toBe("FREQ=DAILY;UNTIL=20261231");
  expect(rruleOf({ ...pattern, repeats: "rule", rrule: " RRULE:FREQ=MONTHLY " })).toBe("FREQ=MONTHLY");
});

it("takes the days of the week along when the first time is moved", () => {
  expect(shifted("FREQ=WEEKLY;BYDAY=MO,SU", FIRST, "2026-12-01T06:00:00")).toBe("FREQ=WEEKLY;BYDAY=MO,TU");
  expect(shifted("FREQ=WEEKLY;BYDAY=MO", FIRST, "2026-11-28T06:00:00")).toBe("FREQ=WEEKLY;BYDAY=SA");
  expect(shifted("FREQ=DAILY", FIRST, "2026-12-01T06:00:00")).toBe("FREQ=DAILY");
});

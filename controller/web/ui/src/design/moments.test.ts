import { describe, expect, it } from "vitest";
import { readClock, readDay, writeClock, writeDay } from "./moments";

describe("a time of day", () => {
  it.each([
    ["05:00", "05:00"],
    ["5:30", "05:30"],
    ["0530", "05:30"],
    ["530", "05:30"],
    ["17h", "17:00"],
    ["17g45", "17:45"],
    ["5 giờ 15", "05:15"],
    ["5", "05:00"],
    ["23:59:30", "23:59:30"],
    ["06:00:00", "06:00"],
  ])("%s is %s", (text, value) => expect(readClock(text)).toBe(value));
  it.each(["", "24:00", "5:60", "5:00 PM", "sáng", "12345"])("%s is none", (text) =>
    expect(readClock(text)).toBeNull(),
  );
  it("is shown without seconds that say nothing", () => {
    expect(writeClock("05:00:00")).toBe("05:00");
    expect(writeClock("05:00:30")).toBe("05:00:30");
  });
});

describe("a day", () => {
  it.each([
    ["01/12/2026", "2026-12-01"],
    ["1/12/2026", "2026-12-01"],
    ["1-12-2026", "2026-12-01"],
    ["2026-12-01", "2026-12-01"],
    ["29/02/2028", "2028-02-29"],
  ])("%s is %s", (text, value) => expect(readDay(text)).toBe(value));
  it.each(["", "12/31/2026", "29/02/2027", "1/12", "01/12/26"])("%s is none", (text) =>
    expect(readDay(text)).toBeNull(),
  );
  it("is written day first", () => expect(writeDay("2026-12-01")).toBe("01/12/2026"));
});

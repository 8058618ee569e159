import { expect, it } from "vitest";
import { count, language, plural, words } from ".";

const t = words({
  vi: { title: "Hôm nay", found: (n: number) => `${count(n)} cụm loa`, deep: { er: "sâu" } },
  en: { title: "Today", found: (n) => plural(n, "cluster", "clusters"), deep: { er: "deep" } },
});

it("speaks the chosen language at once", () => {
  language.current = "vi";
  expect([t.title, t.found(1_500), t.deep.er]).toEqual(["Hôm nay", "1.500 cụm loa", "sâu"]);
  language.current = "en";
  expect([t.title, t.found(1), t.found(1_500), t.deep.er]).toEqual(["Today", "1 cluster", "1,500 clusters", "deep"]);
  language.current = "vi";
});

it("gives no sign to what rounds to nothing", () => {
  expect([count(-0.04, "vi"), count(-0, "en"), count(-0.06, "en"), count(0.26, "vi")]).toEqual([
    "0",
    "0",
    "-0.1",
    "0,3",
  ]);
});

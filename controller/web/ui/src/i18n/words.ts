/**
 * Typed dictionaries. A room says its words once in each language; a key that is missing in English, or a sentence that
 * takes other values there, does not compile.
 *
 *     export const t = words({
 *       vi: { title: "Hôm nay", found: (n: number) => `${n} cụm loa` },
 *       en: { title: "Today", found: (n: number) => plural(n, "cluster", "clusters") },
 *     });
 *
 * In a template: `{t.title}`, `{t.found(3)}`. Switching the language redraws whatever used it.
 */
import { language, type Language } from "./language.svelte";

export interface Words {
  [key: string]: string | ((...values: never[]) => string) | Words;
}

/** The same keys, each with a text, or a sentence of the same values. */
export type Same<T> = {
  [K in keyof T]: T[K] extends string
    ? string
    : T[K] extends (...values: infer V) => string
      ? (...values: V) => string
      : Same<T[K]>;
};

export function words<T extends Words>(said: { vi: T; en: Same<NoInfer<T>> }): Same<T> {
  const by = said as unknown as Record<Language, Same<T>>;
  return new Proxy({} as Same<T>, {
    get: (_, key) => by[language.current][key as keyof T],
    has: (_, key) => key in said.vi,
  });
}

/** English counts: `plural(1, "cluster", "clusters")` is "1 cluster". Vietnamese needs none. */
export function plural(n: number, one: string, many: string): string {
  return `${count(n, "en")} ${n === 1 ? one : many}`;
}

/** A number as people of this language write it: 1.500 and 1,500. */
export function count(n: number, lang: Language = language.current): string {
  return new Intl.NumberFormat(lang === "vi" ? "vi-VN" : "en-GB", { maximumFractionDigits: 1 }).format(
    Math.round(n * 10) / 10 + 0, // plus nothing: what rounds to minus nothing has no sign
  );
}

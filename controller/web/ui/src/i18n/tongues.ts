/** Names of the languages that are spoken on loudspeakers in Vietnam, by BCP 47 code. */
import { language, type Language } from "./language.svelte";

const NAMES: Record<string, Record<Language, string>> = {
  vi: { vi: "Tiếng Việt", en: "Vietnamese" },
  bru: { vi: "Bru-Vân Kiều", en: "Bru (Vân Kiều)" },
  pac: { vi: "Pa Kô", en: "Pacoh (Pa Kô)" },
  bdq: { vi: "Ba Na", en: "Bahnar" },
  ctu: { vi: "Chứt", en: "Chứt" },
  cja: { vi: "Chăm", en: "Cham" },
  cjm: { vi: "Chăm", en: "Cham" },
  hre: { vi: "Hrê", en: "Hrê" },
  hmn: { vi: "Mông", en: "Hmong" },
  mww: { vi: "Mông", en: "Hmong" },
  hnj: { vi: "Mông", en: "Hmong" },
  jra: { vi: "Gia Rai", en: "Jarai" },
  rad: { vi: "Ê Đê", en: "Rade" },
  kpm: { vi: "K’Ho", en: "Koho" },
  km: { vi: "Khmer", en: "Khmer" },
  ktv: { vi: "Cơ Tu", en: "Katu" },
  kuf: { vi: "Cơ Tu", en: "Katu" },
  mtq: { vi: "Mường", en: "Mường" },
  nut: { vi: "Nùng", en: "Nùng" },
  sed: { vi: "Xơ Đăng", en: "Sedang" },
  blt: { vi: "Thái", en: "Thái (Tai Dam)" },
  tyz: { vi: "Tày", en: "Tày" },
  ium: { vi: "Dao", en: "Dao (Iu Mien)" },
  oyb: { vi: "Tà Ôi", en: "Ta Oi" },
  zh: { vi: "Tiếng Hoa", en: "Chinese" },
};

/** "Bru-Vân Kiều" for "bru" or "bru-VN"; a code nobody listed is asked of the browser, and shown as it is when that fails. */
export function languageName(code: string, lang: Language = language.current): string {
  const named = NAMES[code.toLowerCase().split("-")[0]!]?.[lang];
  if (named) return named;
  try {
    return new Intl.DisplayNames([lang], { type: "language", fallback: "code" }).of(code) ?? code;
  } catch {
    return code; // no language tag at all: a warning from outside may say anything
  }
}

/** Codes to choose from, Vietnamese first, then by name. */
export function tongues(lang: Language = language.current): string[] {
  const seen = new Set<string>();
  return Object.keys(NAMES)
    .filter((code) => !seen.has(languageName(code, lang)) && seen.add(languageName(code, lang)))
    .sort((a, b) =>
      a === "vi" ? -1 : b === "vi" ? 1 : languageName(a, lang).localeCompare(languageName(b, lang), lang),
    );
}

import { count, words } from "../i18n";

/** What the rooms of warning say alike: places, sounds, kinds of danger, spoken languages. */
export const t = words({
  vi: {
    category: {
      flood: "Lũ",
      flash_flood: "Lũ quét",
      storm: "Bão, áp thấp",
      landslide: "Sạt lở đất",
      fire: "Cháy",
      dam_release: "Xả lũ hồ chứa",
      evacuation: "Sơ tán",
      all_clear: "Báo an toàn",
      custom: "Khác",
    },
    tone: {
      none: "Không có còi",
      siren: "Còi hụ (chuẩn bị, lắng nghe)",
      warble: "Còi hai giọng (nguy hiểm ngay)",
      pulse: "Còi ngắt (cháy, rời đi)",
      gong: "Chuông (báo an toàn)",
    },
    where: "Nơi phát",
    byTree: "Theo cây khu vực",
    byMap: "Trên bản đồ",
    mapHint: "Bấm vào cụm loa để chọn hoặc bỏ chọn; dùng nút trên bản đồ để vẽ vùng hoặc vòng tròn.",
    listen: "Nghe",
    stopListening: "Ngừng nghe",
    listenTo: (what: string) => `Nghe ${what} trên máy này`,
    cannotPlay: "Trình duyệt không phát được âm thanh này",
    noPlaces: "Chưa có khu vực hay cụm loa nào. Quản trị viên khai báo trong mục Quản trị.",
    enrol: "Vai trò của bạn cần mã xác thực trên điện thoại trước khi phát cảnh báo.",
    enrolNow: "Cài mã xác thực",
    language_: "Ngôn ngữ",
    addLanguage: "Thêm ngôn ngữ",
    removeLanguage: (name: string) => `Bỏ ${name}`,
    said: (language: string) => `Lời đọc (${language})`,
    saidHint: "Câu ngắn, mỗi câu một việc phải làm. Đọc to thử trước khi gửi.",
    letters: (n: number) => `${count(n, "vi")}/2.000 ký tự`,
  },
  en: {
    category: {
      flood: "Flood",
      flash_flood: "Flash flood",
      storm: "Storm",
      landslide: "Landslide",
      fire: "Fire",
      dam_release: "Dam release",
      evacuation: "Evacuation",
      all_clear: "All clear",
      custom: "Other",
    },
    tone: {
      none: "No tone",
      siren: "Siren (get ready, listen)",
      warble: "Two tones (danger now)",
      pulse: "Short blasts (fire, leave)",
      gong: "Gong (all clear)",
    },
    where: "Where it sounds",
    byTree: "By area",
    byMap: "On the map",
    mapHint: "Click a cluster to choose it or not; draw a shape or a circle with the buttons on the map.",
    listen: "Listen",
    stopListening: "Stop listening",
    listenTo: (what) => `Listen to ${what} on this device`,
    cannotPlay: "This browser cannot play that sound",
    noPlaces: "There are no areas or clusters yet. An administrator makes them under Administration.",
    enrol: "Your role needs a code on your phone before it may send alerts.",
    enrolNow: "Set up the code",
    language_: "Language",
    addLanguage: "Add a language",
    removeLanguage: (name) => `Remove ${name}`,
    said: (language) => `What is said (${language})`,
    saidHint: "Short sentences, one thing to do in each. Read it aloud before you send it.",
    letters: (n) => `${count(n, "en")}/2,000 letters`,
  },
});

export type Category = keyof typeof t.category;
export type Tone = keyof typeof t.tone;
export const CATEGORIES = [
  "flood",
  "flash_flood",
  "storm",
  "landslide",
  "fire",
  "dam_release",
  "evacuation",
  "all_clear",
  "custom",
] as const satisfies readonly Category[];
export const TONES = ["siren", "warble", "pulse", "gong", "none"] as const satisfies readonly Tone[];

/** What threatens, in words; unknown categories keep their name. */
export function categoryName(category: string): string {
  return category in t.category ? t.category[category as Category] : category;
}

/** Languages that are offered for writing, the most used first. */
export const LANGUAGES: readonly string[] = [
  "vi",
  "bru",
  "pac",
  "hmn",
  "tyz",
  "nut",
  "blt",
  "mtq",
  "jra",
  "rad",
  "bdq",
  "km",
  "cja",
  "en",
];

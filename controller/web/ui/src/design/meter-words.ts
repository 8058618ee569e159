import { words } from "../i18n/words";

export const t = words({
  vi: { silent: "không có tiếng", soft: "tiếng nhỏ", good: "tiếng vừa", loud: "tiếng quá lớn" },
  en: { silent: "no sound", soft: "soft", good: "good level", loud: "too loud" },
});

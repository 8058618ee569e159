/** What somebody is composing, and what the API takes for it. Pure. */
import type { shapes } from "../../api";
import { NOWHERE, type Choice } from "../../design/targets";
import { asPlaces, type Figure } from "../../map/geometry";
import { isNowhere } from "../../warn/choosing";
import type { Category, Tone } from "../../warn/words";

export type Kind = "template" | "text" | "voice";
export interface Said {
  language: string;
  text: string;
}

export const CADENCES = { none: null, m10: 600, m30: 1_800, h1: 3_600, h2: 7_200 } as const;
export const UNTILS = { cancel: null, h1: 1, h6: 6, h12: 12 } as const;
export interface Repetition {
  times: number;
  gapS: number;
  cadence: keyof typeof CADENCES;
  until: keyof typeof UNTILS;
}

export interface Draft {
  kind: Kind;
  template: string | null;
  title: string;
  category: Category;
  tone: Tone;
  words: Said[];
  cancelWords: Said[];
  /** Null: as the template says, or three times. */
  repetition: Repetition | null;
  choice: Choice;
  figures: readonly Figure[];
  /** The same within three minutes is meant. */
  again: boolean;
}

export function emptyDraft(): Draft {
  return {
    kind: "template",
    template: null,
    title: "",
    category: "custom",
    tone: "siren",
    words: [{ language: "vi", text: "" }],
    cancelWords: [],
    repetition: null,
    choice: NOWHERE,
    figures: [],
    again: false,
  };
}

/** The first thing that is missing before it can be looked at; null when nothing is. */
export function missing(draft: Draft): "what" | "title" | "where" | null {
  if (draft.kind === "template" && !draft.template) return "what";
  if (draft.kind !== "template" && !draft.title.trim()) return "title";
  if (draft.kind === "text" && spoken(draft.words).length === 0) return "what";
  if (isNowhere(draft.choice) && draft.figures.length === 0) return "where";
  return null;
}

/** As the API takes it. `now` fixes "in six hours". */
export function shapeOf(draft: Draft, now: Date): shapes.AlertShape {
  const words = draft.kind === "text" ? spoken(draft.words) : [];
  return {
    kind: draft.kind,
    template: draft.kind === "template" ? draft.template : null,
    title: draft.kind === "template" ? "" : draft.title.trim(),
    category: draft.category,
    tone: draft.tone,
    words,
    cancel_words: draft.kind === "text" ? spoken(draft.cancelWords) : [],
    repetition: draft.kind === "voice" || !draft.repetition ? null : repetitionOf(draft.repetition, now),
    everywhere: draft.choice.everywhere,
    areas: [...draft.choice.areas],
    clusters: [...draft.choice.clusters],
    ...asPlaces(draft.figures),
    again: draft.again,
  };
}

function spoken(words: readonly Said[]): { language: string; text: string }[] {
  return words.flatMap(({ language, text }) => (text.trim() ? [{ language, text: text.trim() }] : []));
}

function repetitionOf(said: Repetition, now: Date): shapes.RepetitionShape {
  const every = CADENCES[said.cadence];
  const hours = UNTILS[said.until];
  const until = every === null || hours === null ? null : new Date(now.getTime() + hours * 3_600_000).toISOString();
  return { times: said.times, gap_s: said.gapS, every_s: every, until };
}

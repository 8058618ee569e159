/** The states of this house, each with a colour, a sign and a word. */
import CircleAlert from "@lucide/svelte/icons/circle-alert";
import CircleCheck from "@lucide/svelte/icons/circle-check";
import CirclePause from "@lucide/svelte/icons/circle-pause";
import CircleQuestionMark from "@lucide/svelte/icons/circle-question-mark";
import GraduationCap from "@lucide/svelte/icons/graduation-cap";
import OctagonX from "@lucide/svelte/icons/octagon-x";
import Siren from "@lucide/svelte/icons/siren";
import Unplug from "@lucide/svelte/icons/unplug";
import Volume2 from "@lucide/svelte/icons/volume-2";
import VolumeOff from "@lucide/svelte/icons/volume-off";
import type { Component } from "svelte";

export const STATES = [
  "ok",
  "playing",
  "idle",
  "muted",
  "warn",
  "fault",
  "offline",
  "unknown",
  "emergency",
  "drill",
] as const;
export type State = (typeof STATES)[number];

export const stateIcons: Record<State, Component> = {
  ok: CircleCheck,
  playing: Volume2,
  idle: CirclePause,
  muted: VolumeOff,
  warn: CircleAlert,
  fault: OctagonX,
  offline: Unplug,
  unknown: CircleQuestionMark,
  emergency: Siren,
  drill: GraduationCap,
};

/** Classes of sound, each with a sign and a word: which rank a sound has must not hang on a colour. */
import FileAudio from "@lucide/svelte/icons/file-audio";
import FlaskConical from "@lucide/svelte/icons/flask-conical";
import GraduationCap from "@lucide/svelte/icons/graduation-cap";
import Mic from "@lucide/svelte/icons/mic";
import RadioTower from "@lucide/svelte/icons/radio-tower";
import Siren from "@lucide/svelte/icons/siren";
import Star from "@lucide/svelte/icons/star";
import Waves from "@lucide/svelte/icons/waves";
import type { Component } from "svelte";

export type SoundClass = "emergency" | "drill" | "bulletin" | "live" | "programme" | "relay" | "filler" | "test";

export const soundIcons: Record<SoundClass, Component> = {
  emergency: Siren,
  drill: GraduationCap,
  bulletin: Star,
  live: Mic,
  programme: FileAudio,
  relay: RadioTower,
  filler: Waves,
  test: FlaskConical,
};

/** The class of a priority as the API counts it (90 = live emergency … 10 = test tone). */
export function soundClass(priority: number): SoundClass {
  if (priority >= 80) return "emergency";
  if (priority >= 70) return "drill";
  if (priority >= 60) return "bulletin";
  if (priority >= 50) return "live";
  if (priority >= 40) return "programme";
  if (priority >= 30) return "relay";
  return priority >= 20 ? "filler" : "test";
}

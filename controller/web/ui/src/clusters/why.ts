/**
 * Why a cluster sounds or is silent, in one sentence a person can act on. Pure.
 *
 * The first reason that holds is said: what keeps it silent for everything, then what keeps its programme from it, then
 * what a STOP ended, then quiet hours, then that nothing is planned now.
 */
import type { shapes } from "../api";
import { times, type Language } from "../i18n";
import { classWords, faultWords, t } from "./words";

export interface Place {
  timezone: string;
  quiet: { begin: string; end: string } | null;
}
export interface Why {
  text: string;
  /** What to do about it; empty when nothing is needed. */
  todo: string;
  /** Whether somebody should look at it. */
  bad: boolean;
}

export function whyOf(state: shapes.ClusterStateView, place: Place, now: Date, lang: Language): Why {
  const near = (at: string | null) => (at === null ? "" : times.near(new Date(at), now, lang, place.timezone));
  switch (state.state) {
    case "disabled":
      return calm(t.why.disabled);
    case "no_box":
      return bad(t.why.noBox, t.todo.noBox);
    case "never_seen":
      return bad(t.why.neverSeen, t.todo.power);
    case "offline":
      return bad(t.why.offline(near(state.last_seen)), t.todo.offline);
    case "unknown":
      return bad(t.why.unknown(near(state.last_seen)), t.todo.unknown);
    case "muted": {
      const until = near(state.muted?.until ?? null);
      return state.muted?.by === "technician"
        ? bad(t.why.mutedAtBox(until), t.todo.mutedAtBox)
        : bad(t.why.mutedByOrder(until), t.todo.mutedByOrder);
    }
    case "playing":
      return calm(t.why.playing(state.sounding?.title || classWords(state.sounding?.class ?? "")));
    case "faulty":
      return faulty(state);
    case "idle":
      return idle(state, place, now, lang);
  }
}

/** Whether it is now between these local times, which may cross midnight. */
export function isQuiet({ quiet, timezone }: Place, now: Date): boolean {
  if (!quiet) return false;
  const clock = times.clock(now, timezone);
  return quiet.begin < quiet.end
    ? quiet.begin <= clock && clock < quiet.end
    : clock >= quiet.begin || clock < quiet.end;
}

function idle(state: shapes.ClusterStateView, place: Place, now: Date, lang: Language): Why {
  if (state.clock === "untrusted") return bad(t.why.time, t.todo.time);
  if (state.faults.length > 0) return faulty(state);
  if (state.content === "incomplete") return bad(t.why.content, t.todo.content);
  if (state.cut_off) return calm(t.why.cutOff(state.cut_off.title));
  if (place.quiet && isQuiet(place, now)) {
    const [hour, minute] = place.quiet.end.split(":").map(Number);
    return calm(t.why.quiet(times.saidTime(hour!, minute!, lang)));
  }
  return calm(t.why.nothing);
}

function faulty(state: shapes.ClusterStateView): Why {
  const [first, ...more] = state.faults;
  if (first === undefined) return bad(t.why.output, t.todo.output);
  const { name, todo } = faultWords(first);
  const others = more.map((code) => faultWords(code).name);
  const text = others.length > 0 ? t.why.faults(name, others) : name;
  return bad(state.cut_off ? `${text} ${t.why.cutOff(state.cut_off.title)}` : text, todo);
}

function bad(text: string, todo: string): Why {
  return { text, todo, bad: true };
}

function calm(text: string): Why {
  return { text, todo: "", bad: false };
}

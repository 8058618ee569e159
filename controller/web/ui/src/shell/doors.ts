import type { Room } from "../rooms/rooms";
import { session, type Verb } from "./session.svelte";

/** Whether this person may enter: any of the room's verbs, over any area. The server decides again for every request. */
export function mayEnter(room: Room): boolean {
  const verbs: readonly Verb[] = typeof room.permission === "string" ? [room.permission] : room.permission;
  return verbs.some((verb) => session.may(verb));
}

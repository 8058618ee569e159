/**
 * The rooms of the house. A room is one entry here and one folder beside this file; its code is loaded when somebody
 * enters. See the README of controller/web for how to add one.
 */
import Radio from "@lucide/svelte/icons/radio";
import Bell from "@lucide/svelte/icons/cloud-lightning";
import CalendarDays from "@lucide/svelte/icons/calendar-days";
import ClipboardCheck from "@lucide/svelte/icons/clipboard-check";
import House from "@lucide/svelte/icons/sun";
import MessageSquareWarning from "@lucide/svelte/icons/message-square-warning";
import LibraryBig from "@lucide/svelte/icons/audio-lines";
import MapIcon from "@lucide/svelte/icons/map";
import Mic from "@lucide/svelte/icons/mic";
import Settings from "@lucide/svelte/icons/settings";
import Siren from "@lucide/svelte/icons/siren";
import type { Component } from "svelte";
import { match } from "../shell/router.svelte";
import type { Verb } from "../shell/session.svelte";
import { t } from "./words";

/** What every room's component is given: the values of its path. */
export interface RoomProps {
  params: Record<string, string>;
}

export interface Room {
  /** "/cluster/:id"; a last part with "?" may be left out. */
  path: string;
  /** Any of these, over any area, opens the door. */
  permission: Verb | readonly Verb[];
  title: () => string;
  load: () => Promise<{ default: Component<RoomProps> | Component<Record<string, never>> }>;
  /** In the navigation, when it stands there. */
  nav?: { group: Group; icon: Component; tone?: "emergency" | "drill" };
}

export const GROUPS = ["watch", "programme", "warn", "fleet", "house"] as const;
export type Group = (typeof GROUPS)[number];

export const rooms: readonly Room[] = [
  {
    path: "/",
    permission: "read",
    title: () => t.today,
    load: () => import("./today/Today.svelte"),
    nav: { group: "watch", icon: House },
  },
  {
    path: "/schedule",
    permission: "read",
    title: () => t.schedule,
    load: () => import("./schedule/Schedule.svelte"),
    nav: { group: "programme", icon: CalendarDays },
  },
  {
    path: "/library/:id?",
    permission: "read",
    title: () => t.library,
    load: () => import("./library/Library.svelte"),
    nav: { group: "programme", icon: LibraryBig },
  },
  {
    path: "/studio/:part?",
    permission: ["go_live", "play_now"],
    title: () => t.studio,
    load: () => import("./studio/Studio.svelte"),
    nav: { group: "programme", icon: Mic },
  },
  {
    path: "/emergency/:id?",
    permission: ["emergency_compose", "emergency_confirm"],
    title: () => t.emergency,
    load: () => import("./emergency/Emergency.svelte"),
    nav: { group: "warn", icon: Siren, tone: "emergency" },
  },
  {
    path: "/warnings/:id?",
    permission: "read",
    title: () => t.warnings,
    load: () => import("./warnings/Warnings.svelte"),
    nav: { group: "warn", icon: Bell },
  },
  {
    path: "/drills/:id?",
    permission: "drill",
    title: () => t.drills,
    load: () => import("./drills/Drills.svelte"),
    nav: { group: "warn", icon: ClipboardCheck, tone: "drill" },
  },
  {
    path: "/templates/:id?",
    permission: ["emergency_compose", "emergency_confirm", "draft", "approve"],
    title: () => t.templates,
    load: () => import("./templates/Templates.svelte"),
    nav: { group: "warn", icon: MessageSquareWarning },
  },
  {
    path: "/fleet",
    permission: "read",
    title: () => t.fleet,
    load: () => import("./fleet/Fleet.svelte"),
    nav: { group: "fleet", icon: MapIcon },
  },
  {
    path: "/cluster/:id",
    permission: "read",
    title: () => t.cluster,
    load: () => import("./cluster/Cluster.svelte"),
  },
  {
    path: "/enrolment",
    permission: "enrol",
    title: () => t.enrolment,
    load: () => import("./enrolment/Enrolment.svelte"),
    nav: { group: "fleet", icon: Radio },
  },
  {
    path: "/admin/:page?",
    permission: ["users", "policy_edit", "audit_read"],
    title: () => t.admin,
    load: () => import("./admin/Admin.svelte"),
    nav: { group: "house", icon: Settings },
  },
  {
    path: "/design",
    permission: "read",
    title: () => t.design,
    load: () => import("./design/Design.svelte"),
  },
];

/** The room of an address, with the values in it. */
export function roomAt(path: string): { room: Room; params: Record<string, string> } | null {
  for (const room of rooms) {
    const params = match(room.path, path);
    if (params) return { room, params };
  }
  return null;
}

/** The address a room has in the navigation. */
export function entrance(room: Room): string {
  return room.path.replace(/\/:\w+\?$/, "") || "/";
}

/** What went wrong, or will, as lines of one kind, the most urgent first. Pure. */
import type { shapes } from "../../api";
import type { State } from "../../design";
import { called } from "../../shell/people";
import { reasonPath, schedulePath } from "./paths";
import { t } from "./words";

export interface Trouble {
  key: string;
  state: State;
  /** When it was or will be; null for what simply is so. */
  at: string | null;
  title: string;
  /** What is wrong with it. */
  text: string;
  href: string | null;
  /** Clusters it is about, when they are many: shown on demand. */
  places: readonly string[];
}

export function troubles(wrong: shapes.WrongView): Trouble[] {
  return [
    ...wrong.red_lists.map((red): Trouble => ({
      key: `red ${red.alert_id}`,
      state: "emergency",
      at: red.start,
      title: red.title,
      text: t.wrong.red(red.clusters - red.sounded, red.clusters),
      href: `/emergency/${red.alert_id}`,
      places: red.red,
    })),
    ...wrong.holes.map((item): Trouble => ({
      key: `hole ${item.programme_id} ${item.recurrence}`,
      state: item.content === "missing" ? "fault" : "warn",
      at: item.start,
      title: item.title,
      text: hole(item),
      href: schedulePath(item.programme_id, item.recurrence),
      places: [],
    })),
    ...wrong.failed.map((line): Trouble => ({
      key: `failed ${line.reason.id} ${line.start}`,
      state: line.missed + line.refused + line.silent_count > 0 ? "fault" : "warn",
      at: line.start,
      title: line.title,
      text: failure(line),
      href: reasonPath(line.reason, line.silent),
      places: line.silent,
    })),
    ...wrong.unheard.map((item): Trouble => ({
      key: `unheard ${item.programme_id} ${item.recurrence}`,
      state: "fault",
      at: item.start,
      title: item.title,
      text: t.wrong.unheard(item.clusters),
      href: schedulePath(item.programme_id, item.recurrence),
      places: [],
    })),
    ...held(wrong.held),
    ...faults(
      wrong.faults.filter(
        ({ code, cluster_id }) => code !== "muted" || !wrong.held.some((each) => each.cluster_id === cluster_id),
      ),
    ),
  ];
}

/** What waits for this person's yes or no: warnings that came in, then recordings to listen to. */
export function waiting(warnings: readonly shapes.WarningLine[], recordings: number): Trouble[] {
  const lines = warnings.map((warning): Trouble => ({
    key: `warning ${warning.id}`,
    state: "warn",
    at: warning.received_at,
    title: warning.headline || warning.event,
    text: t.wrong.warning(warning.reached),
    href: `/warnings/${warning.id}`,
    places: [],
  }));
  if (recordings === 0) return lines;
  const { toApprove: title, listen: text } = t.wrong;
  const library = "/library?standing=waiting";
  return [
    ...lines,
    { key: "approve", state: "warn", at: null, title: title(recordings), text, href: library, places: [] },
  ];
}

/** Clusters that one person keeps silent are one line: an alert would not sound there. */
function held(all: readonly shapes.HoldView[]): Trouble[] {
  return [...Map.groupBy(all, (hold) => hold.by)].map(([by, same]) => {
    const places = same.map((hold) => hold.cluster_id);
    return {
      key: `held ${by}`,
      state: "muted",
      at: same[0]!.since,
      title: t.wrong.held(called(same[0]!)),
      text: t.wrong.clusters(places.length),
      href: places.length === 1 ? `/cluster/${places[0]}` : null,
      places,
    };
  });
}

/** Faults of one kind are one line: twelve boxes without mains are one thing to know. */
function faults(all: readonly shapes.TodayFault[]): Trouble[] {
  return [...Map.groupBy(all, (fault) => fault.code)].map(([code, same]) => {
    const places = [...new Set(same.map((fault) => fault.cluster_id))];
    const said = code in t.faults ? t.faults[code as keyof typeof t.faults] : same[0]!.detail || code;
    return {
      key: `fault ${code}`,
      state: code === "link_offline" ? "offline" : "fault",
      at: same.map((fault) => fault.since).sort()[0] ?? null,
      title: said,
      text: t.wrong.clusters(places.length),
      href: places.length === 1 ? `/cluster/${places[0]}` : null,
      places,
    };
  });
}

function hole(item: shapes.GridItemView): string {
  if (item.content === "missing") {
    const code = item.gaps[0]?.code ?? "";
    return code in t.gaps ? t.gaps[code as keyof typeof t.gaps] : t.wrong.silent;
  }
  return [item.lacking_count > 0 && t.wrong.lacking(item.lacking_count), item.quiet > 0 && t.wrong.quiet(item.quiet)]
    .filter(Boolean)
    .join(" · ");
}

function failure(line: shapes.SoundedView): string {
  return [
    line.missed > 0 && t.wrong.missed(line.missed),
    line.refused > 0 && t.wrong.refused(line.refused),
    line.partial > 0 && t.wrong.partial(line.partial),
    line.silent_count > 0 && t.wrong.notReported(line.silent_count),
  ]
    .filter(Boolean)
    .join(" · ");
}

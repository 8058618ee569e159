import { describe, expect, it } from "vitest";
import type { shapes } from "../../api";
import { inOrder, merged, reached } from "./board";

const row = (cluster_id: string, state: string, sounded = false) =>
  ({ cluster_id, cluster: cluster_id, state, sounded }) as shapes.RowView;
const answer = (revision: number, rows: shapes.RowView[], counts: Record<string, number>, sounded = 0) =>
  ({
    alert_id: "al_1",
    state: "sounding",
    revision,
    rows,
    counts,
    sounded,
    red: [],
    complete: false,
    farewell: null,
  }) as shapes.BoardView;

describe("the board", () => {
  const first = merged(null, answer(3, [row("a", "queued"), row("b", "queued")], { queued: 2 }))!;

  it("takes in what changed", () => {
    const next = merged(first, answer(5, [row("b", "started", true)], { queued: 1, started: 1 }, 1))!;
    expect([...next.rows.values()].map((each) => each.state)).toEqual(["queued", "started"]);
    expect([next.total, next.revision]).toEqual([2, 5]);
  });

  it("starts again when the controller did", () => {
    expect(merged(first, answer(1, [], {}))).toBeNull();
  });

  it("counts who came at least so far, also when they were stopped after it", () => {
    const counts = { delivered: 1, verified: 2, started: 3, finished: 4, stopped: 5, missed: 1 };
    const board = merged(null, answer(1, [], counts, 9))!;
    expect(reached(board)).toEqual({ delivered: 12, verified: 11, started: 9, finished: 4 });
  });

  it("shows who is silent first", () => {
    const rows = inOrder([row("c 10", "finished", true), row("c 9", "finished", true), row("c 11", "missed")]);
    expect(rows.map((each) => each.cluster)).toEqual(["c 11", "c 9", "c 10"]);
  });
});

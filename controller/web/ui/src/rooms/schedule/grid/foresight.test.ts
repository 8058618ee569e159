import { beforeEach, expect, it, vi } from "vitest";
import { Problem } from "../../../api";
import { Foreseeing } from "./foresight.svelte";

beforeEach(() => void vi.useFakeTimers());
const free = { ok: true, problems: [] };

it("asks once after the last of many changes", async () => {
  const foreseeing = new Foreseeing();
  const question = vi.fn().mockResolvedValue(free);
  for (let i = 0; i < 20; i += 1) foreseeing.ask(`at ${i}`, question);
  foreseeing.ask("at 19", question);
  expect(foreseeing.asking).toBe(true);
  await vi.runAllTimersAsync();
  expect([question.mock.calls.length, foreseeing.found, foreseeing.asking]).toEqual([1, free, false]);
});

it("drops an answer that was overtaken", async () => {
  const foreseeing = new Foreseeing();
  let answer: (value: typeof free) => void = () => undefined;
  foreseeing.ask("first", () => new Promise((resolve) => (answer = resolve)));
  await vi.runAllTimersAsync();
  foreseeing.ask("second", () => Promise.resolve({ ok: false, problems: [] }));
  answer(free);
  await vi.runAllTimersAsync();
  expect(foreseeing.found).toEqual({ ok: false, problems: [] });
});

it("tells what is refused outright", async () => {
  const foreseeing = new Foreseeing();
  foreseeing.ask("past", () => Promise.reject(new Problem(422, "in_past", "")));
  await vi.runAllTimersAsync();
  expect([foreseeing.problem?.code, foreseeing.found]).toEqual(["in_past", null]);
});

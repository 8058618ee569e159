import { beforeEach, expect, it, vi } from "vitest";
import { Problem } from "../api/problem";
import { Resource } from "./resource.svelte";

beforeEach(() => void vi.useFakeTimers());

it("keeps what it has while loading anew and when that fails", async () => {
  const load = vi
    .fn<() => Promise<number>>()
    .mockResolvedValueOnce(1)
    .mockRejectedValueOnce(new Problem(503, "busy", ""));
  const numbers = new Resource(load);
  await numbers.reload();
  expect([numbers.data, numbers.problem]).toEqual([1, null]);
  const again = numbers.reload();
  expect([numbers.data, numbers.loading]).toEqual([1, true]);
  await again;
  expect([numbers.data, numbers.problem?.code, numbers.loading]).toEqual([1, "busy", false]);
});

it("makes one request of a burst", async () => {
  const load = vi.fn().mockResolvedValue(1);
  const numbers = new Resource(load);
  for (let i = 0; i < 20; i += 1) numbers.soon();
  await vi.runAllTimersAsync();
  expect(load).toHaveBeenCalledTimes(1);
});

it("an answer that was overtaken is dropped", async () => {
  const answers: ((n: number) => void)[] = [];
  const numbers = new Resource(() => new Promise<number>((resolve) => answers.push(resolve)));
  const [first, second] = [numbers.reload(), numbers.reload()];
  answers[1]!(2);
  answers[0]!(1);
  await Promise.all([first, second]);
  expect(numbers.data).toBe(2);
});

it("takes back what was refused, and loads the truth after a conflict", async () => {
  const load = vi.fn().mockResolvedValueOnce(1).mockResolvedValue(5);
  const numbers = new Resource<number>(load);
  await numbers.reload();
  const edit = numbers.mutate(
    () => 2,
    () => Promise.reject(new Problem(409, "changed_since", "")),
  );
  expect(numbers.data).toBe(2);
  await expect(edit).rejects.toMatchObject({ code: "changed_since" });
  expect(numbers.data).toBe(5);
});

it("shows an edit at once and loads it afterwards", async () => {
  const load = vi.fn().mockResolvedValueOnce(1).mockResolvedValue(2);
  const numbers = new Resource<number>(load);
  await numbers.reload();
  await numbers.mutate(
    (n) => n + 1,
    () => Promise.resolve(),
  );
  expect([numbers.data, load.mock.calls.length]).toEqual([2, 1]);
  await vi.runAllTimersAsync();
  expect(load).toHaveBeenCalledTimes(2);
});

/** Short news at the edge of the screen. What matters for long belongs on the page, not here. */
import type { Problem } from "../api/problem";

export interface ToastItem {
  id: number;
  tone: "ok" | "fault" | "warn";
  text: string;
  /** The way back, while it is shown. */
  undo?: { label: string; act: () => void };
}

const SHOWN_MS = 6_000;

class Toasts {
  items = $state<ToastItem[]>([]);
  #next = 1;

  ok(text: string, undo?: ToastItem["undo"]): void {
    this.#show({ id: this.#next++, tone: "ok", text, undo }, SHOWN_MS);
  }

  warn(text: string): void {
    this.#show({ id: this.#next++, tone: "warn", text }, SHOWN_MS * 2);
  }

  /** A refusal stays until it is closed. */
  problem(problem: Problem): void {
    this.#show({ id: this.#next++, tone: "fault", text: problem.text }, null);
  }

  close(id: number): void {
    this.items = this.items.filter((each) => each.id !== id);
  }

  #show(item: ToastItem, ms: number | null): void {
    this.items = [...this.items.filter((each) => each.text !== item.text), item].slice(-4);
    if (ms !== null) setTimeout(() => this.close(item.id), ms);
  }
}

export const toast = new Toasts();

/** Asking before what cannot be undone: `if (await confirm({ title, text, action })) …`. */
export interface Question {
  title: string;
  text: string;
  /** What the button says: the deed itself ("Xóa 3 lịch phát"), never just "OK". */
  action: string;
  danger?: boolean;
}

class Confirmations {
  #pending = $state.raw<{ question: Question; answer: (yes: boolean) => void } | null>(null);

  get question(): Question | null {
    return this.#pending?.question ?? null;
  }

  ask(question: Question): Promise<boolean> {
    this.answer(false);
    return new Promise((answer) => (this.#pending = { question, answer }));
  }

  answer(yes: boolean): void {
    const pending = this.#pending;
    this.#pending = null;
    pending?.answer(yes);
  }
}

export const confirmations = new Confirmations();
export const confirm = (question: Question): Promise<boolean> => confirmations.ask(question);

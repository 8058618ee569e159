// The controller's API, with the token of this window (it survives a reload, and nothing else).
const TOKEN = "loa.token";

/** What the controller refused, by its code. */
export class Refused extends Error {
  constructor(code, detail = "") {
    super(detail || code);
    this.code = code;
  }
}

export const token = () => sessionStorage.getItem(TOKEN);
export const keepToken = (value) => (value ? sessionStorage.setItem(TOKEN, value) : sessionStorage.removeItem(TOKEN));

/** Ask for something; a body makes it a POST. */
export async function ask(path, body, signal) {
  const headers = token() ? { Authorization: `Bearer ${token()}` } : {};
  const request = { headers, signal };
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    Object.assign(request, { method: "POST", body: JSON.stringify(body) });
  }
  const answer = await fetch(path, request).catch(() => { throw new Refused("unreachable"); });
  if (answer.ok && !answer.headers.get("Content-Type")?.includes("json")) return null;
  if (!answer.ok) throw await refusal(answer);
  return answer.json();
}

/** Why an answer is not what was asked for. */
export async function refusal(answer) {
  const said = await answer.json().catch(() => ({}));
  return new Refused(said.code ?? "failed", said.detail ?? answer.statusText);
}

/** A whole list, page by page; at most `most` pages. */
export async function all(path, most = 20) {
  const items = [];
  let cursor = null;
  for (let page = 0; page < most; page += 1) {
    const query = new URLSearchParams({ limit: 200, ...(cursor ? { cursor } : {}) });
    const said = await ask(`${path}?${query}`);
    items.push(...said.items);
    cursor = said.next;
    if (!cursor) break;
  }
  return items;
}

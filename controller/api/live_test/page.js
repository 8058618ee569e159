// The test page: sign in, speak live, listen in. It shows; speaking.js and listening.js do.
import { all, ask, keepToken, token } from "./api.js";
import { Listening } from "./listening.js";
import { Speaking } from "./speaking.js";
import { meaning, translate, word } from "./words.js";

const byId = (id) => document.getElementById(id);
const now = () => performance.now() / 1000;

const shown = { state: "idle", ends: null, hearing: "", problem: null };

function say(text) {
  const line = document.createElement("li");
  line.textContent = `${new Date().toLocaleTimeString()} ${text}`;
  byId("log").prepend(line);
  while (byId("log").children.length > 50) byId("log").lastChild.remove();
}

function complain(error) {
  shown.problem = error;
  byId("problem").textContent = error ? meaning(error.code, error.message) : "";
  if (error?.code === "unauthenticated") signedOut();
}

function showState() {
  byId("state").textContent = word(shown.state === "chime" ? "chime_state" : shown.state);
  byId("state").dataset.state = shown.state;
  byId("hearing").textContent = shown.hearing && word(shown.hearing);
  const left = shown.ends === null ? null : Math.max(0, Math.round(shown.ends - now()));
  const text = left === null ? "" : `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  byId("left").textContent = text && word("left", text);
}

function enable(open) {
  byId("start").disabled = open;
  byId("stop").disabled = byId("extend").disabled = !open;
  byId("start").dataset.word = !open && Speaking.remembered() ? "resume" : "start";
  byId("start").textContent = word(byId("start").dataset.word);
}

const speaking = new Speaking({
  began(session, codec) {
    say(word("began", session.clusters.length, word(codec)));
    enable(true);
  },
  state(state, left) {
    if (state !== shown.state) say(word(state === "chime" ? "chime_state" : state));
    shown.state = state;
    if (left !== null) shown.ends = now() + left;
    showState();
  },
  meter(rms, peak, dropped) {
    byId("level").value = rms;
    byId("detail").textContent = word("meter", rms, peak, dropped);
  },
  warning(code, detail) {
    const text = code === "time" || code === "silence" ? word(code) : meaning(code, detail);
    byId("problem").textContent = text;
    say(text);
  },
  ended(code, detail) {
    Object.assign(shown, { state: "ended", ends: null });
    byId("level").value = -60;
    byId("detail").textContent = "";
    showState();
    enable(false);
    complain({ code, message: detail });
    say(meaning(code, detail));
  },
});

const listening = new Listening(byId("sound"), {
  hearing(what) {
    shown.hearing = what;
    byId("unhear").disabled = what === "heard_end";
    showState();
  },
  refused: complain,
});

function option(value, text) {
  const one = document.createElement("option");
  one.value = value;
  one.textContent = text;
  return one;
}

function fill(select, groups) {
  select.replaceChildren(...groups.filter(([, , items]) => items.length).map(([key, kind, items]) => {
    const group = document.createElement("optgroup");
    group.label = word(key);
    group.dataset.key = key;
    group.append(...items.map((one) => option(`${kind}:${one.id}`, one.name ?? one.title)));
    return group;
  }));
}

async function signedIn() {
  const me = await ask("/api/v1/me");
  byId("who").textContent = me.name;
  const [areas, clusters, sources] = await Promise.all(
    ["areas", "clusters", "sources"].map((what) => all(`/api/v1/${what}`)),
  );
  fill(byId("places"), [["areas", "areas", areas], ["clusters", "clusters", clusters]]);
  fill(byId("heard"), [["clusters", "cluster_id", clusters], ["sources", "source_id", sources]]);
  byId("signin").hidden = true;
  byId("desk").hidden = false;
  enable(false);
  byId("places").focus();
}

function signedOut() {
  keepToken(null);
  byId("signin").hidden = false;
  byId("desk").hidden = true;
  byId("name").focus();
}

async function resume() {
  enable(true);
  try {
    if (await speaking.resume(byId("pcm").checked)) return;
    byId("problem").textContent = word("reload");
  } catch (error) {
    complain(error);
  }
  enable(false);
}

/** What a form does; what is refused is shown. */
function does(id, event, work) {
  byId(id).addEventListener(event, async (happened) => {
    happened.preventDefault();
    complain(null);
    try {
      await work();
    } catch (error) {
      complain(error);
    }
  });
}

does("signin", "submit", async () => {
  const said = await ask("/api/v1/login", { name: byId("name").value.trim(), password: byId("password").value, label: "live-test" });
  byId("password").value = "";
  keepToken(said.token);
  await signedIn();
});

does("signout", "click", async () => {
  speaking.tell("stop");
  listening.stop();
  await ask("/api/v1/logout", {}).finally(signedOut);
});

does("form", "submit", async () => {
  if (Speaking.remembered()) {
    await resume();
    return;
  }
  const chosen = [...byId("places").selectedOptions].map((one) => one.value.split(":"));
  const of = (kind) => chosen.filter(([is]) => is === kind).map(([, id]) => id);
  const chime = byId("chime").checked;
  byId("start").disabled = true;
  Object.assign(shown, { state: "opening", ends: null });
  showState();
  try {
    await speaking.start(
      { areas: of("areas"), clusters: of("clusters"), title: byId("title").value, chime_before: chime, chime_after: chime },
      byId("pcm").checked,
    );
  } catch (error) {
    shown.state = "idle";
    showState();
    enable(false);
    throw error;
  }
});
does("stop", "click", () => speaking.tell("stop"));
does("extend", "click", () => speaking.tell("extend"));

does("listen", "submit", async () => {
  const [kind, id] = byId("heard").value.split(":");
  await listening.start({ [kind]: id, anyway: kind === "cluster_id" && byId("anyway").checked });
});
does("unhear", "click", () => listening.stop());

translate(byId("language"), () => {
  showState();
  document.querySelectorAll("optgroup").forEach((one) => { one.label = word(one.dataset.key); });
  if (shown.problem) complain(shown.problem);
});
setInterval(showState, 500);

if (token()) {
  signedIn().then(() => (Speaking.remembered() ? resume() : null)).catch(complain);
} else {
  signedOut();
}

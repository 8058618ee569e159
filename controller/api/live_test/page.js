// A minimal speaker: opens a live session, sends the microphone as Opus (WebCodecs) or plain samples, shows the state.
const RATE = 48000;
const MOST_UNSENT = 64 * 1024; // what the network does not take is dropped: live sound does not wait
const RETRY_MS = 1000;
const TRIES = 8;

const byId = (id) => document.getElementById(id);
const list = (id) => byId(id).value.split(",").map((one) => one.trim()).filter(Boolean);

let session = null;
let socket = null;
let capture = null;
let over = true;
let dropped = 0;

function say(text) {
  const line = document.createElement("li");
  line.textContent = `${new Date().toLocaleTimeString()} ${text}`;
  byId("log").prepend(line);
}

function show(state, detail = "") {
  byId("state").textContent = state;
  byId("state").dataset.state = state;
  byId("detail").textContent = detail;
}

async function openSession(token) {
  const chime = byId("chime").checked;
  const body = {
    areas: list("areas"), clusters: list("clusters"), title: byId("title").value, chime_before: chime, chime_after: chime,
  };
  const answer = await fetch("/api/v1/live", {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.detail ?? answer.statusText);
  return said;
}

async function openMicrophone(send) {
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  });
  const context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
  await context.audioWorklet.addModule("/live-test/worklet.js");
  const node = new AudioWorkletNode(context, "frames", { numberOfOutputs: 0 });
  context.createMediaStreamSource(stream).connect(node);
  node.port.onmessage = (event) => send(event.data);
  await context.resume();
  return {
    close() {
      stream.getTracks().forEach((track) => track.stop());
      context.close();
    },
  };
}

async function opusEncoder(output) {
  const config = {
    codec: "opus", sampleRate: RATE, numberOfChannels: 1, bitrate: 48000,
    opus: { frameDuration: 20000, format: "opus", application: "voip" },
  };
  if (byId("pcm").checked || typeof AudioEncoder === "undefined") return null;
  const support = await AudioEncoder.isConfigSupported(config).catch(() => ({ supported: false }));
  if (!support.supported) return null;
  const encoder = new AudioEncoder({
    output: (chunk) => {
      const packet = new Uint8Array(chunk.byteLength);
      chunk.copyTo(packet);
      output(packet);
    },
    error: (error) => say(`encoder: ${error.message}`),
  });
  encoder.configure(config);
  return encoder;
}

function put(bytes) {
  if (socket?.readyState !== WebSocket.OPEN) return;
  if (socket.bufferedAmount > MOST_UNSENT) dropped += 1;
  else socket.send(bytes);
}

function samples16(frame) {
  const out = new DataView(new ArrayBuffer(frame.length * 2));
  frame.forEach((value, at) => out.setInt16(at * 2, Math.max(-1, Math.min(1, value)) * 32767, true));
  return out.buffer;
}

function connect(token, codec, tries = 0) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const url = `${scheme}://${location.host}/api/v1/live/${session.id}/microphone`;
  socket = new WebSocket(url, ["loa.microphone.1", `bearer.${token}`]);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    tries = 0;
    socket.send(JSON.stringify({ type: "hello", codec, rate: RATE, client: navigator.userAgent.slice(0, 200) }));
  };
  socket.onmessage = (event) => hear(JSON.parse(event.data));
  socket.onclose = () => {
    if (over) return;
    if (tries >= TRIES) {
      finish("the controller cannot be reached any more");
      return;
    }
    show("absent", "the connection broke; trying again");
    setTimeout(() => connect(token, codec, tries + 1), RETRY_MS);
  };
}

function hear(said) {
  if (said.type === "meter") {
    byId("level").value = said.rms_db;
    byId("detail").textContent = `${said.rms_db} dB RMS, ${said.peak_db} dB peak, ${dropped} frames dropped`;
  } else if (said.type === "state") {
    show(said.state, said.left_s === null ? "" : `${said.left_s} s left`);
    say(said.state);
  } else if (said.type === "bye") {
    finish(said.code);
  } else {
    say(`${said.type}: ${said.code} ${said.detail ?? ""}`);
  }
}

function finish(why) {
  over = true;
  show("ended", why);
  capture?.close();
  capture = null;
  byId("start").disabled = false;
  byId("stop").disabled = byId("extend").disabled = true;
}

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = byId("token").value.trim();
  byId("start").disabled = true;
  try {
    const encoder = await opusEncoder(put);
    let position = 0;
    capture = await openMicrophone((frame) => {
      if (!encoder) {
        put(samples16(frame));
        return;
      }
      const data = new AudioData({
        format: "f32-planar", sampleRate: RATE, numberOfFrames: frame.length, numberOfChannels: 1,
        timestamp: Math.round((position / RATE) * 1e6), data: frame,
      });
      position += frame.length;
      encoder.encode(data);
      data.close();
    });
    session = await openSession(token);
    over = false;
    dropped = 0;
    say(`${session.clusters.length} clusters, sending ${encoder ? "Opus" : "plain samples"}`);
    byId("stop").disabled = byId("extend").disabled = false;
    connect(token, encoder ? "opus" : "pcm");
  } catch (error) {
    finish(error.message);
  }
});

byId("stop").addEventListener("click", () => socket?.send(JSON.stringify({ type: "stop" })));
byId("extend").addEventListener("click", () => socket?.send(JSON.stringify({ type: "extend" })));

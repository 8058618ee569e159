// The microphone: frames of 20 ms, as Opus packets (WebCodecs) or as plain 16-bit samples.
import { Refused } from "./api.js";

export const RATE = 48000;
const MOST_WAITING = 10; // frames that the encoder may be behind before some are left out
const RUNS_MS = 1000;

/** Open it. `send(bytes)` gets each packet; `ended()` is called when the microphone is taken away. */
export async function openMicrophone({ plain, send, ended }) {
  if (!navigator.mediaDevices) throw new Refused("insecure");
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  }).catch((error) => { throw new Refused(error.name, error.message); });
  const encoder = plain ? null : await opusEncoder(send);
  const context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
  await context.audioWorklet.addModule("/live-test/worklet.js");
  const node = new AudioWorkletNode(context, "frames", { numberOfOutputs: 0 });
  context.createMediaStreamSource(stream).connect(node);
  let position = 0;
  node.port.onmessage = ({ data }) => {
    if (!encoder) send(samples16(data));
    else if (encoder.encodeQueueSize < MOST_WAITING) encode(encoder, data, position);
    position += data.length;
  };
  stream.getTracks().forEach((track) => track.addEventListener("ended", ended));
  return {
    codec: encoder ? "opus" : "pcm",
    /** Whether sound comes; a browser may want a key press first (after a reload). */
    async runs() {
      const patience = new Promise((done) => { setTimeout(done, RUNS_MS); });
      await Promise.race([context.resume(), patience]);
      return context.state === "running";
    },
    close() {
      stream.getTracks().forEach((track) => track.stop());
      node.port.onmessage = null;
      if (encoder && encoder.state !== "closed") encoder.close();
      context.close();
    },
  };
}

async function opusEncoder(output) {
  if (typeof AudioEncoder === "undefined") return null;
  const config = {
    codec: "opus", sampleRate: RATE, numberOfChannels: 1, bitrate: 48000,
    opus: { frameDuration: 20000, format: "opus", application: "voip" },
  };
  const support = await AudioEncoder.isConfigSupported(config).catch(() => ({ supported: false }));
  if (!support.supported) return null;
  const encoder = new AudioEncoder({
    output: (chunk) => {
      const packet = new Uint8Array(chunk.byteLength);
      chunk.copyTo(packet);
      output(packet);
    },
    error: (error) => console.error("encoder", error),
  });
  encoder.configure(config);
  return encoder;
}

function encode(encoder, frame, position) {
  const data = new AudioData({
    format: "f32-planar", sampleRate: RATE, numberOfFrames: frame.length, numberOfChannels: 1,
    timestamp: Math.round((position / RATE) * 1e6), data: frame,
  });
  encoder.encode(data);
  data.close();
}

function samples16(frame) {
  const out = new DataView(new ArrayBuffer(frame.length * 2));
  frame.forEach((value, at) => out.setInt16(at * 2, Math.max(-1, Math.min(1, value)) * 32767, true));
  return out.buffer;
}

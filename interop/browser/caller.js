// The browser's side of one call with interop/peer: runs inside a page, added to it as a classic script.
//
// `Caller` holds the RTCPeerConnection and the WebSocket to our peer, and negotiates perfectly (W3C webrtc-pc §10.7).
// `Picture` and `Tone` are media that can be recognised after they came back: a colour, a frequency.

"use strict";

const PATIENCE_MS = 20_000;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function check(condition, sentence) {
  if (!condition) throw new Error(sentence);
}

/** Asks `probe` until it answers something truthy, which is returned; `what` may be a function, asked at the end. */
async function until(what, probe, limitMs = PATIENCE_MS) {
  const end = performance.now() + limitMs;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (performance.now() > end) {
      const sentence = typeof what === "function" ? await what() : what;
      throw new Error(`not within ${limitMs / 1000} s: ${sentence}`);
    }
    await sleep(25);
  }
}

/** Colours that a codec's subsampling does not blur into each other. */
const COLOURS = [
  [220, 40, 40],
  [40, 200, 40],
  [40, 60, 220],
  [220, 210, 40],
  [210, 50, 210],
  [40, 210, 210],
  [120, 120, 120],
  [240, 240, 240],
  [240, 140, 30],
  [20, 90, 60],
];

/** A canvas of one colour with a bar that moves, as a track. */
class Picture {
  constructor(colour = COLOURS[0], { width = 320, height = 240, fps = 20 } = {}) {
    this.colour = colour;
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d");
    let step = 0;
    const draw = () => {
      pen.fillStyle = `rgb(${colour})`;
      pen.fillRect(0, 0, width, height);
      pen.fillStyle = "black";
      // At the edge, away from where colours are looked at.
      pen.fillRect(0, (step = (step + 4) % height), width / 8, 4);
    };
    draw();
    this.timer = setInterval(draw, 1000 / fps);
    this.track = canvas.captureStream(fps).getVideoTracks()[0];
  }

  stop() {
    clearInterval(this.timer);
    this.track.stop();
  }
}

/** A sine as a track. */
class Tone {
  static context = null;

  constructor(hz = 440) {
    Tone.context ??= new AudioContext();
    this.hz = hz;
    const oscillator = new OscillatorNode(Tone.context, { frequency: hz });
    const sink = new MediaStreamAudioDestinationNode(Tone.context);
    oscillator.connect(new GainNode(Tone.context, { gain: 0.5 })).connect(sink);
    oscillator.start();
    this.track = sink.stream.getAudioTracks()[0];
  }
}

/** Looks at a received video track. */
class Viewer {
  constructor(track) {
    this.video = document.createElement("video");
    Object.assign(this.video, { muted: true, playsInline: true, srcObject: new MediaStream([track]) });
    document.body.append(this.video);
    this.video.play().catch(() => {});
    this.frames = 0;
    const count = () => {
      this.frames += 1;
      this.video.requestVideoFrameCallback(count);
    };
    this.video.requestVideoFrameCallback(count);
    this.canvas = new OffscreenCanvas(16, 16);
    this.pen = this.canvas.getContext("2d", { willReadFrequently: true });
  }

  /** The colour near the picture's middle. */
  colour() {
    this.pen.drawImage(this.video, 0, 0, 16, 16);
    return [...this.pen.getImageData(9, 8, 1, 1).data.slice(0, 3)];
  }

  /** `count` more frames are shown, and what is shown has this colour. */
  async shows(colour, count = 10) {
    const from = this.frames;
    await until(
      () => `${count} frames of ${colour}; got ${this.frames - from} and ${this.colour()}`,
      () => this.frames >= from + count && isClose(this.colour(), colour),
    );
  }

  close() {
    this.video.srcObject = null;
    this.video.remove();
  }
}

function isClose(one, other, tolerance = 40) {
  return one.every((value, index) => Math.abs(value - other[index]) <= tolerance);
}

/** Listens to a received audio track. */
class Listener {
  constructor(track) {
    Tone.context ??= new AudioContext();
    const stream = new MediaStream([track]);
    // Chromium hands remote sound to Web Audio only while an element plays it too.
    this.element = Object.assign(new Audio(), { muted: true, srcObject: stream });
    this.element.play().catch(() => {});
    this.analyser = new AnalyserNode(Tone.context, { fftSize: 4096 });
    new MediaStreamAudioSourceNode(Tone.context, { mediaStream: stream }).connect(this.analyser);
  }

  /** The strongest frequency, and how strong it is in dB. */
  peak() {
    const bins = new Float32Array(this.analyser.frequencyBinCount);
    this.analyser.getFloatFrequencyData(bins);
    const best = bins.reduce((best, value, index) => (value > bins[best] ? index : best), 1);
    return { hz: (best * Tone.context.sampleRate) / this.analyser.fftSize, db: bins[best] };
  }

  async hears(hz) {
    await until(
      () => `a tone of ${hz} Hz; heard ${JSON.stringify(this.peak())}`,
      () => {
        const { hz: heard, db } = this.peak();
        return db > -60 && Math.abs(heard - hz) < 40;
      },
    );
  }

  close() {
    this.element.srcObject = null;
  }
}

/** One call with our peer. */
class Caller {
  /** `peer` are the options of interop/peer; `configuration` is the browser's. */
  static async open({ peer = {}, configuration = {}, polite = false, trickle = true, negotiate = true } = {}) {
    const caller = new Caller(configuration, { polite, trickle, negotiate });
    Caller.latest = caller;
    await caller.#connect();
    await caller.do("configure", peer);
    return caller;
  }

  static latest = null;

  #answers = new Map();
  /** Candidates that must not overtake their description; null while they need not wait. */
  #heldCandidates = null;
  #nextId = 1;
  #chain = Promise.resolve();
  #makingOffer = false;
  #ignoringOffer = false;

  constructor(configuration, options) {
    this.options = options;
    /** States of both sides in order: ["own connectionState connected", "peer …"]. */
    this.states = [];
    /** Events of our peer: [{event, detail}]. */
    this.events = [];
    /** Errors anywhere in the negotiation: none is expected unless a scenario says so. */
    this.errors = [];
    /** Received tracks by mid, newest last. */
    this.received = [];
    /** Descriptions in order: {from: "own" | "peer", type, sdp}. */
    this.descriptions = [];
    /** Candidates that went over the wire, in both directions. */
    this.candidates = { own: 0, peer: 0 };
    /** Those of them that are candidates, as text, and those in descriptions; also the ones that did not pass. */
    this.lines = { own: [], peer: [] };
    /** Which candidates reach the other side. */
    this.passesOut = () => true;
    this.passesIn = () => true;
    /** Applied to every description of the peer, and to every own one, before it is used. */
    this.mangleIncoming = (description) => description;
    this.mangleOutgoing = (description) => description;
    this.connection = new RTCPeerConnection(configuration);
    this.#watch(this.connection);
  }

  async #connect() {
    this.socket = new WebSocket(`ws://${location.host}/peer`);
    this.socket.onmessage = ({ data }) => this.#incoming(JSON.parse(data));
    this.socket.onclose = () => this.errors.push("our peer closed the socket");
    await new Promise((resolve, reject) => {
      this.socket.onopen = resolve;
      this.socket.onerror = () => reject(new Error("no WebSocket to our peer"));
    });
  }

  #watch(connection) {
    for (const name of ["connectionState", "iceConnectionState", "signalingState"])
      connection.addEventListener(`${name.toLowerCase()}change`, () =>
        this.states.push(`own ${name} ${connection[name]}`),
      );
    connection.ontrack = ({ track, transceiver, streams }) =>
      this.received.push({ track, transceiver, mid: transceiver.mid, streams });
    connection.onicecandidate = ({ candidate }) => {
      if (!this.options.trickle) return;
      if (candidate?.candidate && !this.#passes("own", candidate.candidate)) return;
      this.candidates.own += 1;
      const message = { candidate: candidate?.toJSON() ?? null };
      if (this.#heldCandidates) this.#heldCandidates.push(message);
      else this.#send(message);
    };
    connection.onnegotiationneeded = () => this.options.negotiate && this.#queue(() => this.offer());
  }

  #passes(side, line) {
    this.lines[side].push(line);
    return side === "own" ? this.passesOut(line) : this.passesIn(line);
  }

  /** A description without the candidates that may not pass. */
  #filtered(side, { type, sdp }) {
    const passes = (line) => !line.startsWith("a=candidate:") || this.#passes(side, line.slice(2));
    return { type, sdp: sdp.split("\r\n").filter(passes).join("\r\n") };
  }

  #send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** Asks our peer to do something and waits until it has. */
  do(command, details = {}) {
    const id = this.#nextId++;
    this.#send({ id, do: command, ...details });
    return new Promise((resolve, reject) => {
      this.#answers.set(id, { resolve, reject, command });
      const late = () => reject(new Error(`our peer did not answer ${command}; ${this.errors.join("; ")}`));
      setTimeout(late, PATIENCE_MS);
    });
  }

  #incoming(message) {
    if ("answer" in message) {
      const { resolve, reject, command } = this.#answers.get(message.answer);
      this.#answers.delete(message.answer);
      return message.error ? reject(new Error(`our peer: ${command}: ${message.error}`)) : resolve(message.value);
    }
    if ("description" in message) return this.#queue(() => this.#description(message.description));
    if ("candidate" in message) {
      this.candidates.peer += 1;
      return this.#queue(() => this.#candidate(message.candidate));
    }
    this.events.push(message);
    if (message.event.endsWith("statechange"))
      this.states.push(`peer ${message.event.replace("statechange", "State")} ${message.detail}`);
    if (["error", "failure"].includes(message.event)) this.errors.push(`our peer: ${message.detail}`);
  }

  /** Signalling is handled in order, one thing after the other. */
  #queue(task) {
    this.#chain = this.#chain.then(task).catch((error) => this.errors.push(`${error.name}: ${error.message}`));
    return this.#chain;
  }

  /** Makes an offer, applies and sends it. */
  async offer() {
    this.#makingOffer = true;
    try {
      await this.connection.setLocalDescription();
      await this.#describe();
    } finally {
      this.#makingOffer = false;
    }
  }

  async #describe() {
    if (!this.options.trickle)
      await until("gathering is complete", () => this.connection.iceGatheringState === "complete");
    const { type, sdp } = this.connection.localDescription;
    const description = this.mangleOutgoing(this.#filtered("own", { type, sdp }));
    this.descriptions.push({ from: "own", ...description });
    this.#send({ description });
  }

  async #description(received) {
    const description = this.mangleIncoming(this.#filtered("peer", received));
    this.descriptions.push({ from: "peer", ...description });
    const collision =
      description.type === "offer" && (this.#makingOffer || this.connection.signalingState !== "stable");
    this.#ignoringOffer = collision && !this.options.polite;
    if (this.#ignoringOffer) {
      this.events.push({ event: "own offerignored" });
      return;
    }
    await this.connection.setRemoteDescription(description);
    if (description.type !== "offer") return;
    await this.beforeAnswer?.();
    await this.connection.setLocalDescription();
    await this.#describe();
  }

  /** Both sides make offers that cross: neither sees the other's before it has sent its own. */
  collide(prepareOwn, preparePeer) {
    // As one task of the queue: what our peer sends meanwhile waits behind it.
    return this.#queue(async () => {
      const from = this.states.length;
      const negotiate = this.options.negotiate;
      this.options.negotiate = false;
      await prepareOwn();
      this.#heldCandidates = [];
      await this.connection.setLocalDescription();
      await preparePeer();
      const offered = () => this.states.slice(from).includes("peer signalingState have-local-offer");
      await until(`our peer has made its offer; ${this.summary()}`, offered);
      this.options.negotiate = negotiate;
      await this.#describe();
      for (const message of this.#heldCandidates) this.#send(message);
      this.#heldCandidates = null;
    });
  }

  async #candidate(candidate) {
    if (candidate?.candidate && !this.#passes("peer", candidate.candidate)) return;
    try {
      await this.connection.addIceCandidate(candidate ?? undefined);
    } catch (error) {
      if (!this.#ignoringOffer) throw error;
    }
  }

  /** Both sides say `connected`. */
  async connected() {
    await until(
      async () => `both sides are connected; ${this.summary()}`,
      async () => {
        this.healthy();
        return this.connection.connectionState === "connected" && (await this.state()).connection === "connected";
      },
    );
  }

  /** Both sides are `stable` and nothing is left to negotiate. */
  async stable() {
    await until(
      async () => `both sides are stable; ${this.summary()}`,
      async () => {
        this.healthy();
        await this.#chain;
        const peer = await this.state();
        return this.connection.signalingState === "stable" && peer.signaling === "stable";
      },
    );
  }

  /** Nothing went wrong so far. */
  healthy() {
    check(this.errors.length === 0, `${this.errors.join("; ")} (${this.summary()})`);
  }

  summary() {
    return `states: ${this.states.slice(-12).join(", ")}`;
  }

  /** What our peer's connection looks like. */
  state() {
    return this.do("state");
  }

  /** The track that arrives on the section, once it has been announced. */
  async track(mid) {
    const found = () => this.received.findLast((entry) => entry.mid === mid)?.track;
    return until(() => `a track on section ${mid}; ${this.summary()}`, () => (this.healthy(), found()));
  }

  /** The latest description of one side. */
  latest(from, type) {
    return this.descriptions.findLast((entry) => entry.from === from && (!type || entry.type === type));
  }

  /** The transceiver of the section. */
  transceiver(mid) {
    return this.connection.getTransceivers().find((transceiver) => transceiver.mid === mid);
  }

  /** The pair that media flows over: {local, remote} candidates. */
  async selectedPair() {
    const report = await this.connection.getStats();
    let transport;
    report.forEach((entry) => {
      if (entry.type === "transport") transport ??= entry;
    });
    const pair = report.get(transport?.selectedCandidatePairId);
    return pair && { local: report.get(pair.localCandidateId), remote: report.get(pair.remoteCandidateId) };
  }

  /** The browser's figures of what arrives, by kind or by mid: the sum of one member over the entries. */
  async inbound(member, wanted = () => true) {
    let sum = 0;
    (await this.connection.getStats()).forEach((entry) => {
      if (entry.type === "inbound-rtp" && wanted(entry)) sum += entry[member] ?? 0;
    });
    return sum;
  }

  async codecs(kind) {
    const report = await this.connection.getStats();
    const used = new Set();
    report.forEach((entry) => {
      const flows = entry.packetsReceived > 0 || entry.packetsSent > 0;
      if (/^(in|out)bound-rtp$/.test(entry.type) && entry.kind === kind && flows)
        used.add(report.get(entry.codecId)?.mimeType);
    });
    return [...used];
  }

  /** What a person needs to find out why a scenario failed. */
  async evidence() {
    const flows = [];
    (await this.connection.getStats()).forEach((entry) => {
      if (/^(in|out)bound-rtp$/.test(entry.type)) flows.push(entry);
    });
    const { states, errors, events, candidates, descriptions } = this;
    const ours = this.connection.getTransceivers().map(({ mid, direction, currentDirection, sender, receiver }) => {
      return { mid, direction, currentDirection, sends: sender.track?.kind, muted: receiver.track.muted };
    });
    return { ours, peer: await this.state().catch(() => null), flows, states, errors, events, candidates, descriptions };
  }

  async close() {
    this.socket.onclose = null;
    this.connection.close();
    this.socket.close();
  }
}

/** ICE user fragments of a description, without repetition. */
function fragments(sdp) {
  return [...new Set([...sdp.matchAll(/^a=ice-ufrag:(\S+)/gm)].map(([, fragment]) => fragment))];
}

/** The media sections of a description, each as text that begins with its m-line. */
function sections(sdp) {
  return sdp.split(/^(?=m=)/m).slice(1);
}

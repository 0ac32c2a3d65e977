// Data channels between Chromium and our peer: runs inside a page, after scenarios.js, whose object it adds to.
//
// Our peer echoes every message, except on channels of the subprotocol "bulk": see interop/peer/src/data.rs.

"use strict";

/** One data channel with what came on it. */
class Channel {
  constructor(channel) {
    this.channel = channel;
    channel.binaryType = "arraybuffer";
    this.messages = [];
    channel.addEventListener("message", ({ data }) => this.messages.push(data));
  }

  get label() {
    return this.channel.label;
  }

  async opens() {
    await until(
      () => `channel ${this.label} opens; it is ${this.channel.readyState}`,
      () => this.channel.readyState === "open",
    );
    return this;
  }

  async closed() {
    await until(
      () => `channel ${this.label} is closed; it is ${this.channel.readyState}`,
      () => this.channel.readyState === "closed",
    );
  }

  /** The next message, which is taken away. */
  async next() {
    await until(`a message on channel ${this.label}`, () => this.messages.length > 0);
    return this.messages.shift();
  }

  /** What is sent comes back the same. */
  async echoes(message) {
    this.channel.send(message);
    const back = await this.next();
    check(same(message, back), `${describe(message)} came back as ${describe(back)}`);
  }
}

function describe(message) {
  return typeof message === "string" ? `text of ${message.length}` : `${message.byteLength} bytes`;
}

function same(one, other) {
  if (typeof one === "string" || typeof other === "string") return one === other;
  const [a, b] = [new Uint8Array(one), new Uint8Array(other)];
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** Bytes that no compression could guess; `crypto` gives at most 64 KiB at once. */
function noise(length) {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  return bytes.buffer;
}

async function sha256(bytes) {
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...sum].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A connection for data alone; `opener` makes the first channel, and with it the offer. */
async function dataCall(opener, options = {}) {
  const caller = await Caller.open(options);
  caller.announced = [];
  caller.connection.ondatachannel = ({ channel }) => caller.announced.push(new Channel(channel));
  await openChannel(caller, opener, { label: "first" });
  await caller.connected();
  return caller;
}

/** A channel opened by one side, and announced to the other. */
async function openChannel(caller, opener, { label, ...init }) {
  if (opener === "chromium") return new Channel(caller.connection.createDataChannel(label, init)).opens();
  const { id: stream, ...rest } = init;
  await caller.do("channel", { label, ...rest, ...(stream === undefined ? {} : { stream }) });
  if (init.negotiated) return new Channel(caller.connection.createDataChannel(label, init)).opens();
  const found = () => caller.announced.find((channel) => channel.label === label);
  const channel = await until(() => `channel ${label} is announced; ${caller.summary()}`, () => (caller.healthy(), found()));
  return channel.opens();
}

/** What our peer says of the channel. */
async function theirs(caller, label) {
  const found = async () => (await caller.state()).channels.find((channel) => channel.label === label);
  return until(`our peer has the channel ${label}`, found);
}

const MODES = [
  {},
  { ordered: false },
  { maxRetransmits: 0 },
  { ordered: false, maxRetransmits: 3 },
  { maxPacketLifeTime: 1000 },
  { ordered: false, maxPacketLifeTime: 500, protocol: "a protocol" },
];

/** Both sides open channels of every mode; both see the same properties; messages come back. */
async function modes(opener) {
  const caller = await dataCall(opener);
  let count = 0;
  for (const side of ["chromium", "peer"]) {
    for (const [index, mode] of MODES.entries()) {
      const channel = await openChannel(caller, side, { label: `${side} ${index}`, ...mode });
      const their = await theirs(caller, channel.label);
      for (const name of ["id", "ordered", "maxRetransmits", "maxPacketLifeTime", "protocol", "negotiated"])
        check(
          channel.channel[name] === their[name],
          `${channel.label}: ${name} is ${channel.channel[name]} here and ${their[name]} there`,
        );
      for (const name of ["ordered", "maxRetransmits", "maxPacketLifeTime", "protocol"])
        if (name in mode) check(channel.channel[name] === mode[name], `${channel.label}: ${name} got lost`);
      await channel.echoes("hello");
      await channel.echoes(noise(1_000));
      count += 1;
    }
  }
  const agreed = await openChannel(caller, "peer", { label: "agreed", negotiated: true, id: 700 });
  await agreed.echoes("no OPEN was needed");
  caller.healthy();
  return `${count + 1} channels of ${MODES.length + 1} modes`;
}

/** Messages of every size come back as they were sent, in both kinds. */
async function sizes(opener) {
  const caller = await dataCall(opener);
  const channel = await openChannel(caller, opener, { label: "grüße 🎺 \u0000 end" });
  const all = [0, 1, 2, 1_199, 1_200, 16_384, 65_535, 65_536, 262_144];
  for (const size of all) {
    await channel.echoes(noise(size));
    await channel.echoes("x".repeat(size));
  }
  await channel.echoes("ünï©ødé 🎺");
  let refused = false;
  try {
    channel.channel.send(noise(262_145));
  } catch {
    refused = true;
  }
  check(refused, "Chromium was not told of the largest size");
  const first = caller.latest("peer").sdp;
  check(/^a=max-message-size:262144/m.test(first), "our peer's description has another size");
  caller.healthy();
  return `${all.length} sizes up to 256 KiB, as bytes and as text; the label came through`;
}

/** A thousand channels are opened and closed, by either side; stream identifiers are used again. */
async function recycling(opener) {
  const caller = await dataCall(opener);
  const [rounds, width] = [20, 50];
  let highest = 0;
  for (let round = 0; round < rounds; round++) {
    const labels = Array.from({ length: width }, (_, index) => `${round}-${index}`);
    const channels = await Promise.all(labels.map((label) => openChannel(caller, opener, { label })));
    await Promise.all(channels.map((channel) => channel.echoes(channel.label)));
    highest = Math.max(highest, ...channels.map(({ channel }) => channel.id));
    // Either side may close.
    for (const channel of channels) {
      if (round % 2) channel.channel.close();
      else await caller.do("close_channel", { label: channel.label });
    }
    await Promise.all(channels.map((channel) => channel.closed()));
  }
  // Two rounds may overlap, with every second identifier each.
  check(highest < 6 * width, `identifiers went up to ${highest}`);
  caller.healthy();
  return `${rounds * width} channels, identifiers up to ${highest}`;
}

const MIB = 1 << 20;

/** Much data in both directions, with equal checksums. */
async function bulk(opener, bytes) {
  const caller = await dataCall(opener);
  const channel = await openChannel(caller, opener, { label: "bulk", protocol: "bulk" });
  const raw = channel.channel;
  raw.bufferedAmountLowThreshold = MIB;
  const block = noise(256 * 1024);
  const sent = new Uint8Array(bytes);
  const started = performance.now();
  for (let at = 0; at < bytes; at += block.byteLength) {
    new DataView(block).setUint32(0, at);
    sent.set(new Uint8Array(block), at);
    raw.send(block);
    if (raw.bufferedAmount > 4 * MIB) await new Promise((resolve) => (raw.onbufferedamountlow = resolve));
  }
  raw.send(JSON.stringify({ end: true }));
  await until("our peer has it all", () => channel.messages.length > 0, 80_000);
  const theirSum = JSON.parse(await channel.next());
  const up = (performance.now() - started) / 1000;
  check(theirSum.bytes === bytes, `${theirSum.bytes} of ${bytes} bytes arrived`);
  const ourSum = await sha256(sent);
  check(theirSum.sha256 === ourSum, "our peer has another checksum");

  const begun = performance.now();
  raw.send(JSON.stringify({ pour: bytes, chunk: 65_536 }));
  await until("our peer has sent it all", () => typeof channel.messages.at(-1) === "string", 80_000);
  const down = (performance.now() - begun) / 1000;
  const told = JSON.parse(channel.messages.pop());
  const received = new Uint8Array(bytes);
  let at = 0;
  for (const message of channel.messages) {
    received.set(new Uint8Array(message), at);
    at += message.byteLength;
  }
  check(at === bytes, `${at} of ${bytes} bytes came back`);
  check((await sha256(received)) === told.sha256, "what our peer sent has another checksum here");
  caller.healthy();
  const rate = (seconds) => (bytes / MIB / seconds).toFixed(1);
  return `${bytes / MIB} MiB each way, ${rate(up)} MiB/s to us, ${rate(down)} MiB/s from us`;
}

/** Data joins a call that has media, and goes on over an ICE restart and through renegotiations. */
async function besideMedia(offerer) {
  const caller = await call(offerer);
  caller.announced = [];
  caller.connection.ondatachannel = ({ channel }) => caller.announced.push(new Channel(channel));
  const [own, their] = [
    await openChannel(caller, "chromium", { label: "from Chromium" }),
    await openChannel(caller, "peer", { label: "from our peer" }),
  ];
  await whileMediaRuns(caller, "beside data", async () => {
    for (const channel of [own, their]) await channel.echoes(noise(50_000));
  });
  await whileMediaRuns(caller, "after a restart", async () => {
    caller.connection.restartIce();
    const offers = caller.descriptions.length;
    await until("the restart is negotiated", () => caller.descriptions.length >= offers + 2);
    await caller.stable();
    for (const channel of [own, their]) await channel.echoes(noise(50_000));
  });
  caller.healthy();
  return "two channels beside sound and picture, over an ICE restart";
}

Object.assign(scenarios, {
  "Chromium offers: data channels of every mode": () => modes("chromium"),
  "Chromium answers: data channels of every mode": () => modes("peer"),
  "Chromium offers: messages of every size": () => sizes("chromium"),
  "Chromium answers: messages of every size": () => sizes("peer"),
  "Chromium offers: a thousand data channels": () => recycling("chromium"),
  "Chromium answers: a thousand data channels": () => recycling("peer"),
  "Chromium offers: 128 MiB each way": () => bulk("chromium", 128 * MIB),
  "Chromium answers: 16 MiB each way": () => bulk("peer", 16 * MIB),
  "Chromium offers: data beside media": () => besideMedia("chromium"),
  "Chromium answers: data beside media": () => besideMedia("peer"),
});

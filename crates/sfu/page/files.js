// Files from person to person over the room's data channels. One is offered to everybody or to somebody; to each who
// takes it, it is sent apart:
//
//   sender    offer ──▶                ◀── accept, or stop
//             chunks ─▶  …             ◀── ack (how much has come)    at most WINDOW bytes are under way
//             end (SHA-256) ─▶                                         cancel (sender) and stop (receiver) end it
//
// The window keeps a slow receiver from filling its queue at the server, which would close its channel. All that
// comes is from others: it is checked, and never becomes markup.

import { FILES } from "./data.js";
import { Sha256 } from "./sha256.js";

const CHUNK = 16 * 1024;
/** A quarter of the queue that the server keeps for each receiver's channel. */
const WINDOW = 256 * 1024;
const ACK_EVERY = 64 * 1024;
const BUFFERED_MAX = 128 * 1024;
/** Received files are kept in memory until they are saved. */
export const SIZE_MAX = 512 * 1024 * 1024;
const NAME_MAX = 120;
/** Offers of one person that wait for an answer or are under way. */
const OFFERS_MAX = 10;
/** Of what we offered to everybody, who knows who may still want it: the latest. */
const KEPT_OFFERS_MAX = 50;
/** The part of the server's rates that files may use: the rest is for what people write. */
const SHARE = 0.75;
const STALLED_MS = 30_000;

/**
 * One file going to or coming from one person. Event `change`. `state`: "offered", "running", "done", "failed" (with
 * `reason`), "declined". When `done`, `sha256` is the digest, on which both sides agree; a received one has `blob`.
 */
export class Transfer extends EventTarget {
  state = "offered";
  moved = 0;
  reason = "";
  sha256 = "";
  blob = null;

  constructor({ outgoing, peer, number, name, size }) {
    super();
    Object.assign(this, { outgoing, peer, number, name, size });
  }

  get isOver() {
    return this.state !== "offered" && this.state !== "running";
  }

  set(change) {
    Object.assign(this, change);
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * Events: `transfer` (detail: a new Transfer), `declined` (detail: `{ number, by }`: what we offered to one person),
 * `problem` (detail: a sentence).
 */
export class FileExchange extends EventTarget {
  #data = null;
  #scope = null;
  #offers = new Map(); // number → { file, to }: what we offer
  #transfers = new Map(); // key → { transfer, … }
  #nextNumber = 1;
  #paceUntil = 0;

  /** The connection's channels, or null while there are none: what was under way has failed then. */
  use(data) {
    this.#scope?.abort();
    this.#data = data;
    this.#offers.clear();
    for (const { transfer } of this.#transfers.values()) this.#fail(transfer, "The connection was lost.");
    this.#transfers.clear();
    if (!data) return;
    this.#scope = new AbortController();
    const listen = (type, handler) =>
      data.addEventListener(type, ({ detail }) => detail.label === FILES && handler(detail), {
        signal: this.#scope.signal,
      });
    listen("message", (message) => this.#receive(message));
    listen("bytes", (message) => this.#receiveChunk(message));
    listen("refused", ({ error }) => this.#refused(error));
    listen("closed", () => this.#failAll(() => true, "The data channel was closed."));
  }

  /** Offers a file to one person, or to all (`to` null). Answers the offer's number, or null. */
  offer(file, to) {
    if (file.size > SIZE_MAX) return this.#problem(`“${cleanName(file.name)}” is too large: 512 MiB is the most.`);
    const number = this.#nextNumber++;
    const offer = { file: "offer", transfer: number, name: cleanName(file.name), size: file.size };
    if (!this.#data?.send(FILES, offer, to)) return this.#problem("Files can't be sent at the moment.");
    this.#offers.set(number, { file, to });
    if (this.#offers.size > KEPT_OFFERS_MAX) this.#offers.delete(this.#offers.keys().next().value);
    return number;
  }

  accept(transfer) {
    const entry = this.#find(transfer);
    if (transfer.state !== "offered" || !entry) return;
    Object.assign(entry, { parts: [], hash: new Sha256(), acked: 0 });
    transfer.set({ state: "running" });
    if (!this.#say(transfer, { file: "accept" })) this.#fail(transfer, "The sender can't be reached.");
    this.#watch(entry);
  }

  /** Ends a transfer in either direction, or declines it. */
  stop(transfer) {
    if (transfer.isOver) return;
    this.#say(transfer, { file: transfer.outgoing ? "cancel" : "stop" });
    if (transfer.state === "offered") this.#end(transfer, { state: "declined" });
    else this.#fail(transfer, "You stopped it.");
  }

  /** Somebody has left. */
  gone(id) {
    this.#failAll((transfer) => transfer.peer === id, "The other side has left.");
  }

  // --- What others say ----------------------------------------------------------------------------------------------

  #receive({ from, data }) {
    const number = data?.transfer;
    if (!Number.isSafeInteger(number) || number < 0 || number >= 2 ** 32) return;
    switch (data.file) {
      case "offer":
        return this.#offered(from, number, data);
      case "accept":
        return this.#accepted(from, number);
      case "ack":
        return this.#acknowledged(from, number, data.received);
      case "stop":
        return this.#stopped(from, number);
      case "cancel":
        return this.#failKey(key(false, from, number), "The sender withdrew it.");
      case "end":
        return this.#finished(from, number, data.sha256);
      default:
    }
  }

  #offered(from, number, { name, size }) {
    if (typeof name !== "string" || !Number.isSafeInteger(size) || size < 0 || size > SIZE_MAX) return;
    const open = [...this.#transfers.values()].filter(({ transfer: t }) => !t.outgoing && t.peer === from);
    if (this.#transfers.has(key(false, from, number)) || open.length >= OFFERS_MAX) {
      this.#data?.send(FILES, { file: "stop", transfer: number }, from);
      return;
    }
    this.#add({ outgoing: false, peer: from, number, name: cleanName(name), size });
  }

  #accepted(from, number) {
    const offer = this.#offers.get(number);
    const known = this.#transfers.has(key(true, from, number));
    if (!offer || known || (offer.to !== null && offer.to !== from)) return;
    const { name, size } = offer.file;
    const entry = this.#add({ outgoing: true, peer: from, number, name: cleanName(name), size });
    entry.acked = 0;
    entry.transfer.set({ state: "running" });
    this.#watch(entry);
    this.#stream(entry, offer.file).catch((error) =>
      this.#fail(entry.transfer, `The file can't be read: ${error.message}`),
    );
  }

  #acknowledged(from, number, received) {
    const entry = this.#transfers.get(key(true, from, number));
    if (!entry || !Number.isSafeInteger(received) || received <= entry.acked || received > entry.transfer.size)
      return;
    entry.acked = received;
    entry.lively = true;
    entry.transfer.set({ moved: received });
    entry.wake?.();
  }

  #stopped(from, number) {
    if (this.#failKey(key(true, from, number), "The other side stopped it.")) return;
    const offer = this.#offers.get(number);
    if (offer?.to === from) {
      this.#offers.delete(number);
      this.dispatchEvent(new CustomEvent("declined", { detail: { number, by: from } }));
    }
  }

  #receiveChunk({ from, bytes }) {
    if (bytes.length < 4) return;
    const number = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    const entry = this.#transfers.get(key(false, from, number));
    if (entry?.transfer.state !== "running") return;
    const { transfer } = entry;
    const chunk = bytes.subarray(4);
    if (transfer.moved + chunk.length > transfer.size) {
      this.#say(transfer, { file: "stop" });
      return this.#fail(transfer, "More came than was announced.");
    }
    entry.parts.push(chunk);
    entry.hash.update(chunk);
    entry.lively = true;
    transfer.set({ moved: transfer.moved + chunk.length });
    if (transfer.moved - entry.acked >= ACK_EVERY || transfer.moved === transfer.size) {
      entry.acked = transfer.moved;
      this.#say(transfer, { file: "ack", received: transfer.moved });
    }
  }

  #finished(from, number, sha256) {
    const entry = this.#transfers.get(key(false, from, number));
    if (entry?.transfer.state !== "running") return;
    const { transfer } = entry;
    const digest = entry.hash.digest();
    if (transfer.moved !== transfer.size || digest !== sha256) {
      return this.#fail(transfer, "What came is not what was sent: the SHA-256 checksums differ.");
    }
    // Never a type that a browser would show as a page of this origin.
    const blob = new Blob(entry.parts, { type: "application/octet-stream" });
    this.#end(transfer, { state: "done", sha256: digest, blob });
  }

  /** The server did not hand on a message of ours. */
  #refused({ code, message, to }) {
    const concerns = (transfer) => (to ? transfer.peer === to : transfer.outgoing && transfer.state === "running");
    // Offers to somebody who can't receive files are not transfers yet.
    if (!this.#failAll(concerns, `The server refused it: ${message}`)) this.#problem(String(message ?? code));
  }

  // --- Sending ------------------------------------------------------------------------------------------------------

  async #stream(entry, file) {
    const { transfer } = entry;
    const hash = new Sha256();
    for (let blockAt = 0; blockAt < file.size; blockAt += WINDOW) {
      const block = new Uint8Array(await file.slice(blockAt, blockAt + WINDOW).arrayBuffer());
      for (let at = 0; at < block.length; at += CHUNK) {
        const chunk = block.subarray(at, at + CHUNK);
        if (!(await this.#roomFor(entry, blockAt + at + chunk.length))) return;
        hash.update(chunk);
        const message = new Uint8Array(4 + chunk.length);
        new DataView(message.buffer).setUint32(0, transfer.number);
        message.set(chunk, 4);
        if (!this.#data?.sendBytes(FILES, message, transfer.peer)) {
          return this.#fail(transfer, "The data channel was closed.");
        }
      }
    }
    await this.#until(entry, () => entry.acked === transfer.size);
    if (transfer.isOver) return;
    const sha256 = hash.digest();
    this.#say(transfer, { file: "end", sha256 });
    this.#end(transfer, { state: "done", sha256 });
  }

  /** Waits until the receiver, the channel and the server's limits have room. False when the transfer is over. */
  async #roomFor(entry, sent) {
    await this.#until(entry, () => sent - entry.acked <= WINDOW);
    if (entry.transfer.isOver) return false;
    await this.#pace(CHUNK);
    return (await this.#data?.drained(FILES, BUFFERED_MAX)) && !entry.transfer.isOver;
  }

  async #until(entry, condition) {
    while (!entry.transfer.isOver && !condition()) await new Promise((resolve) => (entry.wake = resolve));
  }

  /** Keeps all transfers together below the server's rates. */
  async #pace(bytes) {
    const { bytesPerSecond = Infinity, messagesPerSecond = Infinity } = this.#data?.limits ?? {};
    const now = performance.now();
    const start = Math.max(now, this.#paceUntil);
    this.#paceUntil = start + (1_000 * Math.max(bytes / bytesPerSecond, 1 / messagesPerSecond)) / SHARE;
    // Timers are coarse: short debts are left to the next ones.
    if (start - now > 20) await new Promise((resolve) => setTimeout(resolve, start - now));
  }

  // --- Bookkeeping --------------------------------------------------------------------------------------------------

  #add(about) {
    const transfer = new Transfer(about);
    const entry = { transfer, acked: 0, lively: true, wake: null };
    this.#transfers.set(key(about.outgoing, about.peer, about.number), entry);
    this.dispatchEvent(new CustomEvent("transfer", { detail: transfer }));
    return entry;
  }

  #find({ outgoing, peer, number }) {
    return this.#transfers.get(key(outgoing, peer, number));
  }

  #say({ peer, number }, message) {
    return this.#data?.send(FILES, { ...message, transfer: number }, peer) ?? false;
  }

  /** Gives up a transfer on which nothing moves. */
  #watch(entry) {
    entry.timer = setInterval(() => {
      if (!entry.lively) {
        this.#say(entry.transfer, { file: entry.transfer.outgoing ? "cancel" : "stop" });
        this.#fail(entry.transfer, "Nothing moved for half a minute.");
      }
      entry.lively = false;
    }, STALLED_MS);
  }

  #end(transfer, change) {
    const entry = this.#find(transfer);
    if (entry?.transfer === transfer) this.#transfers.delete(key(transfer.outgoing, transfer.peer, transfer.number));
    clearInterval(entry?.timer);
    transfer.set(change);
    entry?.wake?.();
  }

  #fail(transfer, reason) {
    if (!transfer.isOver) this.#end(transfer, { state: "failed", reason });
  }

  #failKey(wanted, reason) {
    const entry = this.#transfers.get(wanted);
    if (entry) this.#fail(entry.transfer, reason);
    return Boolean(entry);
  }

  #failAll(concerns, reason) {
    const concerned = [...this.#transfers.values()].filter(({ transfer }) => concerns(transfer));
    for (const { transfer } of concerned) this.#fail(transfer, reason);
    return concerned.length > 0;
  }

  #problem(sentence) {
    this.dispatchEvent(new CustomEvent("problem", { detail: sentence }));
    return null;
  }
}

function key(outgoing, peer, number) {
  return `${outgoing ? "to" : "from"} ${peer} ${number}`;
}

/** A name to show and to save under: no path, no characters that are invisible or turn the text around. */
export function cleanName(name) {
  const last = String(name).split(/[\\/]/u).at(-1);
  const visible = last.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029]/gu, "").replace(/^\.+/u, "").trim();
  return [...visible].slice(-NAME_MAX).join("") || "file";
}

/** "3.2 MiB" */
export function describeSize(bytes) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`;
}

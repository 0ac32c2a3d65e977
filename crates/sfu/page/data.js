// The data channels of one connection, as SIGNALLING.md describes them: what others say on them comes out with its
// sender, what the server refuses with its reason. What the messages mean is the business of chat.js and files.js.

const PROTOCOL = "room.v1";
export const CHAT = "room";
export const FILES = "room/files";
/** The server closes a channel whose messages are taken too slowly; it can be opened again. */
const REOPEN_MS = 1_000;
const TO_ALL = 0;
const TO_ONE = 1;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Events, with the channel's label in `detail.label`: `open`, `closed`, `message` (detail: `{ from, to, data }`),
 * `bytes` (detail: `{ from, bytes }`), `refused` (detail: `{ error }`, the server's object).
 */
export class RoomData extends EventTarget {
  #connection;
  #channels = new Map(); // label → RTCDataChannel
  #over = false;

  /** To be made before the first offer. `limits` is `data` of the server's `joined`. */
  constructor(connection, limits) {
    super();
    this.#connection = connection;
    this.limits = limits;
    for (const label of [CHAT, FILES]) this.#open(label);
  }

  isOpen(label) {
    return this.#channels.get(label)?.readyState === "open";
  }

  /** Says something to one participant, or to all (`to` null). False when that is not possible now. */
  send(label, data, to = null) {
    return this.#send(label, JSON.stringify(to === null ? { data } : { to, data }));
  }

  /** The same with bytes. */
  sendBytes(label, bytes, to = null) {
    const id = encoder.encode(to ?? "");
    const message = new Uint8Array(2 + id.length + bytes.length);
    message.set([to === null ? TO_ALL : TO_ONE, id.length]);
    message.set(id, 2);
    message.set(bytes, 2 + id.length);
    return this.#send(label, message);
  }

  /** Waits until no more than `most` bytes wait for the network. False when the channel has ended. */
  async drained(label, most) {
    for (;;) {
      const channel = this.#channels.get(label);
      if (this.#over || channel?.readyState !== "open") return false;
      if (channel.bufferedAmount <= most) return true;
      channel.bufferedAmountLowThreshold = Math.floor(most / 2);
      await new Promise((resolve) => {
        channel.addEventListener("bufferedamountlow", resolve, { once: true });
        channel.addEventListener("close", resolve, { once: true });
        this.addEventListener("over", resolve, { once: true });
      });
    }
  }

  /** The connection is over: no event follows but `closed`. */
  close() {
    if (this.#over) return;
    this.#over = true;
    this.dispatchEvent(new Event("over"));
    for (const label of this.#channels.keys()) this.#tell("closed", { label });
  }

  #open(label) {
    const channel = this.#connection.createDataChannel(label, { protocol: PROTOCOL });
    channel.binaryType = "arraybuffer";
    this.#channels.set(label, channel);
    channel.onopen = () => this.#over || this.#tell("open", { label });
    channel.onmessage = ({ data }) => this.#over || this.#receive(label, data);
    channel.onclose = () => {
      if (this.#over) return;
      this.#tell("closed", { label });
      setTimeout(() => {
        if (!this.#over && this.#connection.connectionState === "connected") this.#open(label);
      }, REOPEN_MS);
    };
  }

  #send(label, message) {
    if (this.#over || !this.isOpen(label)) return false;
    try {
      this.#channels.get(label).send(message);
      return true;
    } catch (error) {
      console.warn("data channel:", error.message);
      return false;
    }
  }

  #receive(label, message) {
    if (typeof message !== "string") return this.#receiveBytes(label, new Uint8Array(message));
    let parsed;
    try {
      parsed = JSON.parse(message);
    } catch {
      console.warn("data channel: a message that is not JSON was ignored");
      return;
    }
    if (parsed.error) this.#tell("refused", { label, error: parsed.error });
    else this.#tell("message", { label, from: parsed.from, to: parsed.to ?? null, data: parsed.data });
  }

  #receiveBytes(label, message) {
    const from = decoder.decode(message.subarray(2, 2 + message[1]));
    this.#tell("bytes", { label, from, bytes: message.subarray(2 + message[1]) });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

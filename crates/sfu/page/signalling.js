// One WebSocket connection that speaks the protocol of SIGNALLING.md. It knows frames, pings and time limits; what the
// messages mean is the business of call.js. A connection is used once: after "lost" a new object is made.

const OPEN_LIMIT_MS = 8_000;
/** A silent TCP connection is only found dead by asking: the server answers each ping at once. */
const PING_INTERVAL_MS = 10_000;
const PONG_LIMIT_MS = 6_000;

/**
 * Events: `message` (detail: the parsed object), `lost` (detail: `{ code, reason }`, once, never after `close()`).
 */
export class Signalling extends EventTarget {
  #socket;
  #over = false;
  #pingTimer = 0;
  #pongTimer = 0;

  constructor(url) {
    super();
    this.#socket = new WebSocket(url);
    const openTimer = setTimeout(() => this.#lose(0, "The server did not answer in time."), OPEN_LIMIT_MS);
    this.#socket.onopen = () => {
      clearTimeout(openTimer);
      if (this.#over) return;
      this.#pingTimer = setInterval(() => this.#ping(), PING_INTERVAL_MS);
      this.dispatchEvent(new Event("open"));
    };
    this.#socket.onmessage = (event) => this.#receive(event.data);
    this.#socket.onclose = (event) => {
      clearTimeout(openTimer);
      this.#lose(event.code, event.reason);
    };
  }

  /** Sends one message; silently does nothing on a connection that is gone (its owner hears `lost`). */
  send(message) {
    if (!this.#over && this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Ends the connection on purpose: no event follows. */
  close() {
    if (this.#over) return;
    this.#end();
    this.#socket.close(1000);
  }

  #receive(data) {
    if (this.#over) return;
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      console.warn("signalling: a frame that is not JSON was ignored");
      return;
    }
    clearTimeout(this.#pongTimer);
    this.#pongTimer = 0;
    if (message.type !== "pong") this.dispatchEvent(new CustomEvent("message", { detail: message }));
  }

  #ping() {
    this.send({ type: "ping" });
    this.#pongTimer ||= setTimeout(() => this.#lose(0, "The server stopped answering."), PONG_LIMIT_MS);
  }

  #lose(code, reason) {
    if (this.#over) return;
    this.#end();
    this.#socket.close();
    this.dispatchEvent(new CustomEvent("lost", { detail: { code, reason } }));
  }

  #end() {
    this.#over = true;
    clearInterval(this.#pingTimer);
    clearTimeout(this.#pongTimer);
  }
}

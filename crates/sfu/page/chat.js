// The chat beside the call: what people write, who comes and goes, and the files they send each other. Everything that
// comes from others is put on the page as text.

import { CHAT } from "./data.js";
import { byId, icon, make, showText } from "./dom.js";
import { FileExchange, describeSize } from "./files.js";

/** What fits a message of the server's limit in any script; the input has the same limit. */
const TEXT_MAX = 4_000;
/** Older entries go: a page that is open for days must not grow without end. */
const ENTRIES_MAX = 500;
const NOTICE_MS = 8_000;
const PREVIEW = 80;

/** Events: `news` (detail: a sentence; something was written while the chat is not open), `open` (it is read now). */
export class Chat extends EventTarget {
  #panel = byId("chat");
  #toggle = byId("toggle-chat");
  #log = byId("chat-log");
  #to = byId("chat-to");
  #text = byId("chat-text");
  #unread = 0;
  #noticeTimer = 0;
  #call = null;
  #scope = null; // AbortController: listeners on the call
  #data = null;
  #files = new FileExchange();
  #saved = []; // object URLs of received files

  constructor() {
    super();
    this.#toggle.addEventListener("click", () => this.show(this.#panel.hidden));
    byId("chat-close").addEventListener("click", () => this.show(false));
    this.#panel.addEventListener("keydown", (event) => event.key === "Escape" && this.show(false));
    byId("chat-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#say();
    });
    const picker = byId("chat-files");
    byId("chat-attach").addEventListener("click", () => picker.click());
    picker.addEventListener("change", () => {
      this.#offer(picker.files);
      picker.value = "";
    });
    this.#files.addEventListener("transfer", ({ detail }) => this.#showTransfer(detail));
    this.#files.addEventListener("problem", ({ detail }) => this.#notice(detail));
    this.#files.addEventListener("declined", ({ detail }) =>
      this.#note(`${this.#call?.nameOf(detail.by) ?? "Guest"} does not want the file.`),
    );
    this.#acceptDrops(byId("call"));
  }

  open(call) {
    this.#call = call;
    this.#scope = new AbortController();
    const listen = (type, handler) => call.addEventListener(type, handler, { signal: this.#scope.signal });
    listen("data", () => this.#use(call.data));
    listen("participants", () => this.#showRecipients());
    listen("presence", ({ detail: { id, name, here } }) => {
      this.#note(`${name} ${here ? "joined" : "left"}`);
      if (!here) this.#files.gone(id);
    });
    this.#use(call.data);
    this.#showRecipients();
  }

  close() {
    this.#scope?.abort();
    this.#use(null);
    this.#call = null;
    for (const url of this.#saved.splice(0)) URL.revokeObjectURL(url);
    this.#log.replaceChildren();
    this.#text.value = "";
    this.show(false, false);
    this.#showUnread(0);
  }

  show(shown, moveFocus = true) {
    this.#panel.hidden = !shown;
    this.#toggle.setAttribute("aria-expanded", String(shown));
    if (shown) {
      this.#showUnread(0);
      this.#log.scrollTop = this.#log.scrollHeight;
      this.dispatchEvent(new Event("open"));
    }
    if (moveFocus) (shown ? this.#text : this.#toggle).focus({ preventScroll: true });
  }

  // --- Talking ------------------------------------------------------------------------------------------------------

  #use(data) {
    if (data === this.#data) return;
    this.#data = data;
    this.#files.use(data);
    this.#showOpen();
    if (!data) return;
    for (const type of ["open", "closed"]) data.addEventListener(type, () => this.#showOpen());
    const onChat = (type, handler) =>
      data.addEventListener(type, ({ detail }) => {
        if (detail.label === CHAT && data === this.#data) handler(detail);
      });
    onChat("message", (message) => this.#heard(message));
    onChat("refused", ({ error }) => this.#notice(`Not delivered: ${error.message ?? error.code}`));
  }

  #showOpen() {
    const open = Boolean(this.#data?.isOpen(CHAT));
    byId("chat-send").disabled = !open;
    byId("chat-attach").disabled = !open;
  }

  #say() {
    const text = this.#text.value.trim().slice(0, TEXT_MAX);
    if (!text) return;
    const to = this.#recipient();
    if (!this.#data?.send(CHAT, { kind: "chat", text }, to)) {
      return this.#notice("This can't be sent at the moment.");
    }
    this.#text.value = "";
    this.#showMessage({ name: "You", to, text, own: true });
  }

  #heard({ from, to, data }) {
    if (data?.kind !== "chat" || typeof data.text !== "string") return;
    const name = this.#call.nameOf(from);
    const text = data.text.slice(0, TEXT_MAX);
    this.#showMessage({ name, to, text, own: false });
    this.#news(`${name}: ${text.length > PREVIEW ? `${text.slice(0, PREVIEW)}…` : text}`);
  }

  #recipient() {
    return this.#to.value || null;
  }

  #offer(files) {
    const to = this.#recipient();
    for (const file of files) {
      const number = this.#files.offer(file, to);
      if (number === null) continue;
      const whom = to === null ? "everybody" : this.#call.nameOf(to);
      this.#note(`You offered “${file.name}” (${describeSize(file.size)}) to ${whom}.`);
    }
  }

  // --- Showing ------------------------------------------------------------------------------------------------------

  #showRecipients() {
    const chosen = this.#to.value;
    const options = [...this.#call.participants.values()]
      // Publishers that came by WHIP have no channels; they can't be told from others, and the server says so.
      .map(({ id, name }) => make("option", { value: id }, name || "Guest"));
    this.#to.replaceChildren(make("option", { value: "" }, "Everybody"), ...options);
    this.#to.value = this.#call.participants.has(chosen) ? chosen : "";
  }

  #showMessage({ name, to, text, own }) {
    const aside = to === null ? "" : own ? ` to ${this.#call.nameOf(to)}, only` : " to you, only";
    const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    this.#add(
      make(
        "div",
        { class: own ? "message own" : "message" },
        make(
          "p",
          { class: "message-head" },
          make("b", { dir: "auto" }, name),
          make("span", {}, aside),
          make("time", {}, time),
        ),
        make("p", { class: "message-text", dir: "auto" }, text),
      ),
    );
  }

  #note(sentence) {
    this.#add(make("p", { class: "note", dir: "auto" }, sentence));
  }

  #showTransfer(transfer) {
    const { outgoing, name, size } = transfer;
    const person = this.#call.nameOf(transfer.peer);
    const progress = make("progress", { max: Math.max(size, 1), value: 0, "aria-label": `Progress of ${name}` });
    // The bar says it to everybody; these figures would be read aloud with every change.
    const figures = make("span", { class: "transfer-figures", "aria-hidden": "true" });
    const actions = make("div", { class: "transfer-actions" });
    const entry = make(
      "div",
      { class: outgoing ? "transfer own" : "transfer" },
      make(
        "p",
        { class: "message-head" },
        make("b", { dir: "auto" }, outgoing ? `To ${person}` : person),
        make("span", {}, outgoing ? "" : " offers a file"),
      ),
      make("p", { class: "transfer-name" }, icon("file"), make("span", { dir: "auto" }, name)),
      progress,
      figures,
      actions,
    );
    entry.dataset.state = transfer.state;
    const show = () => this.#updateTransfer(transfer, { entry, progress, figures, actions });
    transfer.addEventListener("change", show);
    show();
    this.#add(entry);
    if (!outgoing) this.#news(`${person} offers “${name}”.`);
  }

  #updateTransfer(transfer, { entry, progress, figures, actions }) {
    const { state, moved, size, outgoing } = transfer;
    progress.value = size === 0 && state === "done" ? 1 : moved;
    progress.hidden = state === "offered" || state === "declined";
    const percent = size === 0 ? 100 : Math.floor((100 * moved) / size);
    figures.textContent =
      state === "running" ? `${percent} % of ${describeSize(size)}` : describeSize(size);
    if (entry.dataset.state === state && actions.childNodes.length > 0) return;
    entry.dataset.state = state;
    const button = (label, style, action) => {
      const element = make("button", { type: "button", class: style }, label);
      element.addEventListener("click", action);
      return element;
    };
    const outcome = (sentence) => make("p", { class: "transfer-outcome" }, sentence);
    const shown = {
      offered: () => [
        button("Receive", "chip accept", () => this.#files.accept(transfer)),
        button("Decline", "chip", () => this.#files.stop(transfer)),
      ],
      running: () => [button("Stop", "chip", () => this.#files.stop(transfer))],
      declined: () => [outcome("Declined.")],
      failed: () => [outcome(transfer.reason)],
      done: () => [
        outcome(outgoing ? "Sent and received whole." : "Received whole: the checksum is right."),
        outgoing ? null : this.#saveLink(transfer),
        make("p", { class: "checksum" }, "SHA-256 ", make("code", {}, transfer.sha256)),
      ],
    };
    actions.replaceChildren(...shown[state]().filter((child) => child !== null));
  }

  #saveLink({ blob, name }) {
    const url = URL.createObjectURL(blob);
    this.#saved.push(url);
    return make("a", { class: "chip save", href: url, download: name }, "Save");
  }

  #add(element) {
    const log = this.#log;
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    log.append(element);
    while (log.children.length > ENTRIES_MAX) log.firstChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  #news(sentence) {
    if (!this.#panel.hidden) return;
    this.#showUnread(this.#unread + 1);
    this.dispatchEvent(new CustomEvent("news", { detail: sentence }));
  }

  #showUnread(count) {
    this.#unread = count;
    showText(byId("chat-unread"), count > 99 ? "99+" : count || "");
    byId("chat-unread-words").textContent = count === 0 ? "" : `, ${count} unread`;
  }

  #notice(sentence) {
    const notice = byId("chat-notice");
    showText(notice, sentence);
    clearTimeout(this.#noticeTimer);
    this.#noticeTimer = setTimeout(() => showText(notice, ""), NOTICE_MS);
    if (this.#panel.hidden) this.dispatchEvent(new CustomEvent("news", { detail: sentence }));
  }

  // --- Dropping files -----------------------------------------------------------------------------------------------

  #acceptDrops(area) {
    const hint = byId("drop-hint");
    const hasFiles = (event) => this.#call && event.dataTransfer?.types.includes("Files");
    area.addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      const to = this.#recipient();
      const whom = to === null ? "everybody" : this.#call.nameOf(to);
      showText(hint, `Drop files to offer them to ${whom}`);
    });
    area.addEventListener("dragleave", (event) => {
      if (!area.contains(event.relatedTarget)) showText(hint, "");
    });
    area.addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      showText(hint, "");
      this.show(true);
      this.#offer(event.dataTransfer.files);
    });
  }
}

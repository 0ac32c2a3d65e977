// The call on the screen: tiles, state, controls. It reads a `Call` and a `LocalMedia` and passes clicks on to them.

import { Chat } from "./chat.js";
import { byId, icon, make, showSwitch, showText } from "./dom.js";
import { showDeviceChoice } from "./devices.js";
import { keepArranged } from "./layout.js";
import { cameraSwitch, microphoneSwitch } from "./lobby.js";
import { StatsReader } from "./stats.js";
import { Tile } from "./tiles.js";

const SAMPLE_INTERVAL_MS = 400;
const TOAST_MS = 4_000;
const STATUS = {
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
  failed: "Failed",
  left: "Left",
};

/** Event: `over` (the user wants to go back to the lobby). */
export class CallView extends EventTarget {
  #media;
  #call = null;
  #list = byId("tiles");
  #tiles = new Map(); // participant id → Tile
  #own = null;
  #reader = null; // { connection, stats: StatsReader }
  #sampling = 0;
  #statsOfAll = false;
  #soundBlocked = false;
  #toldProblem = null;
  #chat = new Chat();

  constructor(media) {
    super();
    this.#media = media;
    keepArranged(this.#list, byId("stage"));
    this.#wireControls();
    this.#chat.addEventListener("news", ({ detail }) => this.#toast(detail));
    this.#chat.addEventListener("open", () => byId("toasts").replaceChildren());
    media.addEventListener("change", () => this.#showOwn());
  }

  open(call) {
    this.#call = call;
    byId("call").hidden = false;
    byId("room-name").textContent = call.room;
    document.title = `${call.room} · actix-rtc`;
    this.#own = new Tile({ name: call.name, own: true });
    this.#list.replaceChildren(this.#own.element);
    this.#statsOfAll = false;
    byId("toggle-stats").setAttribute("aria-pressed", "false");
    this.#toldProblem = this.#media.problem; // by the lobby
    call.addEventListener("state", () => this.#showState());
    call.addEventListener("participants", () => this.#showParticipants());
    call.addEventListener("media", () => this.#showMedia());
    call.addEventListener("notice", ({ detail }) => this.#toast(detail));
    this.#chat.open(call);
    this.#showOwn();
    this.#showState();
    this.#showCount();
    this.#sampling = setInterval(() => this.#sample(), SAMPLE_INTERVAL_MS);
    byId("toggle-mic").focus({ preventScroll: true });
  }

  close() {
    clearInterval(this.#sampling);
    this.#chat.close();
    this.#call = null;
    this.#reader = null;
    for (const tile of this.#tiles.values()) tile.setTracks({ audio: null, video: null });
    this.#tiles.clear();
    this.#list.replaceChildren();
    byId("call").hidden = true;
    byId("settings").close();
  }

  tile(id) {
    return this.#tiles.get(id);
  }

  // --- Showing ------------------------------------------------------------------------------------------------------

  #showState() {
    const { state, reason } = this.#call;
    const status = byId("status");
    status.dataset.state = state;
    showText(byId("status-text"), STATUS[state] ?? state);
    const interrupted = state === "reconnecting" || (state === "connecting" && reason);
    byId("banner").hidden = !interrupted;
    if (interrupted) {
      const offline = navigator.onLine === false ? "You are offline." : reason;
      byId("banner-text").textContent =
        `${offline} ${state === "connecting" ? "Trying again…" : "Trying to get back…"}`;
    }
    byId("failure").hidden = state !== "failed";
    if (state === "failed") {
      byId("failure-title").textContent = this.#call.wasLive ? "The call was lost" : "The call can't start";
      byId("failure-text").textContent = reason;
      byId("failure-retry").focus();
    }
    for (const tile of this.#tiles.values()) tile.setStale(state === "reconnecting" || state === "failed");
    this.#showInvitation();
  }

  #showParticipants() {
    for (const [id, tile] of this.#tiles) {
      if (this.#call.participants.has(id)) continue;
      tile.setTracks({ audio: null, video: null });
      tile.element.remove();
      this.#tiles.delete(id);
    }
    for (const [id, participant] of this.#call.participants) {
      let tile = this.#tiles.get(id);
      if (!tile) {
        tile = new Tile({ name: participant.name });
        tile.setSpeaker(this.#media.chosen.audiooutput);
        tile.showStats(this.#statsOfAll);
        this.#tiles.set(id, tile);
        // Others in the order they came, oneself last.
        this.#own.element.before(tile.element);
      }
      tile.setPerson(participant);
    }
    this.#showCount();
    this.#showInvitation();
  }

  #showMedia() {
    for (const [id, tile] of this.#tiles) {
      const tracks = this.#call.receivedTracks(id);
      // While the call is being rebuilt, the last picture is better than none.
      if (this.#call.state === "reconnecting" && !tracks.audio && !tracks.video) continue;
      tile.setTracks(tracks).then((plays) => {
        if (!plays) this.#askForSound();
      });
    }
  }

  #showOwn() {
    if (!this.#call) return;
    const { audioOn, videoOn, videoTrack, problem } = this.#media;
    this.#own.setPerson({ name: this.#call.name, audio: audioOn, video: videoOn });
    this.#own.setTracks({ audio: null, video: videoTrack });
    showSwitch(byId("toggle-mic"), microphoneSwitch(this.#media, "M"));
    showSwitch(byId("toggle-camera"), cameraSwitch(this.#media, "V"));
    showText(byId("settings-notice"), problem ? `${problem.title}. ${problem.text}` : "");
    if (problem && problem !== this.#toldProblem) this.#toast(`${problem.title}. ${problem.text}`);
    this.#toldProblem = problem;
    for (const tile of this.#tiles.values()) tile.setSpeaker(this.#media.chosen.audiooutput);
  }

  #showCount() {
    byId("count").textContent = String(this.#tiles.size + 1);
  }

  /** Someone alone is told how others get here. */
  #showInvitation() {
    const alone = this.#call.state === "live" && this.#tiles.size === 0;
    byId("stage").dataset.hint = alone
      ? "Nobody else is here yet. Copy the link and send it to someone."
      : "";
  }

  #toast(sentence) {
    const toasts = byId("toasts");
    const toast = make("p", { class: "toast" }, sentence);
    toasts.append(toast);
    while (toasts.children.length > 3) toasts.firstChild.remove();
    setTimeout(() => toast.remove(), TOAST_MS + sentence.length * 30);
  }

  /** Browsers may hold back sound until the page is clicked. */
  #askForSound() {
    if (this.#soundBlocked) return;
    this.#soundBlocked = true;
    const button = make(
      "button",
      { type: "button", class: "chip sound" },
      icon("sound"),
      "Click to hear the others",
    );
    button.addEventListener("click", () => {
      this.#soundBlocked = false;
      button.remove();
      for (const tile of this.#tiles.values()) tile.play();
    });
    byId("call").append(button);
  }

  // --- Measuring ----------------------------------------------------------------------------------------------------

  /** Raw figures of the current connection, also for tests. */
  async read() {
    const peer = this.#call?.peer;
    if (!peer) return null;
    if (this.#reader?.connection !== peer.connection) {
      this.#reader = { connection: peer.connection, stats: new StatsReader(peer.connection) };
    }
    const sections = peer.receivedSections();
    const figures = await this.#reader.stats.read(sections.values());
    const people = new Map();
    for (const [id, participant] of this.#call?.participants ?? []) {
      const person = { audio: null, video: null, roundTripMs: figures.roundTripMs };
      for (const track of participant.tracks ?? []) {
        person[track.kind] ??= figures.received.get(sections.get(track.id)?.mid) ?? null;
      }
      people.set(id, person);
    }
    const sent = peer.publishedMids();
    const own = {
      audio: figures.sent.get(sent.audio) ?? null,
      video: figures.sent.get(sent.video) ?? null,
      roundTripMs: figures.roundTripMs,
    };
    return { people, own };
  }

  async #sample() {
    const figures = await this.read().catch(() => null);
    if (!figures || !this.#call) return;
    const now = performance.now();
    for (const [id, person] of figures.people) {
      const tile = this.#tiles.get(id);
      tile?.setLevel(person.audio?.audioLevel ?? 0, now);
      tile?.setStats(person);
    }
    this.#own.setLevel(this.#media.audioOn ? (figures.own.audio?.audioLevel ?? 0) : 0, now);
    this.#own.setStats(figures.own);
  }

  // --- Controls -----------------------------------------------------------------------------------------------------

  #wireControls() {
    const media = this.#media;
    const on = (id, action) => byId(id).addEventListener("click", action);
    on("toggle-mic", () => media.setAudioOn(!media.audioOn));
    on("toggle-camera", () => media.setVideoOn(!media.videoOn));
    on("toggle-stats", () => this.#toggleStats());
    const refreshDevices = showDeviceChoice(byId("call-devices"), media, make);
    on("open-settings", () => refreshDevices().then(() => byId("settings").showModal()));
    on("leave", () => this.dispatchEvent(new Event("over")));
    on("failure-lobby", () => this.dispatchEvent(new Event("over")));
    on("failure-retry", () => this.#call.retry());
    on("banner-retry", () => this.#call.retry());
    on("copy-link", () => this.#copyLink());
    document.addEventListener("keydown", (event) => this.#shortcut(event));
  }

  #shortcut(event) {
    const typing = event.target.closest?.("input, select, textarea, dialog");
    if (!this.#call || typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const id = { m: "toggle-mic", v: "toggle-camera", s: "toggle-stats", c: "toggle-chat" }[event.key.toLowerCase()];
    if (!id) return;
    // Or the letter would be typed into what gets the focus.
    event.preventDefault();
    byId(id).click();
  }

  #toggleStats() {
    this.#statsOfAll = !this.#statsOfAll;
    byId("toggle-stats").setAttribute("aria-pressed", String(this.#statsOfAll));
    for (const tile of [this.#own, ...this.#tiles.values()]) tile.showStats(this.#statsOfAll);
  }

  async #copyLink() {
    const link = new URL(location.pathname, location.origin);
    link.searchParams.set("room", this.#call.room);
    try {
      await navigator.clipboard.writeText(link.href);
      this.#toast("The link was copied.");
    } catch {
      // No clipboard on insecure origins: show it, so that it can be copied by hand.
      window.prompt("The link of this room:", link.href);
    }
  }
}

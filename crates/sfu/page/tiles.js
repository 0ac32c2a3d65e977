// One tile per person: picture or initials, name, markers, statistics. A tile shows what it is told and asks nothing.

import { icon, make } from "./dom.js";
import { describe } from "./stats.js";

/** A louder person is outlined at once and stays so over the pauses between words. */
const SPEAKING_LEVEL = 0.03;
const SPEAKING_HOLD_MS = 1_200;

export class Tile {
  element;
  #name;
  #video;
  #avatar;
  #nameText;
  #marker;
  #statsButton;
  #stats;
  #stream = new MediaStream();
  #own;
  #state = { audio: false, video: false };
  #spokeAt = -Infinity;
  #watched = null;
  /** performance.now() of the first video frame shown, or null. */
  firstFrameTime = null;

  constructor({ name, own = false }) {
    this.#own = own;
    this.#video = make("video", { autoplay: true, playsinline: true, class: own ? "mirrored" : null });
    this.#video.muted = own;
    this.#video.srcObject = this.#stream;
    this.#avatar = make("span", { class: "avatar", "aria-hidden": "true" });
    this.#nameText = make("span", { class: "name-text" });
    this.#marker = make("span", { class: "marker", hidden: true }, icon("mic-off"));
    this.#statsButton = make(
      "button",
      { type: "button", class: "tile-button", "aria-expanded": "false" },
      icon("stats"),
    );
    this.#statsButton.addEventListener("click", () => this.showStats(this.#stats.hidden));
    this.#stats = make("dl", { class: "stats", hidden: true });
    this.element = make(
      "li",
      { class: own ? "tile own" : "tile" },
      this.#video,
      this.#avatar,
      make("span", { class: "name" }, this.#marker, this.#nameText),
      this.#stats,
      this.#statsButton,
    );
    this.setPerson({ name, audio: false, video: false });
  }

  get video() {
    return this.#video;
  }

  get statsShown() {
    return !this.#stats.hidden;
  }

  setPerson({ name, audio, video }) {
    this.#name = name || "Guest";
    this.#state = { audio, video };
    const shown = this.#own ? `${this.#name} (you)` : this.#name;
    this.#nameText.textContent = shown;
    this.#avatar.textContent = initials(this.#name);
    this.#avatar.style.setProperty("--hue", hue(this.#name));
    this.#marker.hidden = audio;
    this.#statsButton.setAttribute("aria-label", `Statistics of ${shown}`);
    this.#statsButton.title = "Statistics";
    const microphone = audio ? "microphone on" : "microphone off";
    const camera = video ? "camera on" : "camera off";
    this.element.setAttribute("aria-label", `${shown}, ${microphone}, ${camera}`);
    this.#showPicture();
  }

  /** Sets what is played: tracks or null. Elements keep running when nothing changed. */
  setTracks({ audio, video }) {
    const wanted = [this.#own ? null : audio, video].filter(Boolean);
    for (const track of this.#stream.getTracks())
      if (!wanted.includes(track)) this.#stream.removeTrack(track);
    for (const track of wanted) if (!this.#stream.getTracks().includes(track)) this.#stream.addTrack(track);
    if (video !== this.#watched) {
      this.#watched = video;
      this.element.classList.remove("has-frames");
      if (video) this.#awaitFrame(video);
    }
    this.#showPicture();
    if (wanted.length > 0) return this.play();
    return Promise.resolve(true);
  }

  /** False when the browser wants a click before it plays sound. */
  async play() {
    try {
      await this.#video.play();
      return true;
    } catch (error) {
      return error.name !== "NotAllowedError";
    }
  }

  setSpeaker(deviceId) {
    if (!this.#own) this.#video.setSinkId?.(deviceId).catch(() => {});
  }

  /** Told a few times a second how loud this person is (0 … 1). */
  setLevel(level, now) {
    if (this.#state.audio && level > SPEAKING_LEVEL) this.#spokeAt = now;
    this.element.classList.toggle("speaking", this.#state.audio && now - this.#spokeAt < SPEAKING_HOLD_MS);
  }

  /** The connection is being repaired: what is seen is the past. */
  setStale(stale) {
    if (stale) this.setLevel(0, Infinity);
    this.element.classList.toggle("stale", stale);
  }

  showStats(shown) {
    this.#stats.hidden = !shown;
    this.#statsButton.setAttribute("aria-expanded", String(shown));
    if (shown && this.#stats.children.length === 0) this.setStats(null);
  }

  setStats(figures) {
    if (this.#stats.hidden) return;
    const rows = figures ? describe({ ...figures, own: this.#own }) : [["", "measuring…"]];
    this.#stats.replaceChildren(
      ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]),
    );
  }

  #awaitFrame(track) {
    const seen = () => {
      if (this.#watched !== track) return;
      this.firstFrameTime ??= performance.now();
      this.element.classList.add("has-frames");
      this.#showPicture();
    };
    if (this.#video.requestVideoFrameCallback) this.#video.requestVideoFrameCallback(seen);
    else this.#video.addEventListener("loadeddata", seen, { once: true });
  }

  #showPicture() {
    const playing = this.#state.video && this.element.classList.contains("has-frames");
    this.element.classList.toggle("playing", playing);
    // Their camera is on, but no picture has come yet.
    this.element.classList.toggle("waiting", this.#state.video && !playing);
  }
}

function initials(name) {
  const words = name.trim().split(/\s+/u);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return letters.map((word) => [...word][0]?.toUpperCase() ?? "").join("");
}

/** The same name has the same colour on every screen. */
function hue(name) {
  let sum = 7;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return String(sum);
}

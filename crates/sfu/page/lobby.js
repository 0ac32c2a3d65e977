// The page before the call: room, name, a look into the mirror, devices, and an explanation when there are none.

import { byId, make, showSwitch, showText } from "./dom.js";
import { showDeviceChoice, watchLevel } from "./devices.js";

const NAME_STORE = "actix-rtc.name";

/** Event: `join` (detail: `{ room, name }`). */
export class Lobby extends EventTarget {
  #media;
  #view = byId("lobby");
  #room = byId("room");
  #name = byId("name");
  #video = byId("preview-video");
  #stopLevel = () => {};
  #levelTrack = null;

  constructor(media) {
    super();
    this.#media = media;
    const query = new URLSearchParams(location.search);
    this.#room.value = query.get("room") ?? "";
    this.#name.value = query.get("name") ?? remembered();
    byId("join-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    byId("lobby-mic").addEventListener("click", () => media.setAudioOn(!media.audioOn));
    byId("lobby-camera").addEventListener("click", () => media.setVideoOn(!media.videoOn));
    byId("media-retry").addEventListener("click", () => media.acquire());
    media.addEventListener("change", () => this.#show());
    showDeviceChoice(byId("lobby-devices"), media, make);
  }

  open(notice = "") {
    this.#view.hidden = false;
    document.title = "Join a call · actix-rtc";
    showText(byId("lobby-notice"), notice);
    (this.#room.value ? this.#name : this.#room).focus({ preventScroll: true });
    this.#media.acquire();
  }

  close() {
    this.#view.hidden = true;
    this.#watchLevel(null);
    this.#video.srcObject = null;
  }

  #submit() {
    const room = this.#room.value.trim();
    const name = this.#name.value.trim();
    if (!room) return this.#room.focus();
    try {
      localStorage.setItem(NAME_STORE, name);
    } catch {
      // Then the name is typed again next time.
    }
    this.dispatchEvent(new CustomEvent("join", { detail: { room, name } }));
  }

  #show() {
    if (this.#view.hidden) return;
    const { videoTrack, audioTrack, problem, asking } = this.#media;
    this.#showPreview(videoTrack);
    showSwitch(byId("lobby-mic"), microphoneSwitch(this.#media));
    showSwitch(byId("lobby-camera"), cameraSwitch(this.#media));
    byId("media-problem").hidden = !problem;
    byId("media-problem-title").textContent = problem?.title ?? "";
    byId("media-problem-text").textContent = problem?.text ?? "";
    byId("media-retry").hidden = !navigator.mediaDevices?.getUserMedia;
    const listens = !audioTrack && !videoTrack && !asking;
    byId("join").textContent = listens ? "Join to watch and listen" : "Join";
    this.#watchLevel(audioTrack);
  }

  #showPreview(track) {
    const shown = this.#video.srcObject?.getVideoTracks()[0] ?? null;
    if (shown !== track) this.#video.srcObject = track ? new MediaStream([track]) : null;
    byId("preview-frame").classList.toggle("has-video", Boolean(track));
    let text = "";
    if (!track) {
      if (this.#media.asking && this.#media.videoWanted)
        text = "Waiting for your camera… Your browser may be asking you to allow it.";
      else text = this.#media.videoWanted ? "No camera" : "Camera is off";
    }
    byId("preview-empty").textContent = text;
  }

  #watchLevel(track) {
    const meter = byId("lobby-level");
    meter.hidden = !track;
    if (track === this.#levelTrack) return;
    this.#stopLevel();
    this.#levelTrack = track;
    this.#stopLevel = watchLevel(track, (level) => {
      meter.style.setProperty("--level", level.toFixed(2));
      meter.setAttribute("aria-valuenow", String(Math.round(level * 100)));
    });
  }
}

/** How the two switches look, in the lobby and in the call. */
export function microphoneSwitch(media, shortcut) {
  return {
    on: media.audioOn || (media.asking && media.audioWanted),
    iconOn: "mic",
    iconOff: "mic-off",
    labelOn: "Mute the microphone",
    labelOff: media.audioTrack ? "Unmute the microphone" : "Use a microphone",
    disabled: !navigator.mediaDevices,
    shortcut,
  };
}

export function cameraSwitch(media, shortcut) {
  return {
    on: media.videoOn || (media.asking && media.videoWanted),
    iconOn: "camera",
    iconOff: "camera-off",
    labelOn: "Turn the camera off",
    labelOff: "Turn the camera on",
    disabled: !navigator.mediaDevices,
    shortcut,
  };
}

function remembered() {
  try {
    return localStorage.getItem(NAME_STORE) ?? "";
  } catch {
    return "";
  }
}

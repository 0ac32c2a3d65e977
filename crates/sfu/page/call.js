// A call: joining a room, staying in it, and getting back into it. This file decides what is done when something breaks;
// signalling.js and peer.js only report that it did.
//
//                 join            joined, media connected
//        idle ───────▶ connecting ───────────────────────▶ live
//                        │   ▲ ▲                            │ WebSocket lost, or ICE disconnected/failed
//      tries used up,    │   │ └── retry() ──┐              ▼
//      refused by server │   │            failed ◀─── reconnecting ──▶ live
//                        └───┼──────────────▲   tries used up
//                            └ a new try after a growing pause
//
// Breakage of the media path alone is repaired by an ICE restart first. If that does not help, or the WebSocket is gone,
// the room is joined again from the start; the tiles stay meanwhile.

import { RoomData } from "./data.js";
import { Peer } from "./peer.js";
import { Signalling } from "./signalling.js";

const JOIN_LIMIT_MS = 8_000;
const MEDIA_LIMIT_MS = 15_000;
/** Short interruptions heal by themselves; the browser says "disconnected" after about five silent seconds. */
const DISCONNECTED_GRACE_MS = 1_500;
const RESTART_LIMIT_MS = 8_000;
const PAUSE_FIRST_MS = 400;
const PAUSE_MAX_MS = 8_000;
/** A first join that fails is told soon; a call that was live is worth more patience (about a minute). */
const TRIES_FIRST = 3;
const TRIES_LIVE = 12;
/** Errors that trying again the same way can't cure. */
const FINAL_ERRORS = new Set([
  "room-full",
  "invalid-message",
  "invalid-room",
  "invalid-name",
  "forbidden",
  "unauthorized",
]);

/**
 * Events: `state`, `participants` (someone came, went or changed), `presence` (detail: `{ id, name, here }`: someone came
 * or went while we were there), `media` (received tracks may have changed), `data` (there are new data channels, or none
 * any more), `notice` (detail: a sentence).
 */
export class Call extends EventTarget {
  state = "idle";
  /** Why it is reconnecting or has failed: a sentence for people. */
  reason = "";
  wasLive = false;
  room;
  name;
  ownId = null;
  /** The others: id → participant as the server describes them. */
  participants = new Map();
  peer = null;
  /** The data channels of the current connection. */
  data = null;

  #url;
  #media;
  #signalling = null;
  #scope = null; // AbortController: everything that belongs to the current try
  #tries = 0;
  #restarting = false;
  #callOffMediaLimit = () => {};
  #onMediaChange = () => this.#publish();
  #onOnline = () => {
    if (this.state === "reconnecting" && !this.#signalling) this.retry();
  };
  #retired = null; // the peer of the try before, kept so that its pictures last until there are new ones
  #names = new Map(); // id → name, of those who have left too
  #formerIds = new Set(); // who we were before: the server may not have noticed that they are gone

  constructor({ url, room, name, media }) {
    super();
    this.#url = url;
    this.#media = media;
    this.room = room;
    this.name = name;
  }

  join() {
    this.#media.addEventListener("change", this.#onMediaChange);
    window.addEventListener("online", this.#onOnline);
    this.#setState("connecting");
    this.#connect();
  }

  /** Goes on at once, from a pause between two tries or after it had failed. */
  retry() {
    this.#tries = 0;
    this.#setState(this.wasLive ? "reconnecting" : "connecting", this.reason);
    this.#connect();
  }

  leave() {
    this.#signalling?.send({ type: "leave" });
    this.#end();
    this.#setState("left");
  }

  // --- One try ---------------------------------------------------------------------------------------------------

  #connect() {
    this.#dropConnection();
    const scope = (this.#scope = new AbortController());
    const signalling = (this.#signalling = new Signalling(this.#url));
    const listen = (type, handler) => signalling.addEventListener(type, handler, { signal: scope.signal });
    listen("open", () => signalling.send({ type: "join", room: this.room, name: this.name }));
    listen("message", ({ detail }) => this.#receive(detail));
    listen("lost", ({ detail }) => this.#signallingLost(detail));
    this.#after(JOIN_LIMIT_MS, () => {
      if (!this.peer) this.#tryAgain("The server did not let us into the room in time.");
    });
  }

  /** Runs `action` later unless the current try has ended by then; answers a function that calls it off. */
  #after(ms, action) {
    const { signal } = this.#scope;
    const timer = setTimeout(() => signal.aborted || action(), ms);
    return () => clearTimeout(timer);
  }

  #receive(message) {
    switch (message.type) {
      case "joined":
        return this.#joined(message);
      case "answer":
        return this.peer?.handleAnswer(message);
      case "candidate":
        return this.peer?.handleCandidate(message);
      case "participant-joined":
      case "participant-updated":
        return this.#participantChanged(message.participant);
      case "participant-left":
        return this.#participantLeft(message.participant);
      case "error":
        return this.#refused(message);
      case "closing":
        return this.#tryAgain(
          message.reason === "shutdown" ? "The server is going down." : "The server ended the call.",
        );
      default:
        // A newer server may say more than this page knows.
        console.info("signalling: unknown message", message.type);
    }
  }

  #joined({ participant, iceServers, participants, data }) {
    this.ownId = participant;
    this.#formerIds.delete(participant);
    const scope = this.#scope;
    const peer = (this.peer = new Peer({
      iceServers: iceServers ?? [],
      send: (message) => scope.signal.aborted || this.#signalling.send(message),
    }));
    const listen = (type, handler) => peer.addEventListener(type, handler, { signal: scope.signal });
    listen("negotiated", () => {
      this.dispatchEvent(new Event("media"));
      this.#checkLive();
    });
    listen("state", () => this.#connectionChanged());
    listen("failed", ({ detail }) => this.#tryAgain(detail));
    this.data = new RoomData(peer.connection, data);
    this.dispatchEvent(new Event("data"));
    this.participants = new Map(participants.filter((p) => !this.#formerIds.has(p.id)).map((p) => [p.id, p]));
    for (const { id, name } of participants) this.#names.set(id, name);
    this.dispatchEvent(new Event("participants"));
    this.#publish();
    this.#subscribe();
    peer.connect();
    this.#callOffMediaLimit = this.#after(MEDIA_LIMIT_MS, () => {
      this.#tryAgain("No media path to the server was found. A firewall may be blocking UDP.");
    });
    this.#checkLive();
  }

  #participantChanged(participant) {
    if (participant.id === this.ownId || this.#formerIds.has(participant.id)) return;
    const isNew = !this.participants.has(participant.id);
    this.participants.set(participant.id, participant);
    this.#names.set(participant.id, participant.name);
    if (isNew) this.#presence(participant, true);
    this.dispatchEvent(new Event("participants"));
    this.#subscribe();
  }

  #participantLeft(id) {
    const participant = this.participants.get(id);
    if (!this.participants.delete(id)) return;
    this.#presence(participant, false);
    this.dispatchEvent(new Event("participants"));
    this.#subscribe();
  }

  #presence({ id, name }, here) {
    const shown = name || "Guest";
    this.#notice(`${shown} ${here ? "joined" : "left"}`);
    this.dispatchEvent(new CustomEvent("presence", { detail: { id, name: shown, here } }));
  }

  /** The name of somebody who is, or was, here. */
  nameOf(id) {
    return this.#names.get(id) || "Guest";
  }

  #refused(message) {
    const sentence = message.message || message.code || "The server reported an error.";
    if (message.id != null) this.peer?.handleRefusal({ id: message.id, message: sentence });
    else if (!this.peer && FINAL_ERRORS.has(message.code)) this.#fail(sentence);
    else if (!this.peer) this.#tryAgain(sentence);
    else this.#notice(sentence);
  }

  // --- What is sent and received ------------------------------------------------------------------------------------

  #publish() {
    if (!this.peer) return;
    const { audioTrack, videoTrack, audioOn, videoOn } = this.#media;
    this.#signalling?.send({ type: "state", audio: audioOn, video: videoOn });
    this.peer.setLocalTracks({ audio: audioTrack, video: videoTrack });
  }

  #subscribe() {
    if (!this.peer) return;
    this.peer.setRemoteTracks(
      [...this.participants.values()].flatMap((participant) => participant.tracks ?? []),
    );
    this.dispatchEvent(new Event("media"));
  }

  /** The tracks received from one participant. */
  receivedTracks(id) {
    const tracks = { audio: null, video: null };
    for (const { id: trackId, kind } of this.participants.get(id)?.tracks ?? []) {
      tracks[kind] ??= this.peer?.receivedTrack(trackId) ?? null;
    }
    return tracks;
  }

  // --- Breakage -----------------------------------------------------------------------------------------------------

  #mediaWorks() {
    return this.peer?.connectionState === "connected";
  }

  #checkLive() {
    if (!this.#mediaWorks() || this.state === "live") return;
    this.#callOffMediaLimit();
    this.wasLive = true;
    this.#setState("live");
    this.#dropRetired();
    // Only a connection that lasts wipes out the failures before it.
    this.#after(PAUSE_MAX_MS, () => {
      if (this.state === "live") this.#tries = 0;
    });
  }

  #connectionChanged() {
    switch (this.peer.connectionState) {
      case "connected":
        this.#restarting = false;
        return this.#checkLive();
      case "disconnected":
        this.#interrupted("The media path is interrupted.");
        this.#after(DISCONNECTED_GRACE_MS, () => {
          if (this.peer?.connectionState === "disconnected") this.#restartIce();
        });
        return;
      case "failed":
        this.#interrupted("The media path was lost.");
        // ICE may be well while DTLS failed: only a new connection helps then.
        if (this.#restarting || this.peer.connection.iceConnectionState !== "failed") {
          return this.#tryAgain("The media path was lost.");
        }
        return this.#restartIce();
      default:
    }
  }

  /** A call that was live goes into repair; one that is still connecting just goes on trying. */
  #interrupted(reason) {
    if (this.state === "live") this.#setState("reconnecting", reason);
  }

  #restartIce() {
    if (this.#restarting) return;
    this.#restarting = true;
    this.peer.restartIce();
    this.#after(RESTART_LIMIT_MS, () => {
      if (this.#restarting) this.#tryAgain("The media path could not be repaired.");
    });
  }

  #signallingLost({ code, reason }) {
    if (code === 1001) return this.#tryAgain("The server is going down.");
    if (this.wasLive) return this.#tryAgain(reason || "The connection to the server was lost.");
    this.#tryAgain(reason || "The server can't be reached.");
  }

  /** Ends this try and, while some are left, starts the next one after a pause. */
  #tryAgain(reason) {
    this.#dropConnection();
    this.#tries += 1;
    if (this.#tries >= (this.wasLive ? TRIES_LIVE : TRIES_FIRST)) return this.#fail(reason);
    this.#setState(this.wasLive ? "reconnecting" : "connecting", reason);
    this.#scope = new AbortController();
    // The spread keeps a room full of people from coming back in the same instant.
    const pause =
      Math.min(PAUSE_MAX_MS, PAUSE_FIRST_MS * 2 ** (this.#tries - 1)) * (0.75 + Math.random() / 2);
    this.#after(pause, () => this.#connect());
  }

  #fail(reason) {
    this.#dropConnection();
    this.#dropRetired();
    this.#setState("failed", reason);
  }

  #dropConnection() {
    this.#scope?.abort();
    this.#scope = null;
    this.#signalling?.close();
    this.#signalling = null;
    if (this.data) {
      this.data.close();
      this.data = null;
      this.dispatchEvent(new Event("data"));
    }
    if (this.peer) {
      this.#dropRetired();
      this.#retired = this.peer;
      this.peer = null;
    }
    this.#restarting = false;
    if (this.ownId !== null) this.#formerIds.add(this.ownId);
    this.ownId = null;
  }

  #dropRetired() {
    this.#retired?.close();
    this.#retired = null;
  }

  #end() {
    this.#dropConnection();
    this.#dropRetired();
    this.#media.removeEventListener("change", this.#onMediaChange);
    window.removeEventListener("online", this.#onOnline);
    this.participants.clear();
  }

  #setState(state, reason = "") {
    if (this.state === state && this.reason === reason) return;
    this.state = state;
    this.reason = reason;
    this.dispatchEvent(new Event("state"));
  }

  #notice(sentence) {
    this.dispatchEvent(new CustomEvent("notice", { detail: sentence }));
  }
}

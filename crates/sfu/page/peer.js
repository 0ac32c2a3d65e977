// The one RTCPeerConnection of a call and its negotiation.
//
// The client always offers and at most one offer is in flight; whatever changes meanwhile is merged into the next one.
// So there is no glare, and the rest of the page only states what it wants: these local tracks, those remote tracks.
// Every change goes through `#negotiate`, which compares wish and reality.

/** One line to publish the camera in three sizes once the server can choose among them. */
const SIMULCAST = false;
const LAYERS = [{ rid: "q", scaleResolutionDownBy: 4 }, { rid: "h", scaleResolutionDownBy: 2 }, { rid: "f" }];

const ANSWER_LIMIT_MS = 10_000;

/**
 * Events: `negotiated` (an answer was applied: receivers may have changed), `state` (connection state changed),
 * `failed` (detail: a sentence; this object is of no more use).
 */
export class Peer extends EventTarget {
  #connection;
  #send;
  #closed = false;

  // What is wanted.
  #localTracks = { audio: null, video: null };
  #remoteTracks = new Map(); // track id → kind
  #wantsIceRestart = false;

  // What is there.
  #senders = { audio: null, video: null }; // kind → RTCRtpTransceiver
  #subscriptions = new Map(); // track id → RTCRtpTransceiver
  #uses = new Map(); // RTCRtpTransceiver → how often it was used again
  #refused = new Set(); // track ids the server answered inactive: asked for again when its list changes

  // Negotiation.
  #offer = null; // { id, timer } while one is in flight
  #nextId = 1;
  #dirty = false;
  #starting = false;
  #heldLocalCandidates = []; // found before the offer they belong to was sent
  #heldRemoteCandidates = []; // received before the answer they belong to was applied

  constructor({ iceServers, send }) {
    super();
    this.#send = send;
    this.#connection = new RTCPeerConnection({
      iceServers,
      bundlePolicy: "max-bundle",
      rtcpMuxPolicy: "require",
    });
    this.#connection.onicecandidate = ({ candidate }) => this.#localCandidate(candidate);
    this.#connection.onconnectionstatechange = () => {
      if (!this.#closed) this.dispatchEvent(new Event("state"));
    };
  }

  get connection() {
    return this.#connection;
  }

  get connectionState() {
    return this.#connection.connectionState;
  }

  /** Kind → mid of what is published. */
  publishedMids() {
    return { audio: this.#senders.audio?.mid ?? null, video: this.#senders.video?.mid ?? null };
  }

  /** Track id → `{ mid, use }` of what is received, once negotiated; `use` counts how often the section was used before. */
  receivedSections() {
    const negotiated = [...this.#subscriptions].filter(([trackId]) => this.receivedTrack(trackId));
    return new Map(negotiated.map(([trackId, t]) => [trackId, { mid: t.mid, use: this.#uses.get(t) ?? 0 }]));
  }

  /** The media that carries a published track of somebody else, once negotiated. */
  receivedTrack(trackId) {
    const transceiver = this.#subscriptions.get(trackId);
    return transceiver?.currentDirection === "recvonly" ? transceiver.receiver.track : null;
  }

  /** Makes the first offer, also of somebody who has nothing to send: data channels need the connection too. */
  connect() {
    this.#negotiate();
  }

  /** States what shall be sent. Replacing a track needs no negotiation; the first one of a kind does. */
  async setLocalTracks(tracks) {
    this.#localTracks = tracks;
    for (const kind of ["audio", "video"]) {
      const sender = this.#senders[kind]?.sender;
      if (sender && sender.track !== tracks[kind]) await sender.replaceTrack(tracks[kind]).catch(() => {});
    }
    const isNew = (kind) => tracks[kind] && !this.#senders[kind];
    if (isNew("audio") || isNew("video")) this.#negotiate();
  }

  /** States what shall be received: `[{ id, kind }]`, all of it. */
  setRemoteTracks(tracks) {
    this.#remoteTracks = new Map(tracks.map((track) => [track.id, track.kind]));
    this.#refused.clear();
    const gone = [...this.#subscriptions.keys()].some((id) => !this.#remoteTracks.has(id));
    const added = [...this.#remoteTracks.keys()].some((id) => !this.#subscriptions.has(id));
    if (gone || added) this.#negotiate();
  }

  /** Finds a new way through the network; media goes on over the old one as long as that works. */
  restartIce() {
    this.#wantsIceRestart = true;
    this.#negotiate();
  }

  async handleAnswer({ id, sdp }) {
    if (this.#closed || this.#offer?.id !== id) return;
    try {
      await this.#connection.setRemoteDescription({ type: "answer", sdp });
    } catch (error) {
      this.#fail(`The server's answer could not be used: ${error.message}`);
      return;
    }
    if (this.#closed) return;
    this.#forgetRefused();
    this.#finishOffer();
    for (const candidate of this.#heldRemoteCandidates.splice(0)) this.#addCandidate(candidate);
    this.dispatchEvent(new Event("negotiated"));
    if (this.#dirty) this.#negotiate();
  }

  /** The server refused offer `id`. */
  handleRefusal({ id, message }) {
    if (this.#offer?.id === id) this.#fail(`The server refused the offer: ${message}`);
  }

  handleCandidate(message) {
    if (this.#offer || !this.#connection.remoteDescription) this.#heldRemoteCandidates.push(message);
    else this.#addCandidate(message);
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#offer?.timer);
    this.#connection.close();
  }

  async #negotiate() {
    if (this.#closed) return;
    if (this.#offer || this.#starting) {
      this.#dirty = true;
      return;
    }
    this.#starting = true;
    // Wishes stated in one go, as after joining, belong into one offer.
    await Promise.resolve();
    this.#dirty = false;
    try {
      if (this.#closed) return;
      this.#publish();
      this.#subscribe();
      const iceRestart = this.#wantsIceRestart;
      this.#wantsIceRestart = false;
      const offer = await this.#connection.createOffer({ iceRestart });
      if (this.#closed) return;
      this.#offer = { id: this.#nextId++, sent: false };
      await this.#connection.setLocalDescription(offer);
      if (this.#closed) return;
      this.#sendOffer(offer.sdp);
    } catch (error) {
      this.#fail(`The browser could not make an offer: ${error.message}`);
    } finally {
      this.#starting = false;
    }
    if (this.#dirty && !this.#offer) this.#negotiate();
  }

  #publish() {
    for (const kind of ["audio", "video"]) {
      const track = this.#localTracks[kind];
      if (!track || this.#senders[kind]) continue;
      const init = { direction: "sendonly" };
      if (SIMULCAST && kind === "video") init.sendEncodings = LAYERS;
      this.#senders[kind] = this.#connection.addTransceiver(track, init);
    }
  }

  #subscribe() {
    for (const [trackId, transceiver] of this.#subscriptions) {
      if (this.#remoteTracks.has(trackId)) continue;
      transceiver.direction = "inactive";
      this.#subscriptions.delete(trackId);
    }
    for (const [trackId, kind] of this.#remoteTracks) {
      if (this.#subscriptions.has(trackId) || this.#refused.has(trackId)) continue;
      this.#subscriptions.set(trackId, this.#transceiverFor(kind));
    }
  }

  /** A section that was negotiated inactive is used again: a room with much coming and going must not grow its SDP. */
  #transceiverFor(kind) {
    const taken = new Set([...this.#subscriptions.values(), this.#senders.audio, this.#senders.video]);
    const idle = this.#connection
      .getTransceivers()
      .find((t) => !taken.has(t) && t.receiver.track.kind === kind && t.currentDirection === "inactive");
    if (!idle) return this.#connection.addTransceiver(kind, { direction: "recvonly" });
    idle.direction = "recvonly";
    this.#uses.set(idle, (this.#uses.get(idle) ?? 0) + 1);
    return idle;
  }

  #sendOffer(sdp) {
    const subscriptions = {};
    for (const [trackId, { mid }] of this.#subscriptions) subscriptions[mid] = trackId;
    this.#send({ type: "offer", id: this.#offer.id, sdp, subscriptions });
    this.#offer.sent = true;
    this.#offer.timer = setTimeout(
      () => this.#fail("The server did not answer the offer in time."),
      ANSWER_LIMIT_MS,
    );
    for (const message of this.#heldLocalCandidates.splice(0)) this.#send(message);
  }

  #finishOffer() {
    clearTimeout(this.#offer.timer);
    this.#offer = null;
  }

  /** A track may have gone between the offer and its answer; the section came back inactive or rejected. */
  #forgetRefused() {
    for (const [trackId, transceiver] of this.#subscriptions) {
      if (transceiver.currentDirection === "recvonly" || transceiver.mid === null) continue;
      this.#subscriptions.delete(trackId);
      this.#refused.add(trackId);
      if (transceiver.currentDirection !== "stopped") transceiver.direction = "inactive";
    }
  }

  #localCandidate(candidate) {
    if (this.#closed) return;
    const message = candidate?.candidate
      ? {
          type: "candidate",
          candidate: candidate.candidate,
          sdpMid: candidate.sdpMid,
          sdpMLineIndex: candidate.sdpMLineIndex,
        }
      : { type: "candidate", candidate: null };
    if (this.#offer && !this.#offer.sent) this.#heldLocalCandidates.push(message);
    else this.#send(message);
  }

  /** A candidate this browser can't use is no reason to end a call. */
  #addCandidate({ candidate, sdpMid, sdpMLineIndex }) {
    const ready = candidate === null ? null : { candidate, sdpMid, sdpMLineIndex };
    this.#connection
      .addIceCandidate(ready)
      .catch((error) => console.warn("candidate ignored:", error.message));
  }

  #fail(sentence) {
    if (this.#closed) return;
    this.close();
    this.dispatchEvent(new CustomEvent("failed", { detail: sentence }));
  }
}

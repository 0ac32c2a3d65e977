// Entry point: lobby → call → lobby, and the hook by which tests look inside.

import { Call } from "./call.js";
import { LocalMedia } from "./devices.js";
import { byId, make } from "./dom.js";
import { Lobby } from "./lobby.js";
import { CallView } from "./view.js";

/** The WebSocket lies beside the page, whatever path a proxy puts both under. */
function signallingUrl() {
  const url = new URL("ws", location.href.split(/[?#]/)[0]);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

function start() {
  const media = new LocalMedia();
  const lobby = new Lobby(media);
  const view = new CallView(media);
  let call = null;
  let joinedAt = 0;
  let wakeLock = null;

  lobby.addEventListener("join", ({ detail: { room, name } }) => {
    joinedAt = performance.now();
    rememberRoom(room);
    lobby.close();
    call = new Call({ url: signallingUrl(), room, name, media });
    view.open(call);
    call.join();
    // A phone shall not go dark during a call; without this ability it just does.
    navigator.wakeLock
      ?.request("screen")
      .then((lock) => (wakeLock = lock))
      .catch(() => {});
  });

  const leave = (notice) => {
    if (!call) return;
    call.leave();
    view.close();
    call = null;
    wakeLock?.release();
    wakeLock = null;
    lobby.open(notice);
  };
  view.addEventListener("over", () => leave(call?.state === "failed" ? "" : "You left the call."));
  window.addEventListener("pagehide", () => call?.leave());
  // A page taken out of the browser's back/forward cache has no connections any more.
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());

  window.__sfu = testHook(view, () => ({ call, joinedAt }));
  lobby.open();
}

function rememberRoom(room) {
  const url = new URL(location.href);
  url.searchParams.set("room", room);
  history.replaceState(null, "", url);
}

/** What automated tests may rely on. */
function testHook(view, current) {
  return {
    /** "lobby", "connecting", "live", "reconnecting", "failed" */
    state: () => current().call?.state ?? "lobby",
    reason: () => current().call?.reason ?? "",
    /** The others, as the server describes them. */
    participants: () => [...(current().call?.participants.values() ?? [])],
    peerConnection: () => current().call?.peer?.connection ?? null,
    /** Participant id → figures of what is received from them. */
    async stats() {
      const { call, joinedAt } = current();
      const figures = await view.read();
      const result = {};
      for (const [id, { audio, video }] of figures?.people ?? []) {
        const firstFrameTime = view.tile(id)?.firstFrameTime ?? null;
        result[id] = {
          name: call.participants.get(id)?.name,
          framesDecoded: video?.framesDecoded ?? 0,
          frameWidth: video?.frameWidth ?? 0,
          freezeCount: video?.freezeCount ?? 0,
          totalAudioEnergy: audio?.totalAudioEnergy ?? 0,
          bytesReceived: (audio?.bytesReceived ?? 0) + (video?.bytesReceived ?? 0),
          audioPacketsReceived: audio?.packetsReceived ?? 0,
          videoPacketsReceived: video?.packetsReceived ?? 0,
          packetsLost: (audio?.packetsLost ?? 0) + (video?.packetsLost ?? 0),
          firstFrameAt: firstFrameTime === null ? null : firstFrameTime - joinedAt,
        };
      }
      return result;
    },
  };
}

if (window.RTCPeerConnection && window.WebSocket) start();
else {
  byId("lobby").remove();
  document.body.prepend(
    make(
      "p",
      { class: "unsupported" },
      "This browser can't make WebRTC calls, or they are switched off in its settings.",
    ),
  );
}

// What is shown of calls between Chromium and our peer, one function per case: runs inside a page, after caller.js.
//
// A scenario returns a sentence on what it saw, or throws. `offerer` says who makes the first offer: "chromium" or
// "peer".

"use strict";

/** Opens a call with sound and picture on both sides and waits until both came back. */
async function call(offerer, options = {}) {
  const caller = await Caller.open(options);
  caller.picture = new Picture(options.colour);
  caller.tone = new Tone(440);
  const stream = new MediaStream();
  if (offerer === "chromium") {
    caller.connection.addTrack(caller.tone.track, stream);
    caller.connection.addTrack(caller.picture.track, stream);
  } else {
    caller.beforeAnswer = () => attach(caller);
    await caller.do("add", { kind: "audio" });
    await caller.do("add", { kind: "video" });
  }
  if (options.negotiate === false && offerer === "chromium") await caller.offer();
  await caller.connected();
  await caller.stable();
  caller.heard = new Listener(await caller.track("0"));
  caller.seen = new Viewer(await caller.track("1"));
  await caller.heard.hears(440);
  await caller.seen.shows(caller.picture.colour);
  return caller;
}

/** Sends our own media on what the peer offers to take. */
async function attach(caller) {
  for (const transceiver of caller.connection.getTransceivers()) {
    if (transceiver.sender.track || !["recvonly", "inactive"].includes(transceiver.direction)) continue;
    const track = transceiver.receiver.track.kind === "audio" ? caller.tone.track : caller.picture.track;
    // Further sections of a scenario are the peer's own.
    if (caller.connection.getSenders().some((sender) => sender.track === track)) continue;
    transceiver.direction = "sendrecv";
    await transceiver.sender.replaceTrack(track);
  }
}

async function audioAndVideo(offerer) {
  const caller = await call(offerer);
  await until("60 frames decoded", async () => (await caller.inbound("framesDecoded")) >= 60);
  const [first] = caller.descriptions;
  check(
    first.from === (offerer === "chromium" ? "own" : "peer") && first.type === "offer",
    `the first description is an ${first.type} of ${first.from}`,
  );
  check(caller.candidates.own > 1 && caller.candidates.peer > 1, "no candidates trickled");
  const frames = await caller.inbound("framesDecoded");
  const codecs = [...(await caller.codecs("audio")), ...(await caller.codecs("video"))];
  caller.healthy();
  return `${frames} frames and a tone came back, ${codecs.join(", ")}`;
}

async function withoutTrickle(offerer) {
  const caller = await call(offerer, { trickle: false, peer: { trickle: false } });
  check(caller.candidates.own + caller.candidates.peer === 0, "candidates trickled all the same");
  check(
    caller.descriptions.every(({ sdp }) => /^a=candidate:/m.test(sdp)),
    "a description carries no candidate",
  );
  caller.healthy();
  return `${caller.descriptions.length} descriptions with candidates in them`;
}

const scenarios = {
  "Chromium offers: audio and video": () => audioAndVideo("chromium"),
  "Chromium answers: audio and video": () => audioAndVideo("peer"),
  "Chromium offers: without trickle": () => withoutTrickle("chromium"),
  "Chromium answers: without trickle": () => withoutTrickle("peer"),
};

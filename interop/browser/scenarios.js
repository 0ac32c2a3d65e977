// What is shown of calls between Chromium and our peer, one function per case: runs inside a page, after caller.js.
//
// A scenario returns a sentence on what it saw, or throws. `offerer` says who makes the first offer: "chromium" or
// "peer".

"use strict";

/** Opens a call with sound and picture on both sides and waits until both came back. */
async function call(offerer, options = {}) {
  const caller = await Caller.open(options);
  for (const name of ["mangleIncoming", "mangleOutgoing", "passesIn", "passesOut"])
    if (options[name]) caller[name] = options[name];
  caller.picture = new Picture();
  caller.tone = new Tone(440);
  const stream = new MediaStream();
  if (offerer === "chromium") {
    caller.connection.addTrack(caller.tone.track, stream);
    caller.connection.addTrack(caller.picture.track, stream);
    options.prefer?.(caller);
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


/** Runs `change`; sound and picture of the call must go on meanwhile, and after it. */
async function whileMediaRuns(caller, what, change) {
  const flow = async () => ({
    sound: await caller.inbound("packetsReceived", (entry) => entry.mid === "0"),
    picture: await caller.inbound("framesDecoded", (entry) => entry.mid === "1"),
  });
  const before = await flow();
  const result = await change();
  let now;
  await until(
    () => `sound and picture go on ${what}; before ${JSON.stringify(before)}, now ${JSON.stringify(now)}`,
    async () => {
      now = await flow();
      return now.sound > before.sound && now.picture > before.picture;
    },
  );
  caller.healthy();
  return result;
}

const ROUNDS = 10;

/** Chromium adds a picture, takes it away, and adds one again: on the same section, and on a recycled one. */
async function renegotiationByChromium(offerer) {
  const caller = await call(offerer);
  const { connection } = caller;
  let transceiver;
  for (let round = 0; round < ROUNDS; round++) {
    const picture = new Picture(COLOURS[(round + 1) % COLOURS.length]);
    const again = round % 2 === 1;
    await whileMediaRuns(caller, `in round ${round}`, async () => {
      const announced = caller.received.length;
      if (again) {
        await transceiver.sender.replaceTrack(picture.track);
        transceiver.direction = "sendrecv";
      } else {
        const sender = connection.addTrack(picture.track, new MediaStream());
        transceiver = connection.getTransceivers().find((found) => found.sender === sender);
      }
      await until(
        () => `the picture of round ${round} comes back; ${caller.summary()}`,
        () => caller.received.slice(announced).some((entry) => entry.transceiver === transceiver),
      );
      const viewer = new Viewer(transceiver.receiver.track);
      await viewer.shows(picture.colour, 5);
      viewer.close();
    });
    await whileMediaRuns(caller, `when the picture of round ${round} has gone`, async () => {
      const { mid } = transceiver;
      if (again) transceiver.stop();
      else connection.removeTrack(transceiver.sender);
      await until(
        async () => `our peer sends nothing on section ${mid}; ${JSON.stringify((await caller.state()).transceivers)}`,
        async () => {
          const theirs = (await caller.state()).transceivers.find((found) => found.mid === mid);
          return again ? !theirs || theirs.stopped : theirs.currentDirection === "inactive";
        },
      );
      await caller.stable();
    });
    picture.stop();
  }
  return recycled(caller);
}

/** Our peer adds a copy of the picture, takes it away, and adds it again. */
async function renegotiationByPeer(offerer) {
  const caller = await call(offerer);
  let mid;
  for (let round = 0; round < ROUNDS; round++) {
    const again = round % 2 === 1;
    await whileMediaRuns(caller, `in round ${round}`, async () => {
      const announced = caller.received.length;
      if (again) await caller.do("direct", { mid, direction: "sendonly" });
      else await caller.do("add", { kind: "video", direction: "sendonly", copy_of: "1" });
      const entry = await until(
        () => `the copy of round ${round} is announced; ${caller.summary()}`,
        () => (caller.healthy(), caller.received.slice(announced)[0]),
      );
      check((entry.mid === mid) === again, `the copy came on section ${entry.mid}, before on ${mid}`);
      mid = entry.mid;
      const viewer = new Viewer(entry.track);
      await viewer.shows(caller.picture.colour, 5);
      viewer.close();
    });
    await whileMediaRuns(caller, `when the copy of round ${round} has gone`, async () => {
      const ours = caller.transceiver(mid);
      if (again) await caller.do("stop", { mid });
      else await caller.do("direct", { mid, direction: "inactive" });
      await until(
        () => `Chromium expects nothing on section ${mid}: ${ours.currentDirection}; ${caller.summary()}`,
        () => ours.currentDirection === (again ? "stopped" : "inactive"),
      );
      await caller.stable();
    });
  }
  return recycled(caller);
}

/** Sections are used again instead of becoming more with every round. */
function recycled(caller) {
  const { sdp } = caller.descriptions.at(-1);
  check(sections(sdp).length === 3, `there are ${sections(sdp).length} sections after ${ROUNDS} rounds`);
  const offers = caller.descriptions.filter(({ type }) => type === "offer").length;
  check(offers >= 2 * ROUNDS, `only ${offers} offers were made`);
  caller.healthy();
  return `${ROUNDS} rounds, ${offers} offers, 3 sections`;
}

/** New credentials on both sides, and media over a pair that has them; nobody notices. */
async function iceRestart(offerer, restarter) {
  const caller = await call(offerer);
  const before = { own: fragments(caller.latest("own").sdp), peer: fragments(caller.latest("peer").sdp) };
  const states = caller.states.length;
  let pair;
  await whileMediaRuns(caller, "over the new pair", async () => {
    if (restarter === "chromium") caller.connection.restartIce();
    else await caller.do("restart_ice");
    await until(
      () => `media flows over a pair with new credentials; ${JSON.stringify(pair)}; ${caller.summary()}`,
      async () => {
        caller.healthy();
        pair = await caller.selectedPair();
        const [own, peer] = [pair?.local?.usernameFragment, pair?.remote?.usernameFragment];
        return own && peer && !before.own.includes(own) && !before.peer.includes(peer);
      },
    );
    await caller.stable();
  });
  await caller.seen.shows(caller.picture.colour);
  const offer = caller.latest(restarter === "chromium" ? "own" : "peer", "offer");
  const answer = caller.latest(restarter === "chromium" ? "peer" : "own", "answer");
  const fresh = (description, from) => fragments(description.sdp).every((f) => !before[from].includes(f));
  check(fresh(offer, offer.from) && fresh(answer, answer.from), "a description has the old credentials");
  const bad = caller.states.slice(states).filter((state) => /connectionState (failed|closed|disconnected)/i.test(state));
  check(bad.length === 0, `somebody noticed: ${bad}`);
  caller.healthy();
  return `${before.own}/${before.peer} became ${fragments(offer.sdp)}/${fragments(answer.sdp)}`;
}

/** Offers cross while media runs; one side takes its own back, and what it wanted is negotiated afterwards. */
async function glare(offerer, polite) {
  const peerIsPolite = polite === "peer";
  const caller = await call(offerer, { polite: !peerIsPolite, peer: { polite: peerIsPolite } });
  const second = new Picture(COLOURS[2]);
  const described = caller.descriptions.length;
  const announced = caller.received.length;
  let own;
  await whileMediaRuns(caller, "after offers crossed", async () => {
    await caller.collide(
      () => void (own = caller.connection.addTransceiver(second.track)),
      () => caller.do("add", { kind: "video", direction: "sendonly", copy_of: "1" }),
    );
    const arrived = () => caller.received.slice(announced);
    await until(
      () => `both new sections are announced: ${arrived().map(({ mid }) => mid)}; ${caller.summary()}`,
      () => {
        caller.healthy();
        return arrived().some((entry) => entry.transceiver === own) && arrived().some((entry) => entry.transceiver !== own);
      },
    );
    const copy = arrived().find((entry) => entry.transceiver !== own);
    const viewers = [new Viewer(own.receiver.track), new Viewer(copy.track)];
    await viewers[0].shows(second.colour, 5);
    await viewers[1].shows(caller.picture.colour, 5);
    await caller.stable();
  });
  return crossed(caller, polite, described);
}

/** Offers cross when nothing is connected yet. */
async function glareFromTheStart(polite) {
  const peerIsPolite = polite === "peer";
  const caller = await Caller.open({ polite: !peerIsPolite, peer: { polite: peerIsPolite } });
  caller.picture = new Picture();
  caller.tone = new Tone(440);
  const own = [];
  await caller.collide(
    () => {
      for (const track of [caller.tone.track, caller.picture.track])
        own.push(caller.connection.addTransceiver(track));
    },
    () => caller.do("add", { kind: "audio", direction: "recvonly" }),
  );
  await caller.connected();
  const heard = new Listener(own[0].receiver.track);
  const seen = new Viewer(own[1].receiver.track);
  await heard.hears(440);
  await seen.shows(caller.picture.colour);
  const theirs = () => caller.connection.getTransceivers().find((found) => !own.includes(found));
  await until(`our peer's section is negotiated; ${caller.summary()}`, () => theirs()?.currentDirection);
  await caller.stable();
  return crossed(caller, polite, 0);
}

/** Both sides offered; the polite one answered the other's, and what it wanted came by a second offer. */
function crossed(caller, polite, from) {
  const course = caller.descriptions.slice(from).map(({ from, type }) => `${from} ${type}`);
  const [yielding, other] = polite === "peer" ? ["peer", "own"] : ["own", "peer"];
  const sentence = course.join(", ");
  const offers = course.slice(0, 2).sort();
  check(offers.join() === "own offer,peer offer", `the offers did not cross: ${sentence}`);
  check(course[2] === `${yielding} answer`, `the wrong side gave way: ${sentence}`);
  const again = course.indexOf(`${yielding} offer`, 3);
  check(again > 0 && course.indexOf(`${other} answer`) > again, `its offer was not made again: ${sentence}`);
  const ignored = polite === "peer" ? "own offerignored" : "offerignored";
  check(
    caller.events.some(({ event }) => event === ignored),
    `nobody ignored an offer: ${sentence}`,
  );
  caller.healthy();
  return sentence;
}

/** Only one video codec is allowed by the side that offers. */
async function onlyCodec(offerer, name) {
  const mime = `video/${name}`;
  const prefer = (caller) => {
    const all = RTCRtpReceiver.getCapabilities("video").codecs;
    const wanted = all.filter(({ mimeType }) => [mime, "video/rtx"].includes(mimeType));
    check(
      wanted.some(({ mimeType }) => mimeType === mime),
      `Chromium has no ${name}`,
    );
    caller.connection.getTransceivers()[1].setCodecPreferences(wanted);
  };
  const caller = await call(offerer, offerer === "chromium" ? { prefer } : { peer: { video_codecs: [name] } });
  for (const { from, type, sdp } of caller.descriptions) {
    const video = sections(sdp).find((section) => section.startsWith("m=video"));
    const listed = new Set([...(video ?? "").matchAll(/^a=rtpmap:\d+ ([^/]+)/gm)].map(([, codec]) => codec));
    const others = [...listed].filter((codec) => ![name, "rtx"].includes(codec));
    check(others.length === 0, `the ${type} of ${from} has ${others}`);
  }
  const used = await caller.codecs("video");
  check(used.length === 1 && used[0] === mime, `Chromium sends or receives ${used}`);
  caller.healthy();
  return `${await caller.inbound("framesDecoded")} frames of ${used}`;
}

/** What W3C webrtc-pc §4.2.5 says of an offer with two sounds and a picture. */
const OFFERED = {
  balanced: { transports: 2, bundleOnly: 1 },
  "max-compat": { transports: 3, bundleOnly: 0 },
  "max-bundle": { transports: 1, bundleOnly: 2 },
};

/** One side's bundle policy is set. However the offer looks, both bundle: everything flows over one transport. */
async function bundle(offerer, whose, policy) {
  const configuration = { bundlePolicy: policy };
  const options = whose === "chromium" ? { configuration } : { peer: { configuration } };
  options.peer = { ...options.peer, negotiate: offerer !== "peer" };
  const caller = await Caller.open(options);
  const media = [new Tone(440), new Picture(), new Tone(880)];
  const { connection } = caller;
  if (offerer === "chromium") {
    for (const { track } of media) connection.addTransceiver(track);
  } else {
    caller.beforeAnswer = async () => {
      for (const [index, transceiver] of connection.getTransceivers().entries()) {
        transceiver.direction = "sendrecv";
        await transceiver.sender.replaceTrack(media[index].track);
      }
    };
    for (const kind of ["audio", "video", "audio"]) await caller.do("add", { kind });
    await caller.do("offer");
  }
  await caller.connected();
  await new Listener(await caller.track("0")).hears(440);
  await new Viewer(await caller.track("1")).shows(media[1].colour);
  await new Listener(await caller.track("2")).hears(880);
  const used = new Set();
  (await connection.getStats()).forEach((entry) => {
    if (/^(in|out)bound-rtp$/.test(entry.type)) used.add(entry.transportId);
  });
  check(used.size === 1, `media flows over ${used.size} transports`);
  const offer = caller.descriptions.find(({ type }) => type === "offer");
  const seen = {
    transports: fragments(offer.sdp).length,
    bundleOnly: sections(offer.sdp).filter((section) => /^a=bundle-only/m.test(section)).length,
  };
  // The answerer's policy makes no difference to the offer; how Chromium writes its own is its business.
  const expected = OFFERED[whose === "peer" ? policy : "balanced"];
  const asExpected = offerer === "chromium" || JSON.stringify(seen) === JSON.stringify(expected);
  check(asExpected, `offered: ${JSON.stringify(seen)}, instead of ${JSON.stringify(expected)}`);
  caller.healthy();
  return `${seen.transports} ICE credentials and ${seen.bundleOnly} bundle-only sections were offered`;
}

/** The peer's first offer has no BUNDLE group: each section gets a transport of its own. */
async function withoutBundle(offerer) {
  const alone = ({ type, sdp }) => ({ type, sdp: sdp.replace(/^a=group:BUNDLE.*\r\n/gm, "") });
  const options = offerer === "chromium" ? { mangleOutgoing: alone } : { mangleIncoming: alone };
  const caller = await call(offerer, { ...options, configuration: { bundlePolicy: "max-compat" } });
  const used = new Set();
  (await caller.connection.getStats()).forEach((entry) => {
    if (entry.type === "inbound-rtp" && entry.packetsReceived > 0) used.add(entry.transportId);
  });
  check(used.size === 2, `media flows over ${used.size} transports`);
  caller.healthy();
  return `sound and picture over a transport each`;
}

/** Codecs, attributes and a section that nobody knows are in the description that our peer gets. */
async function unknownCodecs(offerer) {
  const unknown = ({ type, sdp }) => {
    const known = sdp
      .replace(/^(m=(?:audio|video) \d+ \S+) /gm, "$1 20 ")
      .replace(
        /^(m=audio[^]*?)(?=^a=rtpmap)/m,
        "$1a=rtpmap:20 XYZZY/12345/3\r\na=fmtp:20 a;b=;=c;;d=\r\na=rtcp-fb:20 sorcery\r\n",
      )
      .replace(/^(m=video[^]*?)(?=^a=rtpmap)/m, "$1a=rtpmap:20 PLUGH/90000\r\na=rtcp-fb:20 nack magic\r\n");
    const changed = (kind, name) => !sdp.includes(`m=${kind}`) || known.includes(name);
    check(changed("audio", "XYZZY/12345") && changed("video", "PLUGH"), "the description was not changed");
    const section = "m=text 9 UDP/TLS/RTP/SAVPF 98\r\nc=IN IP4 0.0.0.0\r\na=mid:text\r\na=rtpmap:98 t140/1000\r\n";
    return { type, sdp: type === "offer" ? known + section : known };
  };
  let rejected = 0;
  // Chromium offered one section less than our peer has read.
  const without = ({ type, sdp }) => {
    const all = sections(sdp);
    if (type !== "answer" || !all.at(-1).startsWith("m=text")) return { type, sdp };
    check(all.at(-1).startsWith("m=text 0 "), `the unknown section was not rejected: ${all.at(-1)}`);
    rejected += 1;
    return { type, sdp: sdp.slice(0, sdp.length - all.at(-1).length) };
  };
  const caller = await call(offerer, { mangleOutgoing: unknown, mangleIncoming: without });
  const answer = caller.latest("peer");
  check(!/XYZZY|PLUGH/.test(answer.sdp), "our peer took an unknown codec");
  if (offerer === "chromium") check(rejected > 0, "no unknown section was answered");
  caller.healthy();
  return `${await caller.inbound("framesDecoded")} frames of ${await caller.codecs("video")}`;
}

const scenarios = {
  "Chromium offers: audio and video": () => audioAndVideo("chromium"),
  "Chromium answers: audio and video": () => audioAndVideo("peer"),
  "Chromium offers: without trickle": () => withoutTrickle("chromium"),
  "Chromium answers: without trickle": () => withoutTrickle("peer"),
  "Chromium offers: ten times it adds and removes a picture": () => renegotiationByChromium("chromium"),
  "Chromium answers: ten times it adds and removes a picture": () => renegotiationByChromium("peer"),
  "Chromium offers: ten times we add and remove a picture": () => renegotiationByPeer("chromium"),
  "Chromium answers: ten times we add and remove a picture": () => renegotiationByPeer("peer"),
  "Chromium offers: it restarts ICE": () => iceRestart("chromium", "chromium"),
  "Chromium offers: we restart ICE": () => iceRestart("chromium", "peer"),
  "Chromium answers: it restarts ICE": () => iceRestart("peer", "chromium"),
  "Chromium answers: we restart ICE": () => iceRestart("peer", "peer"),
  "Chromium offers: offers cross, it gives way": () => glare("chromium", "chromium"),
  "Chromium offers: offers cross, we give way": () => glare("chromium", "peer"),
  "Chromium answers: offers cross, it gives way": () => glare("peer", "chromium"),
  "Chromium answers: offers cross, we give way": () => glare("peer", "peer"),
  "Chromium and we offer at once: it gives way": () => glareFromTheStart("chromium"),
  "Chromium and we offer at once: we give way": () => glareFromTheStart("peer"),
  "Chromium offers: H264 only": () => onlyCodec("chromium", "H264"),
  "Chromium answers: H264 only": () => onlyCodec("peer", "H264"),
  "Chromium offers: VP8 only": () => onlyCodec("chromium", "VP8"),
  "Chromium answers: VP8 only": () => onlyCodec("peer", "VP8"),
  ...Object.fromEntries(
    ["balanced", "max-compat", "max-bundle"].flatMap((policy) => [
      [`Chromium offers: its bundle policy is ${policy}`, () => bundle("chromium", "chromium", policy)],
      [`Chromium answers: its bundle policy is ${policy}`, () => bundle("peer", "chromium", policy)],
      [`Chromium offers: our bundle policy is ${policy}`, () => bundle("chromium", "peer", policy)],
      [`Chromium answers: our bundle policy is ${policy}`, () => bundle("peer", "peer", policy)],
    ]),
  ),
  "Chromium offers: without a BUNDLE group": () => withoutBundle("chromium"),
  "Chromium answers: without a BUNDLE group": () => withoutBundle("peer"),
  "Chromium offers: unknown codecs": () => unknownCodecs("chromium"),
  "Chromium answers: unknown codecs": () => unknownCodecs("peer"),
};

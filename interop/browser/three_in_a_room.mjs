// Three pages in one room see and hear each other; the server's figures agree with theirs; one leaves; one comes late.
//
//   node three_in_a_room.mjs --url http://127.0.0.1:8080 --out DIR [--first-frame-ms 1500]

import { PATIENCE_MS, check, log, parseArguments, run, sleep, until } from "./lib.mjs";

const FRAMES = 60;
const options = parseArguments({ "first-frame-ms": "1500" });
const firstFrameLimitMs = Number(options["first-frame-ms"]);

await run("three_in_a_room", options, async (stage) => {
  const room = "three-in-a-room";
  const enter = (name) => stage.enter(name, { room });
  const [ann, ben, chidi] = [await enter("Ann"), await enter("Ben"), await enter("Chidi")];
  const trio = [ann, ben, chidi];
  const phone = { width: 390, height: 844 };
  const screenshots = [
    await stage.screenshot(ann, "lobby-desktop"),
    await stage.screenshot(ann, "lobby-phone", phone),
  ];
  for (const person of trio) await person.join();
  for (const person of trio) await person.live();
  log("all three are live");

  const seen = {};
  for (const person of trio) seen[person.name] = await seesAndHears(person, others(person, trio));
  log("everybody sees and hears the two others");
  const figures = await comparedWithMetrics(stage, trio);
  screenshots.push(
    await stage.screenshot(ann, "call-desktop"),
    await stage.screenshot(ann, "call-phone", phone),
  );

  await chidi.leave();
  for (const person of [ann, ben]) {
    await until(
      `Chidi's tile goes from ${person.name}'s page`,
      PATIENCE_MS,
      async () => (await person.look()).tiles === 1,
    );
  }
  await until(
    "/metrics counts two peers after one left",
    PATIENCE_MS,
    async () => (await stage.metrics()).sum("actix_rtc_peers") === 2,
  );
  for (const person of [ann, ben]) await keepsDecoding(person);
  log("one left; the others go on");

  // Four pages encode and decode on one machine, of which somebody else may have had that very second: one newcomer of
  // three must be quick.
  let dana, firstFramesMs, slowest;
  for (const name of ["Dana", "Emil", "Fay"]) {
    dana = await enter(name);
    await dana.join();
    firstFramesMs = await firstFrames(dana, [ann, ben]);
    log("the late joiner's first frames after ms:", JSON.stringify(firstFramesMs));
    slowest = Math.max(...Object.values(firstFramesMs));
    if (slowest <= firstFrameLimitMs) break;
    await dana.leave();
  }
  check(
    slowest <= firstFrameLimitMs,
    `the late joiner's first frame came after ${slowest} ms, not within ${firstFrameLimitMs} ms`,
  );
  for (const person of [ann, ben, dana]) await seesAndHears(person, others(person, [ann, ben, dana]));
  for (const person of [...trio, dana])
    check(person.errors.length === 0, `${person.name}'s page threw: ${person.errors[0]}`);
  return { seen, metrics: figures, firstFramesMs, screenshots };
});

function others(person, people) {
  return people.filter((other) => other !== person).map((other) => other.name);
}

/** More than `FRAMES` frames decoded from, and growing sound of, each of `names`. */
async function seesAndHears(person, names) {
  const before = await person.statsByName();
  const enough = `${person.name} decodes more than ${FRAMES} frames from and hears ${names.join(" and ")}`;
  let latest;
  try {
    await until(enough, PATIENCE_MS, async () => {
      latest = await person.statsByName();
      return names.every((name) => {
        const now = latest[name];
        return now?.framesDecoded > FRAMES && now.totalAudioEnergy > (before[name]?.totalAudioEnergy ?? 0);
      });
    });
  } catch (error) {
    throw new Error(`${error.message}; got ${JSON.stringify(latest)}`);
  }
  check(
    Object.keys(latest).length === names.length,
    `${person.name} sees ${Object.keys(latest)} instead of ${names}`,
  );
  return Object.fromEntries(names.map((name) => [name, latest[name].framesDecoded]));
}

async function keepsDecoding(person) {
  const before = await person.statsByName();
  await until(`${person.name} gets frames from everybody after somebody left`, PATIENCE_MS, async () => {
    const after = Object.entries(await person.statsByName());
    // More than what was under way when it happened.
    return after.every(([name, { framesDecoded }]) => framesDecoded > before[name].framesDecoded + 15);
  });
}

/** What a server that was held up has not read yet is in no count: one comparison of several must hold. */
async function comparedWithMetrics(stage, people) {
  for (let left = 4; left > 0; left--) {
    try {
      return await compareWithMetrics(stage, people);
    } catch (error) {
      log("once more:", error.message);
      await sleep(1_000);
    }
  }
  return compareWithMetrics(stage, people);
}

/**
 * Counters move while they are read. So the server is asked between two readings of the pages: what it has sent by then
 * is at least what they had received before, and what it has received by then is at most what they have sent afterwards.
 */
async function compareWithMetrics(stage, people) {
  const before = await totals(people);
  const metrics = await stage.metrics();
  const after = await totals(people);
  const figures = {
    peers: metrics.sum("actix_rtc_peers"),
    rooms: metrics.sum("actix_rtc_rooms"),
    iceConnected:
      metrics.sumOrZero("actix_rtc_ice_transports", { state: "connected" }) +
      metrics.sumOrZero("actix_rtc_ice_transports", { state: "completed" }),
    dtlsConnected: metrics.sum("actix_rtc_dtls_transports", { state: "connected" }),
    rtpIn: metrics.sum("actix_rtc_datagrams_total", { direction: "in", kind: "rtp" }),
    rtpOut: metrics.sum("actix_rtc_datagrams_total", { direction: "out", kind: "rtp" }),
    rtpInBytes: metrics.sum("actix_rtc_datagram_bytes_total", { direction: "in", kind: "rtp" }),
    rtpOutBytes: metrics.sum("actix_rtc_datagram_bytes_total", { direction: "out", kind: "rtp" }),
    pagesReceived: before.received,
    pagesSent: before.sent,
  };
  log("figures:", JSON.stringify(figures));
  const count = people.length;
  check(figures.peers === count, `/metrics says ${figures.peers} peers, there are ${count}`);
  check(figures.rooms === 1, `/metrics says ${figures.rooms} rooms, there is 1`);
  check(
    figures.iceConnected === count,
    `/metrics says ${figures.iceConnected} connected ICE transports of ${count}`,
  );
  check(
    figures.dtlsConnected === count,
    `/metrics says ${figures.dtlsConnected} connected DTLS transports of ${count}`,
  );
  check(figures.rtpInBytes > 0 && figures.rtpOutBytes > 0, "/metrics counts no bytes of RTP");
  check(
    figures.rtpOut >= before.received,
    `the server sent ${figures.rtpOut} RTP packets, the pages got ${before.received}`,
  );
  // Chromium's figures are up to 50 ms old, and probes with padding alone are not in them.
  check(
    figures.rtpIn <= after.sent * 1.02 + 20,
    `the server got ${figures.rtpIn} RTP packets, the pages sent ${after.sent}`,
  );
  // On one machine next to nothing is lost: the server must have counted nearly all of it.
  check(
    figures.rtpIn >= before.sent * 0.95,
    `the server got ${figures.rtpIn} RTP packets of ${before.sent} sent`,
  );
  return figures;
}

async function totals(people) {
  const sums = { received: 0, sent: 0 };
  for (const person of people) {
    const { received, sent } = await person.packets();
    sums.received += received;
    sums.sent += sent;
  }
  return sums;
}

/** Milliseconds from the click on Join to the first frame shown of each of `people`. */
async function firstFrames(person, people) {
  return until(`${person.name} sees a frame of everybody`, PATIENCE_MS, async () => {
    const figures = await person.statsByName();
    const times = people.map(({ name }) => [name, figures[name]?.firstFrameAt ?? null]);
    return (
      times.every(([, time]) => time !== null) &&
      Object.fromEntries(times.map(([name, time]) => [name, Math.round(time)]))
    );
  });
}

// A panic is injected into one RtpSender of the server in the middle of a call: nobody's connection notices, pictures
// and sound go on within a second, and /metrics counts exactly one restart.
//
//   node panic_in_sender.mjs --url http://127.0.0.1:8080 --out DIR [--actor rtp_sender] [--pause-ms 1000]
//
// The server must be built with fault injection and started with --enable-fault-injection.

import { check, log, parseArguments, run, sleep } from "./lib.mjs";

const WATCH_MS = 5_000;
const options = parseArguments({ actor: "rtp_sender", "pause-ms": "1000" });

await run("panic_in_sender", options, async (stage) => {
  const room = `panic-${Date.now()}`;
  const people = [];
  for (const name of ["Ann", "Ben", "Chidi"]) people.push(await stage.enter(name, { room }));
  for (const person of people) await person.join();
  for (const person of people) await person.live();
  for (const person of people) await person.watchFlow();
  for (const person of people) await person.watchStates();
  await sleep(2_500);
  await allStreamsFlow(people, Date.now() - 1_000, Date.now(), "before the panic");

  const labels = { actor: options.actor };
  const before = (await stage.metrics()).sumOrZero("actix_rtc_actor_restarts_total", labels);
  const panicAt = Date.now();
  const response = await fetch(`${options.url}/debug/panic?actor=${options.actor}`, { method: "POST" });
  check(
    response.status !== 404,
    "POST /debug/panic answered 404: build the server with fault injection and start it with --enable-fault-injection",
  );
  check(response.ok, `POST /debug/panic answered ${response.status}: ${await response.text()}`);
  log("panic injected into", options.actor);
  await sleep(WATCH_MS + 500);

  const pauses = {};
  let samplingGapMs = 0;
  for (const person of people) {
    const flow = await person.flow();
    samplingGapMs = Math.max(samplingGapMs, flow.longestSamplingGapMs(panicAt, panicAt + WATCH_MS));
    for (const [stream, pause] of Object.entries(flow.longestPausesMs(panicAt, panicAt + WATCH_MS))) {
      pauses[`${person.name}: ${stream}`] = pause;
    }
  }
  const [worst, longestPauseMs] = Object.entries(pauses).sort(([, a], [, b]) => b - a)[0];
  log("longest pauses in ms:", JSON.stringify(pauses));
  check(
    longestPauseMs <= Number(options["pause-ms"]),
    `${worst} paused for ${longestPauseMs} ms after the panic`,
  );
  // The first second may hold the pause itself; afterwards everything has to flow in every window.
  await allStreamsFlow(people, panicAt + 1_000, panicAt + WATCH_MS, "after the panic");

  for (const person of people) {
    const changes = await person.stateChanges();
    check(changes.length === 0, `the connection of ${person.name} noticed: ${changes.join(", ")}`);
    check(person.errors.length === 0, `${person.name}'s page threw: ${person.errors[0]}`);
  }
  const restarts = (await stage.metrics()).sumOrZero("actix_rtc_actor_restarts_total", labels) - before;
  check(restarts === 1, `/metrics counts ${restarts} restarts of ${options.actor} instead of 1`);
  return { actor: options.actor, restarts, worst, longestPauseMs, samplingGapMs };
});

async function allStreamsFlow(people, from, to, when) {
  for (const person of people) {
    const windows = (await person.flow()).windows(from, to);
    const expected = 2 * (people.length - 1);
    check(
      Object.keys(windows).length === expected,
      `${person.name} has ${Object.keys(windows).length} of ${expected} streams`,
    );
    for (const [stream, growth] of Object.entries(windows)) {
      check(
        growth.length > 0 && growth.every((count) => count > 0),
        `${person.name}: ${stream} stood still ${when}: ${growth}`,
      );
    }
  }
}

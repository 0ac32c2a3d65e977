// Two pages in a call while something else happens to the server. Prints READY on stdout once media flows, samples until
// a line "stop" (or the end of stdin) comes, then says whether everything kept flowing in every second.
//
//   node call_unaffected.mjs --url http://127.0.0.1:8080 --out DIR [--limit-s 600]

import { createInterface } from "node:readline";
import { check, log, parseArguments, run, sleep } from "./lib.mjs";

const options = parseArguments({ "limit-s": "600" });

await run("call_unaffected", options, async (stage) => {
  const room = `unaffected-${Date.now()}`;
  const people = [await stage.enter("Ann", { room }), await stage.enter("Ben", { room })];
  for (const person of people) await person.join();
  for (const person of people) await person.live();
  for (const person of people) await person.watchFlow(100);
  for (const person of people) await person.watchStates();
  await sleep(2_000);

  const from = Date.now();
  console.log("READY");
  await stopped(Number(options["limit-s"]) * 1_000);
  const to = Date.now();
  check(to - from >= 1_000, "stopped before a whole second had been watched");
  await sleep(300);

  const least = {};
  let seconds = 0;
  for (const person of people) {
    const windows = (await person.flow()).windows(from, to);
    check(
      Object.keys(windows).length === 2,
      `${person.name} received ${Object.keys(windows).length} streams instead of 2`,
    );
    for (const [stream, growth] of Object.entries(windows)) {
      seconds = growth.length;
      least[`${person.name}: ${stream}`] = Math.min(...growth);
      log(`${person.name}: ${stream}:`, growth.join(" "));
    }
  }
  for (const [stream, count] of Object.entries(least)) check(count > 0, `${stream} stood still for a second`);
  for (const person of people) {
    const changes = await person.stateChanges();
    check(changes.length === 0, `the connection of ${person.name} noticed: ${changes.join(", ")}`);
    check(person.errors.length === 0, `${person.name}'s page threw: ${person.errors[0]}`);
  }
  return { seconds, leastPerSecond: least };
});

/** Waits for the line "stop" or the end of stdin, but not for ever. */
function stopped(limitMs) {
  return new Promise((resolve) => {
    const lines = createInterface({ input: process.stdin });
    const timer = setTimeout(() => lines.close(), limitMs);
    lines.on("line", (line) => line.trim() === "stop" && lines.close());
    lines.on("close", () => {
      clearTimeout(timer);
      process.stdin.destroy();
      resolve();
    });
  });
}

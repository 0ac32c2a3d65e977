// Chromium joins a room and stays; asked to, it tells what it decodes from the others. Driven by with_chromium.py.
//
// It prints READY when it is live. A line "see N" on standard input makes it wait until it decodes N others.

import { createInterface } from "node:readline";

import { log, parseArguments, run, until } from "../browser/lib.mjs";

const FRAMES = 60;
const options = parseArguments({ room: "aiortc-and-chromium" });

await run("chromium_in_room", options, async (stage) => {
  const person = await stage.enter("Chromium", { room: options.room });
  await person.join();
  await person.live();
  console.log("READY");
  const wanted = await numberAsked();
  log(`waiting for ${wanted} others`);
  let latest = [];
  const enough = (other) => other.framesDecoded >= FRAMES && other.totalAudioEnergy > 0;
  try {
    await until(`${FRAMES} frames and sound from ${wanted} others`, 30_000, async () => {
      latest = Object.values(await person.stats());
      return latest.filter(enough).length >= wanted;
    });
  } catch (error) {
    throw new Error(`${error.message}; got ${JSON.stringify(latest)}`);
  }
  await stage.screenshot(person, "aiortc-in-chromium");
  const [other] = latest.filter(enough);
  return { seen: { name: other.name, frames: other.framesDecoded, audioEnergy: other.totalAudioEnergy } };
});

/** The N of the first line "see N"; the end of the input means that nobody waits any more. */
async function numberAsked() {
  const lines = createInterface({ input: process.stdin });
  for await (const line of lines) {
    const match = /^see (\d+)$/.exec(line.trim());
    if (match) {
      process.stdin.destroy();
      return Number(match[1]);
    }
  }
  throw new Error("the input ended before it said whom to wait for");
}

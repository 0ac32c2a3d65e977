// Calls between Chromium and interop/peer, one page per case; the cases are in scenarios.js and channels.js.
//
//   node calls.mjs --url http://127.0.0.1:8080 --out DIR [--cases '["Chromium offers: audio and video"]']
//
// `--set paths` runs the cases of paths.js instead, in a browser that hides its addresses; `--turn` and `--turns` are
// the addresses of a TURN server for it.
// `--known` is the list of cases that the caller has: one that only one of the two has fails the script.
// Prints one line of JSON per case on stdout as it ends, {"case", "ok", "detail", "seconds"}; the last line is the
// script's own result.

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import vm from "node:vm";

import { check, log, parseArguments, run } from "./lib.mjs";

const FOLDER = path.dirname(fileURLToPath(import.meta.url));
const SCRIPTS = ["caller.js", "scenarios.js", "channels.js", "paths.js"].map((name) => path.join(FOLDER, name));
/** Every wait in a scenario has a limit of its own; this one is for a page that answers no more. */
const CASE_LIMIT_MS = 110_000;

const options = parseArguments();
const table = options.set === "paths" ? "pathScenarios" : "scenarios";
// Whoever may use a camera is shown real addresses, and the pretended user says yes.
if (table === "pathScenarios") {
  const host = options.turn?.split(":")[0] ?? "127.0.0.1";
  const known = ["127.0.0.1", "localhost", "*.local", host].map((name) => `EXCLUDE ${name}`);
  options.browser = {
    without: ["--use-fake-ui-for-media-stream", "--host-resolver-rules"],
    // The rules are for addresses as well, where a connection is opened.
    more: ["--ignore-certificate-errors", `--host-resolver-rules=MAP * ~NOTFOUND , ${known.join(" , ")}`],
  };
}
/** Cases in which the browser may use a camera, and tells its addresses. */
const TOLD = / our relay only/;
const turn = { udp: options.turn, tls: options.turns };
// The names are those of one object literal, which needs no browser to be read.
const context = vm.createContext({});
const text = SCRIPTS.map((file) => readFileSync(file, "utf8")).join("\n");
vm.runInContext(`${text}\nglobalThis.names = Object.keys(${table});`, context);
const names = [...context.names];

await run("calls", options, async ({ browser }) => {
  const known = JSON.parse(options.known ?? JSON.stringify(names));
  const differing = [...names.filter((n) => !known.includes(n)), ...known.filter((n) => !names.includes(n))];
  check(differing.length === 0, `only one side knows the cases ${JSON.stringify(differing)}`);
  const wanted = options.cases ? JSON.parse(options.cases) : names;
  let failed = 0;
  for (const name of wanted) {
    const result = await one(browser, name);
    failed += result.ok ? 0 : 1;
    console.log(JSON.stringify(result));
  }
  return { cases: wanted.length, failed };
});

async function one(browser, name) {
  const started = performance.now();
  const context = await browser.newContext(TOLD.test(name) ? { permissions: ["camera", "microphone"] } : {});
  const page = await context.newPage();
  page.on("pageerror", (error) => log(`[${name}] uncaught: ${error.stack}`));
  page.on("console", (message) => log(`[${name}] ${message.text()}`));
  let result;
  try {
    await page.goto(options.url);
    for (const file of SCRIPTS) await page.addScriptTag({ path: file });
    await page.evaluate((turn) => (globalThis.turn = turn), turn);
    const detail = await Promise.race([
      page.evaluate((name) => (scenarios[name] ?? pathScenarios[name])(), name),
      new Promise((_, reject) =>
        setTimeout(() => reject(new Error("the page gave no result")), CASE_LIMIT_MS).unref(),
      ),
    ]);
    result = { case: name, ok: true, detail };
  } catch (error) {
    await keepEvidence(page, name);
    result = { case: name, ok: false, detail: error.message.replace(/^page.evaluate: (Error: )?/, "").split("\n")[0] };
  } finally {
    await context.close();
  }
  return { ...result, seconds: Number(((performance.now() - started) / 1000).toFixed(1)) };
}

/** Descriptions, states and figures of a call that failed. */
async function keepEvidence(page, name) {
  const gathering = page.evaluate(() => Caller.latest?.evidence()).catch((error) => error.message);
  const limit = new Promise((resolve) => setTimeout(() => resolve("the page is stuck"), 5_000).unref());
  const file = path.join(options.out, `${name.replace(/\W+/g, "-")}.json`);
  writeFileSync(file, JSON.stringify(await Promise.race([gathering, limit]), null, 2));
  log(`[${name}] see ${file}`);
}

// What every browser script shares: arguments, Chromium, pages that join a room, looks inside them, the result line.
//
// A script prints progress on stderr and ends with one line of JSON on stdout: {"script", "ok", …}; its exit code is 0
// exactly when `ok` is true, otherwise `reason` says what was expected and what was seen.

import { existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";

/** Debian's wrapper in /usr/bin adds GPU flags, so the binary itself comes first. */
const EXECUTABLES = ["/usr/lib/chromium/chromium", "/usr/bin/chromium", "/usr/bin/chromium-browser"];

/** For what comes by itself, on a machine that is busy with something else: only a bug reaches it. */
export const PATIENCE_MS = 40_000;

const FLAGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-domain-reliability",
  "--no-pings",
  "--no-default-browser-check",
  "--disable-extensions",
  "--disable-dev-shm-usage",
  "--mute-audio",
  "--autoplay-policy=no-user-gesture-required",
  "--use-fake-ui-for-media-stream",
  "--use-fake-device-for-media-stream=fps=30",
  // Without it gathering never ends on a host that has only a loopback interface.
  "--allow-loopback-in-peer-connection",
  "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost , EXCLUDE *.local",
];

/** `--name value` pairs (and `--name` alone = "true"), over defaults. */
export function parseArguments(defaults = {}) {
  const values = { url: "http://127.0.0.1:8080", out: "target/interop", ...defaults };
  const words = process.argv.slice(2);
  for (let index = 0; index < words.length; index++) {
    if (!words[index].startsWith("--")) throw new Error(`unexpected argument "${words[index]}"`);
    const name = words[index].slice(2);
    const hasValue = index + 1 < words.length && !words[index + 1].startsWith("--");
    values[name] = hasValue ? words[++index] : "true";
  }
  values.url = values.url.replace(/\/$/, "");
  mkdirSync(values.out, { recursive: true });
  return values;
}

export function log(...words) {
  console.error(...words);
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks `probe` until it answers something truthy, which is returned; after `limitMs` the failure tells `what`. */
export async function until(what, limitMs, probe, intervalMs = 100) {
  const end = performance.now() + limitMs;
  let last;
  for (;;) {
    last = await probe();
    if (last) return last;
    if (performance.now() > end) throw new Error(`not within ${limitMs / 1000} s: ${what}`);
    await sleep(intervalMs);
  }
}

export function check(condition, sentence) {
  if (!condition) throw new Error(sentence);
}

/** Runs a script's body with a browser, prints its result line and sets the exit code. */
export async function run(script, options, body) {
  const started = performance.now();
  let browser;
  let result;
  try {
    browser = await launch(options.browser);
    result = { script, ok: true, ...(await body(new Stage(browser, options))) };
  } catch (error) {
    result = { script, ok: false, reason: error.message.split("\n")[0] };
    log(error.stack);
    if (browser) await keepEvidence(browser, options.out, script);
  } finally {
    await browser?.close();
  }
  result.seconds = Number(((performance.now() - started) / 1000).toFixed(1));
  console.log(JSON.stringify(result));
  process.exitCode = result.ok ? 0 : 1;
}

/** `without` names flags to leave out, `more` are further ones. */
async function launch({ without = [], more = [] } = {}) {
  const executablePath = process.env.CHROMIUM ?? EXECUTABLES.find((candidate) => existsSync(candidate));
  if (!executablePath) throw new Error(`Chromium is missing; looked for ${EXECUTABLES.join(", ")}`);
  const args = [...FLAGS.filter((flag) => !without.includes(flag.split("=")[0])), ...more];
  // `headless: false` keeps the driver from adding the flag of the old headless mode to ours.
  return chromium.launch({ executablePath, headless: false, args });
}

/** What the pages looked like when something went wrong. */
async function keepEvidence(browser, out, script) {
  let number = 0;
  for (const context of browser.contexts()) {
    for (const page of context.pages()) {
      number += 1;
      const file = path.join(out, `${script}-failed-${number}.png`);
      await page.screenshot({ path: file, timeout: 5_000 }).catch(() => {});
      const state = await page
        .evaluate(async () => ({ state: __sfu.state(), reason: __sfu.reason(), stats: await __sfu.stats() }))
        .catch(() => null);
      log(`page ${number}:`, JSON.stringify(state), file);
    }
  }
}

/** A browser and a server, on which people appear. */
export class Stage {
  constructor(browser, options) {
    this.browser = browser;
    this.options = options;
  }

  /** Opens the page in its own profile and waits until its camera and microphone run. */
  async enter(name, { room = "demo", width = 320, height = 240, fps = 30 } = {}) {
    const context = await this.browser.newContext({
      viewport: { width: 1280, height: 800 },
      colorScheme: "dark",
    });
    const page = await context.newPage();
    const person = new Person(page, name);
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type()))
        log(`[${name}] ${message.type()}: ${message.text()}`);
    });
    page.on("pageerror", (error) => {
      person.errors.push(error.message);
      log(`[${name}] uncaught: ${error.stack}`);
    });
    const query = new URLSearchParams({ room, name, width, height, fps });
    await page.goto(`${this.options.url}/?${query}`);
    await page.waitForFunction(
      () => {
        const stream = document.querySelector("#preview-video")?.srcObject;
        return (
          stream?.getVideoTracks()[0]?.readyState === "live" &&
          document.querySelector("#join").textContent === "Join"
        );
      },
      null,
      { timeout: PATIENCE_MS },
    );
    return person;
  }

  async metrics() {
    const response = await fetch(`${this.options.url}/metrics`);
    check(response.ok, `GET /metrics answered ${response.status}`);
    return new Metrics(await response.text());
  }

  async screenshot(person, name, viewport) {
    const before = person.page.viewportSize();
    if (viewport) {
      await person.page.setViewportSize(viewport);
      await sleep(600);
    }
    const file = path.join(this.options.out, `${name}.png`);
    await person.page.screenshot({ path: file });
    if (viewport) await person.page.setViewportSize(before);
    return file;
  }
}

/** One page in a room. */
export class Person {
  constructor(page, name) {
    this.page = page;
    this.name = name;
    /** Uncaught exceptions of the page. */
    this.errors = [];
  }

  async join() {
    await this.page.click("#join");
  }

  /** Live by the page's own account, and connected by the browser's. */
  async live(limitMs = PATIENCE_MS) {
    await until(`${this.name} is live`, limitMs, async () => {
      const { state, reason, connection } = await this.look();
      check(state !== "failed", `the call of ${this.name} failed: ${reason}`);
      return state === "live" && connection === "connected";
    });
  }

  look() {
    return this.page.evaluate(() => ({
      state: __sfu.state(),
      reason: __sfu.reason(),
      connection: __sfu.peerConnection()?.connectionState ?? null,
      tiles: document.querySelectorAll("#tiles .tile:not(.own)").length,
    }));
  }

  /** Participant id → figures. */
  stats() {
    return this.page.evaluate(() => __sfu.stats());
  }

  /** Name → figures. */
  async statsByName() {
    return Object.fromEntries(Object.values(await this.stats()).map((figures) => [figures.name, figures]));
  }

  /** All RTP that this page's connection has received and sent, as the browser counts it. */
  packets() {
    return this.page.evaluate(async () => {
      const sums = { received: 0, sent: 0 };
      (await __sfu.peerConnection().getStats()).forEach((entry) => {
        if (entry.type === "inbound-rtp") sums.received += entry.packetsReceived;
        if (entry.type === "outbound-rtp") sums.sent += entry.packetsSent;
      });
      return sums;
    });
  }

  /** From now on every change of the connection's or the page's state is kept. */
  watchStates() {
    return this.page.evaluate(() => {
      const connection = __sfu.peerConnection();
      window.__states = [];
      for (const kind of ["connectionState", "iceConnectionState"]) {
        connection.addEventListener(kind.toLowerCase() + "change", () =>
          window.__states.push(`${kind} ${connection[kind]}`),
        );
      }
      window.__watched = connection;
      window.__lastPageState = __sfu.state();
      setInterval(() => {
        const state = __sfu.state();
        if (state !== window.__lastPageState)
          window.__states.push(`page ${(window.__lastPageState = state)}`);
      }, 50);
    });
  }

  /** The changes since `watchStates`; a replaced connection counts as one. */
  stateChanges() {
    return this.page.evaluate(() => [
      ...window.__states,
      ...(window.__watched === __sfu.peerConnection() ? [] : ["connection was replaced"]),
    ]);
  }

  /** From now on the frames and audio packets received from each of the others are sampled inside the page. */
  watchFlow(intervalMs = 50) {
    return this.page.evaluate((interval) => {
      window.__flow = [];
      const sample = async () => {
        const figures = Object.values(await __sfu.stats());
        const counts = figures.map((f) => [f.name, f.framesDecoded, f.audioPacketsReceived]);
        window.__flow.push({ time: Date.now(), counts });
        setTimeout(sample, interval);
      };
      sample();
    }, intervalMs);
  }

  async flow() {
    return new Flow(await this.page.evaluate(() => window.__flow));
  }

  async leave() {
    await this.page.click("#leave");
  }
}

/** What one page received from each of the others over time, sampled. Times are those of Date.now(). */
export class Flow {
  #streams = new Map(); // "frames from Ann" → [[time, count], …]

  constructor(samples) {
    for (const { time, counts } of samples) {
      for (const [name, frames, audioPackets] of counts) {
        this.#add(`frames from ${name}`, time, frames);
        this.#add(`audio from ${name}`, time, audioPackets);
      }
    }
  }

  #add(stream, time, count) {
    if (!this.#streams.has(stream)) this.#streams.set(stream, []);
    this.#streams.get(stream).push([time, count]);
  }

  get streams() {
    return [...this.#streams.keys()];
  }

  /**
   * Per stream the longest time between `from` and `to` over which samples show nothing new. A page that is too busy to
   * take samples proves no pause: what arrived between two samples counts from the earlier one.
   */
  longestPausesMs(from, to) {
    const result = {};
    for (const [stream, samples] of this.#streams) {
      let grewAt = from;
      let last = null;
      let longest = 0;
      for (const [time, count] of samples.filter(([time]) => time <= to)) {
        if (time < from || last === null || count > last) grewAt = Math.max(from, time);
        longest = Math.max(longest, time - grewAt);
        last = count;
      }
      result[stream] = longest;
    }
    return result;
  }

  /** How long the page took no sample at all, at worst, between `from` and `to`. */
  longestSamplingGapMs(from, to) {
    const [samples = []] = this.#streams.values();
    const times = [from, ...samples.map(([time]) => time).filter((time) => time > from && time < to), to];
    return Math.max(...times.slice(1).map((time, index) => time - times[index]));
  }

  /** Per stream what came in each whole window of `spanMs` between `from` and `to`. */
  windows(from, to, spanMs = 1_000) {
    const result = {};
    for (const [stream, samples] of this.#streams) {
      const at = (time) => samples.findLast(([sampled]) => sampled <= time)?.[1] ?? samples[0][1];
      const growth = [];
      for (let start = from; start + spanMs <= to; start += spanMs)
        growth.push(at(start + spanMs) - at(start));
      result[stream] = growth;
    }
    return result;
  }
}

/** The text of /metrics, as sums over series. */
export class Metrics {
  #series = [];

  constructor(text) {
    for (const line of text.split("\n")) {
      const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/.exec(line);
      if (!match) continue;
      const labels = {};
      for (const [, name, value] of (match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
        labels[name] = value;
      this.#series.push({ name: match[1], labels, value: Number(match[3]) });
    }
  }

  /** Like `sum`, for series that are left out until there is something to count. */
  sumOrZero(name, labels = {}) {
    return this.has(name) ? this.sum(name, labels) : 0;
  }

  has(name) {
    return this.#series.some((series) => series.name === name);
  }

  /** The sum of all series of this name whose labels include `labels`. An unknown name is an error, not zero. */
  sum(name, labels = {}) {
    if (!this.has(name)) throw new Error(`/metrics has no ${name}`);
    return this.#series
      .filter((series) => series.name === name)
      .filter((series) => Object.entries(labels).every(([label, value]) => series.labels[label] === value))
      .reduce((sum, series) => sum + series.value, 0);
  }
}

// Two pages in one room write to each other and send a file, over data channels through the server.
//
//   node room_data.mjs --url http://127.0.0.1:8080 --out DIR [--file-mib 5]

import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { PATIENCE_MS, check, log, parseArguments, run, until } from "./lib.mjs";

const options = parseArguments({ "file-mib": "5" });
const GREETING = "Grüße an alle, 日本語 и мир 👋🏽 — <b>not bold</b> & \u202Bعربي\u202C";
const ANSWER = "¡Qué tal! ✅ \"quoted\" 'single' </script><img src=x onerror=alert(1)>";
const FILE_NAME = "Ünïcödé 文件 (1).bin";

await run("room_data", options, async (stage) => {
  const room = "room-data";
  const [ann, ben] = [await stage.enter("Ann", { room }), await stage.enter("Ben", { room })];
  for (const person of [ann, ben]) await person.join();
  for (const person of [ann, ben]) await person.live();
  for (const person of [ann, ben]) await canWrite(person);

  // Ben's chat is still closed: he is told that there is something to read.
  await openChat(ann);
  await write(ann, GREETING);
  await until("Ben is told of an unread message", PATIENCE_MS, async () => (await unread(ben)) === "1");
  await openChat(ben);
  check((await unread(ben)) === "", "what was read still counts as unread");
  await reads(ben, "Ann", GREETING);
  await write(ben, ANSWER, "Ann");
  await reads(ann, "Ben", ANSWER);
  const aside = await ann.page.textContent(".message:not(.own) .message-head span");
  check(aside.includes("to you, only"), `a direct message is shown as “${aside}”`);
  const markup = await ann.page.$$eval("#chat-log img, #chat-log b b, #chat-log script", (found) => found.length);
  check(markup === 0, "text of others became markup");
  log("chat goes both ways");

  const file = randomBytes(Number(options["file-mib"]) * 1024 * 1024);
  const sha256 = createHash("sha256").update(file).digest("hex");
  const started = performance.now();
  await ann.page.setInputFiles("#chat-files", {
    name: FILE_NAME,
    mimeType: "text/html",
    buffer: file,
  });
  await ben.page.click(".transfer .accept", { timeout: PATIENCE_MS });
  const progress = await watchProgress(ben);
  for (const person of [ann, ben]) await transferEnds(person, sha256);
  const seconds = (performance.now() - started) / 1000;
  const steps = await progress();
  check(steps > 2, `the progress bar took ${steps} steps`);
  const saved = await save(ben);
  check(saved.name === FILE_NAME, `the file is saved as “${saved.name}”`);
  check(
    createHash("sha256").update(saved.content).digest("hex") === sha256,
    "what was saved is not what was sent",
  );
  log(`a file of ${file.length} bytes arrived whole within ${seconds.toFixed(1)} s`);
  const screenshots = [
    await stage.screenshot(ben, "chat-desktop"),
    await stage.screenshot(ben, "chat-phone", { width: 390, height: 844 }),
  ];

  await drop(ben, "small.txt", "hello");
  await ann.page.click('.transfer[data-state="offered"] .chip:not(.accept)', { timeout: PATIENCE_MS });
  const metrics = await stage.metrics();
  const figures = {
    channels: metrics.sum("actix_rtc_sfu_data_channels"),
    bytesIn: metrics.sum("actix_rtc_sfu_data_bytes_total", { direction: "in" }),
    refused: metrics.sum("actix_rtc_sfu_data_refused_total"),
    slow: metrics.sum("actix_rtc_sfu_data_slow_channels_total"),
  };
  check(figures.channels === 4, `/metrics says ${figures.channels} channels, there are 4`);
  check(figures.bytesIn > file.length, `/metrics says ${figures.bytesIn} bytes came`);
  check(figures.refused === 0 && figures.slow === 0, `refused or too slow: ${JSON.stringify(figures)}`);

  await ben.leave();
  await until("Ann reads that Ben left", PATIENCE_MS, async () =>
    (await ann.page.$$eval("#chat-log .note", (notes) => notes.map((note) => note.textContent))).includes("Ben left"),
  );
  for (const person of [ann, ben])
    check(person.errors.length === 0, `${person.name}'s page threw: ${person.errors[0]}`);
  return { fileBytes: file.length, fileSeconds: Number(seconds.toFixed(2)), progressSteps: steps, figures, screenshots };
});

async function canWrite(person) {
  await until(`${person.name}'s data channel is open`, PATIENCE_MS, () =>
    person.page.$eval("#chat-send", (button) => !button.disabled),
  );
}

async function openChat(person) {
  await person.page.click("#toggle-chat");
  check(await person.page.isVisible("#chat"), `${person.name}'s chat did not open`);
}

async function write(person, text, to = null) {
  if (to !== null) await person.page.selectOption("#chat-to", { label: to });
  await person.page.fill("#chat-text", text);
  await person.page.press("#chat-text", "Enter");
  if (to !== null) await person.page.selectOption("#chat-to", "");
}

function unread(person) {
  return person.page.textContent("#chat-unread");
}

async function reads(person, from, text) {
  let found;
  await until(`${person.name} reads what ${from} wrote`, PATIENCE_MS, async () => {
    found = await person.page.$$eval("#chat-log .message:not(.own)", (messages) =>
      messages.map((message) => [
        message.querySelector("b").textContent,
        message.querySelector(".message-text").textContent,
      ]),
    );
    return found.length > 0;
  });
  const [name, read] = found.at(-1);
  check(name === from && read === text, `${person.name} reads “${read}” of ${name} instead of “${text}” of ${from}`);
}

/** Counts the values that the progress bar takes from now on. */
async function watchProgress(person) {
  await person.page.evaluate(() => {
    window.__values = new Set();
    const look = () => {
      const bar = document.querySelector(".transfer progress");
      if (bar) window.__values.add(bar.value);
      requestAnimationFrame(look);
    };
    look();
  });
  return () => person.page.evaluate(() => window.__values.size);
}

async function transferEnds(person, sha256) {
  const state = await until(`${person.name}'s transfer ends`, 60_000, async () => {
    const entry = await person.page.$eval(".transfer", (transfer) => ({
      state: transfer.dataset.state,
      text: transfer.textContent,
      sha256: transfer.querySelector("code")?.textContent,
    }));
    return ["done", "failed", "declined"].includes(entry.state) && entry;
  });
  check(state.state === "done", `${person.name}'s transfer: ${state.text}`);
  check(state.sha256 === sha256, `${person.name} shows the checksum ${state.sha256} instead of ${sha256}`);
}

async function save(person) {
  const [download] = await Promise.all([
    person.page.waitForEvent("download", { timeout: PATIENCE_MS }),
    person.page.click(".transfer .save"),
  ]);
  return { name: download.suggestedFilename(), content: readFileSync(await download.path()) };
}

/** Drops a file onto the call as a mouse would. */
async function drop(person, name, text) {
  await person.page.evaluate(
    ([fileName, content]) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([content], fileName));
      const stage = document.querySelector("#stage");
      for (const type of ["dragover", "drop"]) {
        stage.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
      }
    },
    [name, text],
  );
}

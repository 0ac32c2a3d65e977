// Chromium calls the echo example as a stranger would: by its page, and by POST /offer.
//
//   node echo.mjs --url http://127.0.0.1:8090 --out DIR

import path from "node:path";
import { fileURLToPath } from "node:url";

import { check, parseArguments, run, until } from "./lib.mjs";

const CALLER = path.join(path.dirname(fileURLToPath(import.meta.url)), "caller.js");
const options = parseArguments();

await run("echo", options, async ({ browser }) => {
  const preflight = await fetch(`${options.url}/offer`, { method: "OPTIONS" });
  check(preflight.headers.get("access-control-allow-origin") === "*", "pages elsewhere may not ask");
  const unknown = { type: "offer", sdp: "v=0\r\n", id: "0".repeat(32) };
  const headers = { "content-type": "application/json" };
  const refused = await fetch(`${options.url}/offer`, { method: "POST", headers, body: JSON.stringify(unknown) });
  check(refused.status === 404, `an unknown id was answered with ${refused.status}`);
  const byPage = await builtInPage(browser);
  const byPost = await stranger(browser);
  return { byPage, byPost };
});

/** The example's own page: call, take the camera away and give it back, restart ICE. */
async function builtInPage(browser) {
  const page = await (await browser.newContext()).newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(options.url);
  const look = () =>
    page.evaluate(() => ({
      state: document.querySelector("#state").textContent,
      rtt: document.querySelector("#rtt").textContent,
      time: document.querySelector("#echo").currentTime,
    }));
  const plays = async (what) => {
    const { time } = await look();
    await until(`${what}: the echo plays`, 20_000, async () => (await look()).time > time + 0.3);
  };
  await page.click("#start");
  await until("the page is connected and pings", 20_000, async () => {
    const { state, rtt } = await look();
    return state === "connected" && rtt.endsWith("ms");
  });
  await plays("after the call");
  const direction = () =>
    page.evaluate(() => connection.getTransceivers().find(({ receiver }) => receiver.track.kind === "video").currentDirection);
  for (const wanted of ["inactive", "sendrecv"]) {
    await page.click("#renegotiate");
    await until(`the section is ${wanted}`, 20_000, async () => (await direction()) === wanted);
  }
  await plays("after a renegotiation");
  const fragment = () => page.evaluate(() => /a=ice-ufrag:(\S+)/.exec(connection.remoteDescription.sdp)[1]);
  const before = await fragment();
  await page.click("#restart");
  await until("the answer has new credentials", 20_000, async () => (await fragment()) !== before);
  await plays("after a restart");
  const { state, rtt } = await look();
  check(state === "connected" && errors.length === 0, `the page is ${state}: ${errors}`);
  return rtt;
}

/** Sound, picture and messages; a second picture over the channel `signalling`; ICE restarted by a second POST. */
async function stranger(browser) {
  const page = await (await browser.newContext()).newPage();
  await page.goto(options.url);
  await page.addScriptTag({ path: CALLER });
  return page.evaluate(async () => {
    const connection = new RTCPeerConnection();
    const [tone, picture, second] = [new Tone(440), new Picture(COLOURS[0]), new Picture(COLOURS[2])];
    const received = [];
    connection.ontrack = ({ track }) => received.push(track);
    connection.addTrack(tone.track, new MediaStream());
    connection.addTrack(picture.track, new MediaStream());
    const chat = connection.createDataChannel("chat");
    const signalling = connection.createDataChannel("signalling");
    let id;
    const post = async () => {
      await until("gathering is complete", () => connection.iceGatheringState === "complete");
      const { type, sdp } = connection.localDescription;
      const headers = { "content-type": "application/json" };
      const response = await fetch("/offer", { method: "POST", headers, body: JSON.stringify({ type, sdp, id }) });
      check(response.status === 200, `POST /offer answered ${response.status}: ${await response.clone().text()}`);
      const answer = await response.json();
      check(!id || answer.id === id, "the id has changed");
      id = answer.id;
      await connection.setRemoteDescription({ type: answer.type, sdp: answer.sdp });
    };
    await connection.setLocalDescription();
    await post();
    check(/^[0-9a-f]{32}$/.test(id), `the id is ${id}`);
    await until("connected", () => connection.connectionState === "connected");
    const [sound, image] = received;
    await new Listener(sound).hears(440);
    const viewer = new Viewer(image);
    await viewer.shows(picture.colour);

    const echoed = async (message) => {
      chat.binaryType = "arraybuffer";
      const back = new Promise((resolve) => (chat.onmessage = ({ data }) => resolve(data)));
      chat.send(message);
      return back;
    };
    await until("the channels are open", () => chat.readyState === "open" && signalling.readyState === "open");
    check((await echoed("grüße")) === "grüße", "the text did not come back");
    const bytes = new Uint8Array(await echoed(Uint8Array.of(1, 2, 3)));
    check(bytes.join() === "1,2,3", `the bytes came back as ${bytes}`);

    signalling.onmessage = async ({ data }) => {
      const description = JSON.parse(data);
      if (description.type === "offer" && connection.signalingState !== "stable") return;
      await connection.setRemoteDescription(description);
      if (description.type !== "offer") return;
      await connection.setLocalDescription();
      signalling.send(JSON.stringify(connection.localDescription));
    };
    connection.addTrack(second.track, new MediaStream());
    await connection.setLocalDescription();
    signalling.send(JSON.stringify(connection.localDescription));
    await until("a second picture is announced", () => received.length === 3);
    await new Viewer(received[2]).shows(second.colour);

    await until("nothing is being negotiated", () => connection.signalingState === "stable");
    const own = fragments(connection.localDescription.sdp);
    await connection.setLocalDescription(await connection.createOffer({ iceRestart: true }));
    await post();
    await until("a pair with new credentials carries the media", async () => {
      const report = await connection.getStats();
      const transport = [...report.values()].find(({ type }) => type === "transport");
      const pair = report.get(transport.selectedCandidatePairId);
      const fragment = report.get(pair?.localCandidateId)?.usernameFragment;
      return fragment && !own.includes(fragment);
    });
    await viewer.shows(picture.colour);
    check((await echoed("still there")) === "still there", "no message came back after the restart");
    check(connection.connectionState === "connected", `the connection is ${connection.connectionState}`);
    return { frames: viewer.frames };
  });
}

// The user's own camera and microphone: getting them, choosing others, switching them on and off, and explaining in
// words why one is not to be had. Nothing here knows about connections: call.js listens to `change` and sends what is
// current.

const STORE = "actix-rtc.devices";

/** What the camera is asked for; `?width=&height=&fps=` override it. */
function wantedVideo() {
  const query = new URLSearchParams(location.search);
  const number = (name, otherwise) => {
    const value = Number(query.get(name));
    return Number.isFinite(value) && value > 0 ? value : otherwise;
  };
  return {
    width: { ideal: number("width", 640) },
    height: { ideal: number("height", 480) },
    frameRate: { ideal: number("fps", 30) },
  };
}

const WANTED_AUDIO = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/**
 * Events: `change` (a track came, went or was switched), `devices` (the list of devices changed).
 *
 * `audioTrack`/`videoTrack` are null when there is nothing to send. A muted microphone keeps its track, disabled, so
 * that un-muting is instant; a switched-off camera is really stopped, so that its light goes out.
 */
export class LocalMedia extends EventTarget {
  audioTrack = null;
  videoTrack = null;
  /** What the user wants; true even while the device is missing. */
  audioWanted = true;
  videoWanted = true;
  /** `{ title, text }` for people, or null: why something is missing. */
  problem = null;
  /** The browser is being asked, and perhaps the user by the browser. */
  asking = false;
  chosen = { audioinput: "", videoinput: "", audiooutput: "" };

  constructor() {
    super();
    try {
      Object.assign(this.chosen, JSON.parse(localStorage.getItem(STORE) ?? "{}"));
    } catch {
      // Storage may be forbidden: then choices last as long as the page.
    }
    navigator.mediaDevices?.addEventListener("devicechange", () => this.dispatchEvent(new Event("devices")));
  }

  /** Is the microphone heard, is the camera seen? */
  get audioOn() {
    return this.audioTrack?.enabled ?? false;
  }

  get videoOn() {
    return this.videoTrack !== null;
  }

  /** Asks for what is wanted and missing. Never throws: what failed is told by `problem`. */
  async acquire() {
    if (this.asking) return;
    this.asking = true;
    this.#changed();
    this.problem = await this.#acquireMissing();
    this.asking = false;
    this.#changed();
    this.dispatchEvent(new Event("devices"));
  }

  /** Answers the problem, or null. */
  async #acquireMissing() {
    const audio = this.audioWanted && !this.audioTrack;
    const video = this.videoWanted && !this.videoTrack;
    if (!navigator.mediaDevices?.getUserMedia) return explainMissingApi();
    if (!audio && !video) return null;
    const error = await this.#get({ audio, video });
    if (!error) return null;
    if (!audio || !video) return explain(audio ? error : null, video ? error : null);
    // Together first, so that the browser asks once. That failed: each alone, one of them may be there.
    if (error.name === "NotAllowedError") return explain(error, error);
    return explain(await this.#get({ audio }), await this.#get({ video }));
  }

  async setAudioOn(on) {
    this.audioWanted = on;
    if (this.audioTrack) this.audioTrack.enabled = on;
    if (on && !this.audioTrack) await this.acquire();
    else this.#changed();
  }

  async setVideoOn(on) {
    this.videoWanted = on;
    if (on) await this.acquire();
    else {
      this.#stop("videoTrack");
      this.#changed();
    }
  }

  /** Changes the device of one kind; a device in use is replaced while the old one still runs. */
  async choose(kind, deviceId) {
    this.chosen[kind] = deviceId;
    try {
      localStorage.setItem(STORE, JSON.stringify(this.chosen));
    } catch {
      // See the constructor.
    }
    this.problem = null;
    const audio = kind === "audioinput" && this.audioWanted;
    const video = kind === "videoinput" && this.videoWanted;
    if (audio || video) {
      // Many cameras can be opened once only, and phones open one at a time: let go of the old one first.
      if (video) this.#stop("videoTrack");
      const error = await this.#get({ audio, video });
      if (error) this.problem = explain(audio ? error : null, video ? error : null);
    }
    this.#changed();
  }

  /** `[{ kind, deviceId, label }]`. Labels are empty until the user has allowed a device once. */
  async list() {
    const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
    return devices.filter((device) => device.deviceId !== "");
  }

  /** Lets go of everything. */
  release() {
    this.#stop("audioTrack");
    this.#stop("videoTrack");
    this.#changed();
  }

  /** Fills the missing tracks; answers the error instead of throwing it. */
  async #get({ audio = false, video = false }) {
    const ideal = (deviceId) => (deviceId ? { deviceId: { ideal: deviceId } } : {});
    try {
      const stream = await navigator.mediaDevices.getUserMedia({
        audio: audio && { ...WANTED_AUDIO, ...ideal(this.chosen.audioinput) },
        video: video && { ...wantedVideo(), ...ideal(this.chosen.videoinput) },
      });
      for (const track of stream.getTracks()) this.#take(track);
      return null;
    } catch (error) {
      return error;
    }
  }

  #take(track) {
    const slot = track.kind === "audio" ? "audioTrack" : "videoTrack";
    this.#stop(slot);
    this[slot] = track;
    // The user may have changed the switch while the browser was asking.
    if (slot === "audioTrack") track.enabled = this.audioWanted;
    else if (!this.videoWanted) this.#stop(slot);
    // Not fired by stop(): this means the device was pulled out or its permission withdrawn.
    track.addEventListener("ended", () => {
      if (this[slot] !== track) return;
      this[slot] = null;
      this.problem = {
        title: track.kind === "audio" ? "The microphone is gone" : "The camera is gone",
        text: "It was unplugged, or its permission was withdrawn. Choose another device to go on.",
      };
      this.#changed();
    });
  }

  #stop(slot) {
    const track = this[slot];
    this[slot] = null;
    track?.stop();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** Browsers hide `mediaDevices` from pages that did not come over a safe way. */
function explainMissingApi() {
  if (!window.isSecureContext) {
    const local = new URL(location.origin);
    local.hostname = "localhost";
    return {
      title: "No camera or microphone on this address",
      text:
        `Browsers give them only to pages from localhost or over HTTPS, and this one came over ${location.origin}. ` +
        `Start the server with a certificate and key, or open it on its own machine as ${local.origin}. ` +
        "Without them you can still watch and listen.",
    };
  }
  return {
    title: "This browser gives no camera or microphone",
    text: "Without them you can still watch and listen.",
  };
}

function explain(audioError, videoError) {
  const error = audioError ?? videoError;
  if (!error) return null;
  const what = audioError && videoError ? "camera and microphone" : audioError ? "microphone" : "camera";
  const rest =
    audioError && videoError
      ? "Without them you can still watch and listen."
      : audioError
        ? "The others will see you but not hear you."
        : "The others will hear you but not see you.";
  const were = audioError && videoError ? "were" : "was";
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return {
        title: `The ${what} ${were} not allowed`,
        text: `Allow it in the browser's address bar or the system's privacy settings, then try again. ${rest}`,
      };
    case "NotFoundError":
    case "OverconstrainedError":
      return { title: `No ${what} found`, text: `Connect one and try again. ${rest}` };
    case "NotReadableError":
    case "AbortError":
      return {
        title: `The ${what} could not be started`,
        text: `Another program may be using it. Close that one and try again. ${rest}`,
      };
    default:
      return { title: `The ${what} could not be used`, text: `${error.message || error.name}. ${rest}` };
  }
}

/** Measures how loud a track is, for the meter in the lobby. Stop it with the function it returns. */
export function watchLevel(track, onLevel) {
  if (!track || !window.AudioContext) return () => {};
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 512;
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    // -60 dB … 0 dB to 0 … 1, which is how loudness is felt.
    onLevel(track.enabled ? Math.min(1, Math.max(0, (10 * Math.log10(power + 1e-9) + 60) / 50)) : 0);
  }, 80);
  return () => {
    clearInterval(timer);
    context.close();
    onLevel(0);
  };
}

const LABELS = { videoinput: "Camera", audioinput: "Microphone", audiooutput: "Speaker" };
/** Not every browser can send sound to a chosen speaker. */
const CAN_CHOOSE_SPEAKER = "setSinkId" in HTMLMediaElement.prototype;

/** Fills `container` with one drop-down per kind of device and keeps it current; answers a function that refreshes it. */
export function showDeviceChoice(container, media, make) {
  const refresh = async () => {
    const devices = await media.list();
    const fields = [];
    for (const [kind, label] of Object.entries(LABELS)) {
      if (kind === "audiooutput" && !CAN_CHOOSE_SPEAKER) continue;
      const options = devices.filter((device) => device.kind === kind);
      if (options.length === 0) continue;
      const current = currentDevice(media, kind);
      const select = make("select", { "data-kind": kind });
      options.forEach((device, index) => {
        const text = device.label || `${label} ${index + 1}`;
        select.append(
          make("option", { value: device.deviceId, selected: device.deviceId === current }, text),
        );
      });
      select.addEventListener("change", () => media.choose(kind, select.value));
      fields.push(make("label", {}, label, select));
    }
    container.replaceChildren(...fields);
  };
  media.addEventListener("devices", refresh);
  refresh();
  return refresh;
}

function currentDevice(media, kind) {
  const track = { audioinput: media.audioTrack, videoinput: media.videoTrack }[kind];
  return track?.getSettings().deviceId ?? media.chosen[kind];
}

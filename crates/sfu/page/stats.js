// From getStats() to what people and tests want to know. One `StatsReader` belongs to one connection, because rates are
// differences between two of its reports.

/** Rates are taken over at least this span; shorter ones jump about. */
const RATE_SPAN_MS = 900;

const COUNTERS = [
  "bytesReceived",
  "packetsReceived",
  "packetsLost",
  "framesDecoded",
  "freezeCount",
  "totalAudioEnergy",
];

export class StatsReader {
  #connection;
  #earlier = new Map(); // report id → { time, bytes, packets, lost, rate }
  #baselines = new Map(); // mid → { use, id, counters }

  constructor(connection) {
    this.#connection = connection;
  }

  /**
   * `{ received: Map(mid → figures), sent: Map(mid → figures), roundTripMs }`; figures hold the raw counters of the
   * browser together with `bitsPerSecond`, `lossRatio` and `codec`. Received are the given `sections` (`{ mid, use }`);
   * the browser counts on when a section is used again for somebody else, these figures begin anew.
   */
  async read(sections) {
    const uses = new Map([...sections].map(({ mid, use }) => [mid, use]));
    const report = await this.#connection.getStats();
    const entries = new Map();
    report.forEach((entry) => entries.set(entry.id, entry));
    const result = { received: new Map(), sent: new Map(), roundTripMs: roundTripMs(entries) };
    for (const entry of entries.values()) {
      if (entry.type === "inbound-rtp" && uses.has(entry.mid)) {
        result.received.set(entry.mid, this.#inbound(entry, entries, uses.get(entry.mid)));
      } else if (entry.type === "outbound-rtp" && entry.mid != null && entry.active !== false) {
        // Of several simulcast layers the largest stands for the track.
        const other = result.sent.get(entry.mid);
        if (!other || (entry.frameWidth ?? 0) >= (other.frameWidth ?? 0)) {
          result.sent.set(entry.mid, this.#outbound(entry, entries));
        }
      }
    }
    return result;
  }

  #inbound(entry, entries, use) {
    const lost = Math.max(0, entry.packetsLost ?? 0);
    const rate = this.#rate(entry, entry.bytesReceived ?? 0, entry.packetsReceived ?? 0, lost);
    return { ...this.#sinceUse(entry, use), ...rate, codec: codecName(entries.get(entry.codecId)) };
  }

  /** The entry with its counters as if they had begun with this use of its section. */
  #sinceUse(entry, use) {
    let baseline = this.#baselines.get(entry.mid);
    if (baseline?.use !== use) {
      baseline = { use, id: use > 0 ? entry.id : null, counters: entry };
      this.#baselines.set(entry.mid, baseline);
    }
    // Another SSRC brings another entry, which begins at zero by itself.
    if (baseline.id !== entry.id) return entry;
    const counted = COUNTERS.filter((name) => entry[name] !== undefined);
    return {
      ...entry,
      ...Object.fromEntries(counted.map((name) => [name, entry[name] - (baseline.counters[name] ?? 0)])),
    };
  }

  #outbound(entry, entries) {
    const remote = entries.get(entry.remoteId);
    const source = entries.get(entry.mediaSourceId);
    const rate = this.#rate(entry, entry.bytesSent ?? 0, entry.packetsSent ?? 0, 0);
    return {
      ...entry,
      ...rate,
      lossRatio: remote?.fractionLost ?? null,
      audioLevel: source?.audioLevel ?? 0,
      codec: codecName(entries.get(entry.codecId)),
    };
  }

  #rate(entry, bytes, packets, lost) {
    const earlier = this.#earlier.get(entry.id);
    const time = entry.timestamp;
    if (earlier && time - earlier.time < RATE_SPAN_MS) return earlier.rate;
    let rate = { bitsPerSecond: null, lossRatio: null };
    if (earlier && bytes >= earlier.bytes) {
      const newlyLost = Math.max(0, lost - earlier.lost);
      const expected = packets - earlier.packets + newlyLost;
      rate = {
        bitsPerSecond: ((bytes - earlier.bytes) * 8000) / (time - earlier.time),
        lossRatio: expected > 0 ? newlyLost / expected : 0,
      };
    }
    this.#earlier.set(entry.id, { time, bytes, packets, lost, rate });
    return rate;
  }
}

function roundTripMs(entries) {
  for (const entry of entries.values()) {
    if (entry.type !== "transport" || !entry.selectedCandidatePairId) continue;
    const seconds = entries.get(entry.selectedCandidatePairId)?.currentRoundTripTime;
    if (seconds != null) return seconds * 1000;
  }
  // Browsers without `transport` entries mark the pair itself.
  for (const entry of entries.values()) {
    if (entry.type === "candidate-pair" && entry.nominated && entry.currentRoundTripTime != null) {
      return entry.currentRoundTripTime * 1000;
    }
  }
  return null;
}

function codecName(codec) {
  return codec?.mimeType?.split("/")[1] ?? null;
}

export function formatBitrate(bitsPerSecond) {
  if (bitsPerSecond == null) return "–";
  if (bitsPerSecond >= 999_500) return `${(bitsPerSecond / 1e6).toFixed(1)} Mbit/s`;
  return `${Math.round(bitsPerSecond / 1000)} kbit/s`;
}

function formatPercent(ratio) {
  if (ratio == null) return "–";
  const percent = ratio * 100;
  return percent === 0 ? "0 %" : `${percent.toFixed(percent < 10 ? 1 : 0)} %`;
}

const formatMs = (ms) => (ms == null ? "–" : ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`);

/** The rows of a tile's statistics: `[[name, value], …]`. */
export function describe({ audio, video, roundTripMs: rtt, own }) {
  const rows = [];
  if (video) {
    const size = video.frameWidth ? `${video.frameWidth}×${video.frameHeight}` : "–";
    const frames = video.framesPerSecond == null ? "–" : `${Math.round(video.framesPerSecond)} fps`;
    rows.push(["Video", `${size} · ${frames}`]);
    rows.push(["", `${video.codec ?? "–"} · ${formatBitrate(video.bitsPerSecond)}`]);
    rows.push(["Video loss", formatPercent(video.lossRatio)]);
    if (!own) rows.push(["Freezes", String(video.freezeCount ?? 0)]);
  }
  if (audio) {
    rows.push(["Audio", `${audio.codec ?? "–"} · ${formatBitrate(audio.bitsPerSecond)}`]);
    rows.push(["Audio loss", formatPercent(audio.lossRatio)]);
    if (!own && audio.jitter != null) rows.push(["Jitter", formatMs(audio.jitter * 1000)]);
  }
  if (rows.length === 0) rows.push(["Media", "none"]);
  rows.push(["Round trip", formatMs(rtt)]);
  return rows;
}

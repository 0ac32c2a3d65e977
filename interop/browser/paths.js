// Ways between Chromium and our peer: TCP only, relay only, names instead of addresses. Runs inside a page, after
// channels.js, in a browser that has not been given a camera and so hides its addresses.
//
// `turn` holds the addresses of the TURN server: {udp, tls}.

"use strict";

/** What the selected pair is made of, and that a message comes back over it. */
async function way(caller) {
  const channel = await new Channel(caller.connection.createDataChannel("way")).opens();
  await channel.echoes(noise(1000));
  await channel.echoes(noise(100_000));
  const frames = await caller.inbound("framesDecoded");
  await until("more frames", async () => (await caller.inbound("framesDecoded")) > frames + 20);
  caller.healthy();
  const { local, remote } = await caller.selectedPair();
  const seen = ({ candidateType, protocol, tcpType, relayProtocol }) =>
    [candidateType, protocol, tcpType, relayProtocol && `by ${relayProtocol}`].filter(Boolean).join(" ");
  return { local, remote, sentence: `${seen(local)} to ${seen(remote)}` };
}

async function overTcp(offerer) {
  const passes = (line) => / tcp /i.test(line);
  const caller = await call(offerer, { passesIn: passes, passesOut: passes });
  const { local, remote, sentence } = await way(caller);
  check(local.protocol === "tcp" && remote.protocol === "tcp", `not over TCP: ${sentence}`);
  check(remote.candidateType === "host", `not our passive candidate: ${sentence}`);
  check(
    caller.lines.peer.some((line) => / tcptype passive/.test(line)),
    "we offered no passive candidate",
  );
  return sentence;
}

/** With our relay alone Chromium must tell its addresses: who uses relays only looks up no names, and a relay lets in
 * only those whose addresses it was told. The relay is on the side of "chromium", "peer" or "both". */
async function relayed(offerer, side, transport) {
  const urls = transport === "tls" ? `turns:${turn.tls}?transport=tcp` : `turn:${turn.udp}?transport=${transport}`;
  const configuration = {
    iceServers: [{ urls, username: "user", credential: "secret" }],
    iceTransportPolicy: "relay",
  };
  const caller = await call(offerer, {
    configuration: side === "peer" ? {} : configuration,
    peer: side === "chromium" ? {} : { configuration },
  });
  const { local, remote, sentence } = await way(caller);
  if (side !== "peer") {
    check(local.candidateType === "relay", `Chromium's side is not relayed: ${sentence}`);
    check(local.relayProtocol === transport, `not by ${transport}: ${sentence}`);
    check(caller.lines.own.every((line) => / typ relay /.test(line)), "Chromium told other candidates");
  }
  if (side !== "chromium") {
    check(remote.candidateType === "relay", `our side is not relayed: ${sentence}`);
    check(caller.lines.peer.every((line) => / typ relay /.test(line)), "we told other candidates");
  }
  return sentence;
}

/** Chromium is told no candidate: only we can send the first check, to a name that we have looked up. */
async function itsNames(offerer) {
  const caller = await call(offerer, { passesIn: () => false });
  const { local, remote, sentence } = await way(caller);
  const hosts = caller.lines.own.filter((line) => / typ host/.test(line));
  check(hosts.length > 0 && hosts.every((line) => /\.local /.test(line)), `names are missing: ${hosts.join("; ")}`);
  check(local.candidateType === "host", `not the candidate with the name: ${sentence}`);
  check(remote.candidateType === "prflx", `Chromium was told our candidate: ${sentence}`);
  return `${hosts.length} names, ${sentence}`;
}

/** We are told no candidate: only Chromium can send the first check, to a name that it has looked up. */
async function ourNames(offerer) {
  const caller = await call(offerer, { peer: { hide_host_addresses: true }, passesOut: () => false });
  const { remote, sentence } = await way(caller);
  const { peer } = caller.lines;
  check(peer.length > 0 && peer.every((line) => /\.local /.test(line)), `names are missing: ${peer.join("; ")}`);
  check(remote.candidateType === "host", `not our candidate with the name: ${sentence}`);
  return `${peer.length} candidates with names, ${sentence}`;
}

const pathScenarios = {
  "Chromium offers: over TCP only": () => overTcp("chromium"),
  "Chromium answers: over TCP only": () => overTcp("peer"),
  "Chromium offers: its relay only, over UDP": () => relayed("chromium", "chromium", "udp"),
  "Chromium answers: its relay only, over UDP": () => relayed("peer", "chromium", "udp"),
  "Chromium offers: its relay only, over TCP": () => relayed("chromium", "chromium", "tcp"),
  "Chromium offers: its relay only, over TLS": () => relayed("chromium", "chromium", "tls"),
  "Chromium offers: our relay only, over UDP": () => relayed("chromium", "peer", "udp"),
  "Chromium answers: our relay only, over TLS": () => relayed("peer", "peer", "tls"),
  "Chromium offers: both relays only, over UDP": () => relayed("chromium", "both", "udp"),
  "Chromium offers: its names instead of addresses": () => itsNames("chromium"),
  "Chromium answers: its names instead of addresses": () => itsNames("peer"),
  "Chromium offers: our names instead of addresses": () => ourNames("chromium"),
  "Chromium answers: our names instead of addresses": () => ourNames("peer"),
};

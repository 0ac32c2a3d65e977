"""Calls between aiortc and interop/peer, one connection per case.

    python calls.py --url http://127.0.0.1:8080 [--cases '["aiortc offers: audio and video"]']

Prints one line of JSON per case as it ends, {"case", "ok", "detail", "seconds"}; the last line is the script's own
result. `--known` is the list of cases that the caller has: one that only one of the two has fails the script.
"""

import argparse
import asyncio
import hashlib
import json
import os
import time
import traceback

import aioice.ice
from aiortc import RTCRtpSender

import peer  # noqa: F401 -- also makes aioice use the loopback address
from caller import COLOURS, Caller, Channel, Picture, Tone, check, fragments, sections, until

ROUNDS = 10
CASE_SECONDS = 80
CASES = {}


def case(name, *arguments):
    def register(body):
        CASES[name] = lambda url: body(url, *arguments)
        return body

    return register


def both(name, *arguments):
    """The same case with either side as offerer."""

    def register(body):
        case(f"aiortc offers: {name}", "aiortc", *arguments)(body)
        case(f"aiortc answers: {name}", "peer", *arguments)(body)
        return body

    return register


async def call(url, offerer, prefer=None, mangle_incoming=None, mangle_outgoing=None, **options):
    """Opens a call with sound and picture on both sides and waits until both came back."""
    caller = await Caller.open(url, **options)
    caller.mangle_incoming = mangle_incoming or caller.mangle_incoming
    caller.mangle_outgoing = mangle_outgoing or caller.mangle_outgoing
    caller.tone, caller.picture = Tone(), Picture()
    if offerer == "aiortc":
        caller.connection.addTrack(caller.tone)
        caller.connection.addTrack(caller.picture)
        if prefer:
            prefer(caller.connection.getTransceivers()[1])
        await caller.offer()
    else:
        caller.before_answer = lambda: attach(caller)
        await caller.do("add", kind="audio")
        await caller.do("add", kind="video")
    await caller.connected()
    await caller.stable()
    caller.heard, caller.seen = await caller.track("0"), await caller.track("1")
    await caller.heard.hears(440)
    await caller.seen.shows(caller.picture.colour)
    return caller


def attach(caller):
    """Sends our own media on the first section of each kind that the peer offers to take."""
    for mid, track in (("0", caller.tone), ("1", caller.picture)):
        for transceiver in caller.connection.getTransceivers():
            if transceiver.mid == mid and transceiver.sender.track is None:
                transceiver.sender.replaceTrack(track)
                transceiver.direction = "sendrecv"


async def while_media_runs(caller, what, change):
    """Sound and picture of the call go on meanwhile, and after it."""
    before = caller.heard.frames, caller.seen.frames
    result = await change()

    def goes_on():
        return caller.heard.frames > before[0] and caller.seen.frames > before[1]

    await until(lambda: f"sound and picture go on {what}", goes_on)
    caller.healthy()
    return result


def codecs_of(connection, mid):
    found = next(t for t in connection.getTransceivers() if t.mid == mid)
    return [codec.name for codec in found._codecs if codec.name != "rtx"]


@both("audio and video")
async def audio_and_video(url, offerer):
    caller = await call(url, offerer)
    await until("60 frames", lambda: caller.seen.frames >= 60)
    check(caller.candidates > 0, "our peer sent no candidates after its description")
    caller.healthy()
    return f"{caller.seen.frames} frames and a tone came back"


@both("without trickle")
async def without_trickle(url, offerer):
    caller = await call(url, offerer, trickle=False)
    check(caller.candidates == 0, "candidates trickled all the same")
    check(all("a=candidate:" in sdp for _, _, sdp in caller.descriptions), "a description carries no candidate")
    caller.healthy()
    return f"{len(caller.descriptions)} descriptions with candidates in them"


@both("ten times it adds and removes a picture")
async def renegotiation_by_aiortc(url, offerer):
    caller = await call(url, offerer)
    mid = None
    for number in range(ROUNDS):
        picture = Picture(COLOURS[1 + number % (len(COLOURS) - 1)])

        async def negotiate(direction):
            """By the same side as at first: see `glare`."""
            nonlocal mid
            if offerer == "aiortc":
                if mid is None:
                    caller.connection.addTransceiver(picture)
                transceiver = caller.connection.getTransceivers()[2]
                take(transceiver, direction)
                await caller.offer()
                await until("the section has a mid", lambda: transceiver.mid)
                mid = transceiver.mid
            else:
                caller.before_answer = lambda: [take(t, direction) for t in caller.connection.getTransceivers()[2:]]
                if mid is None:
                    known = set(caller.received)
                    await caller.do("add", kind="video")
                    mid = await until("the section is there", lambda: next(iter(set(caller.received) - known), None))
                else:
                    await caller.do("direct", mid=mid, direction="sendrecv" if direction == "sendrecv" else "inactive")
            await until(
                lambda: f"section {mid} is {direction}; {caller.summary()}",
                lambda: (caller.transceiver(mid).currentDirection == "sendrecv") == (direction == "sendrecv"),
            )
            await caller.stable()

        def take(transceiver, direction):
            transceiver.sender.replaceTrack(picture if direction == "sendrecv" else None)
            transceiver.direction = direction

        async def add():
            await negotiate("sendrecv")
            await (await caller.track(mid)).shows(picture.colour, 4)

        async def remove():
            await negotiate("recvonly")
            theirs = [t for t in (await caller.state())["transceivers"] if t["mid"] == mid]
            check(theirs[0]["currentDirection"] == "inactive", f"our peer's section is {theirs}")

        await while_media_runs(caller, f"in round {number}", add)
        await while_media_runs(caller, f"when the picture of round {number} has gone", remove)
        picture.stop()
    return rounds(caller)


@both("ten times we add and remove a picture")
async def renegotiation_by_peer(url, offerer):
    caller = await call(url, offerer)
    mid = None
    for number in range(ROUNDS):

        async def add():
            nonlocal mid
            if mid is None:
                known = set(caller.received)
                await caller.do("add", kind="video", direction="sendonly", copy_of="1")
                mid = await until("the copy is announced", lambda: next(iter(set(caller.received) - known), None))
            else:
                await caller.do("direct", mid=mid, direction="sendonly")
            await caller.received[mid].shows(caller.picture.colour, 4)

        async def remove():
            await caller.do("direct", mid=mid, direction="inactive")
            gone = lambda: caller.transceiver(mid).currentDirection == "inactive"  # noqa: E731
            await until(lambda: f"section {mid} is inactive; {caller.summary()}", gone)
            await caller.stable()

        # aiortc never takes a section back: so it is the same one in every round.
        await while_media_runs(caller, f"in round {number}", add)
        await while_media_runs(caller, f"when the copy of round {number} has gone", remove)
    return rounds(caller)


def rounds(caller):
    offers = sum(kind == "offer" for _, kind, _ in caller.descriptions)
    check(offers >= 2 * ROUNDS, f"only {offers} offers were made")
    check(len(sections(caller.descriptions[-1][2])) == 3, "there are more sections than three")
    caller.healthy()
    return f"{ROUNDS} rounds, {offers} offers"


# aiortc numbers its codecs anew in an offer that follows its answer to somebody else's numbers, while its senders keep
# the old ones: a call in which it answered first does not survive its own offer. So it always was the offerer here.
@case("aiortc offers: offers cross, we give way")
async def glare(url):
    caller = await call(url, "aiortc", polite=True)
    described, known = len(caller.descriptions), set(caller.received)
    picture = Picture(COLOURS[2])

    async def collide():
        await cross(
            caller,
            lambda: caller.connection.addTransceiver(picture, direction="sendrecv"),
            lambda: caller.do("add", kind="video", direction="sendonly", copy_of="1"),
        )
        await until("both sections are announced", lambda: len(set(caller.received) - known) == 2)
        await caller.stable()
        colours = {mid: caller.received[mid] for mid in set(caller.received) - known}
        own = next(t.mid for t in caller.connection.getTransceivers() if t.sender.track is picture)
        for mid, received in colours.items():
            await received.shows(picture.colour if mid == own else caller.picture.colour, 4)

    await while_media_runs(caller, "after offers crossed", collide)
    return crossed(caller, described)


@case("aiortc and we offer at once: we give way")
async def glare_from_the_start(url):
    caller = await Caller.open(url, polite=True)
    caller.tone, caller.picture = Tone(), Picture()

    def prepare():
        caller.connection.addTrack(caller.tone)
        caller.connection.addTrack(caller.picture)

    await cross(caller, prepare, lambda: caller.do("add", kind="audio", direction="recvonly"))
    await caller.connected()
    tracks = {received.track.kind: received for received in caller.received.values()}
    await tracks["audio"].hears(440)
    await tracks["video"].shows(caller.picture.colour)
    await until("our peer's section is negotiated", lambda: len(caller.connection.getTransceivers()) == 3)
    await caller.stable()
    return crossed(caller, 0)


async def cross(caller, prepare_own, prepare_peer):
    """Both sides make offers, and neither sees the other's before it has sent its own."""
    caller.holding = True
    start = len(caller.states)
    prepare_own()
    await caller.connection.setLocalDescription(await caller.connection.createOffer())
    await prepare_peer()
    offered = lambda: "peer signalingState have-local-offer" in caller.states[start:]  # noqa: E731
    await until(lambda: f"our peer has made its offer; {caller.summary()}", offered)
    caller.describe()
    caller.holding = False


def crossed(caller, start):
    course = [f"{who} {kind}" for who, kind, _ in caller.descriptions[start:]]
    sentence = ", ".join(course)
    check(sorted(course[:2]) == ["own offer", "peer offer"], f"the offers did not cross: {sentence}")
    check(course[2] == "peer answer", f"our peer did not give way: {sentence}")
    check("peer offer" in course[3:] and course[-1] == "own answer", f"its offer was not made again: {sentence}")
    check(("own offerignored", None) in caller.events, f"nobody ignored an offer: {sentence}")
    caller.healthy()
    return sentence


def only_codec(name):
    @both(f"{name} only")
    async def body(url, offerer):
        capabilities = RTCRtpSender.getCapabilities("video").codecs
        wanted = [codec for codec in capabilities if codec.mimeType in (f"video/{name}", "video/rtx")]
        ours = {"video_codecs": [name]} if offerer == "peer" else {}
        caller = await call(url, offerer, prefer=lambda t: t.setCodecPreferences(wanted), **ours)
        used = set(codecs_of(caller.connection, "1"))
        check(used == {name}, f"aiortc sends and receives {used}")
        caller.healthy()
        return f"{caller.seen.frames} frames of {used.pop()}"


only_codec("H264")
only_codec("VP8")


# What W3C webrtc-pc §4.2.5 says of an offer with two sounds and a picture: transports, and sections that are bundle-only.
OFFERED = {"balanced": (2, 1), "max-compat": (3, 0), "max-bundle": (1, 2)}


def bundle_policy(policy):
    @both(f"its bundle policy is {policy}", "aiortc")
    @both(f"our bundle policy is {policy}", "peer")
    async def body(url, offerer, whose):
        """However the offer looks, both bundle: everything flows over one transport."""
        options = {"bundle": policy} if whose == "aiortc" else {"configuration": {"bundlePolicy": policy}}
        caller = await Caller.open(url, negotiate=offerer != "peer", **options)
        media = [Tone(440), Picture(), Tone(880)]

        def attach_all():
            for transceiver, track in zip(caller.connection.getTransceivers(), media):
                transceiver.sender.replaceTrack(track)
                transceiver.direction = "sendrecv"

        if offerer == "aiortc":
            for track in media:
                caller.connection.addTransceiver(track)
            await caller.offer()
        else:
            caller.before_answer = attach_all
            for track in media:
                await caller.do("add", kind=track.kind)
            await caller.do("offer")
        await caller.connected()
        await (await caller.track("0")).hears(440)
        await (await caller.track("1")).shows(media[1].colour)
        await (await caller.track("2")).hears(880)
        transports = {t.receiver.transport for t in caller.connection.getTransceivers()}
        check(len(transports) == 1, f"media flows over {len(transports)} transports")
        offer = next(sdp for _, kind, sdp in caller.descriptions if kind == "offer")
        seen = len(fragments(offer)), offer.count("a=bundle-only")
        # The answerer's policy makes no difference to the offer; how aiortc writes its own is its business.
        expected = OFFERED[policy if whose == "peer" else "balanced"]
        check(offerer == "aiortc" or seen == expected, f"{seen} were offered instead of {expected}")
        caller.healthy()
        return f"{seen[0]} ICE credentials and {seen[1]} bundle-only sections were offered"


for _policy in ("balanced", "max-compat", "max-bundle"):
    bundle_policy(_policy)


@both("unknown codecs")
async def unknown_codecs(url, offerer):
    def unknown(kind, sdp):
        lines = []
        for line in sdp.splitlines():
            if line.startswith(("m=audio", "m=video")):
                words = line.split(" ")
                line = " ".join([*words[:3], "20", *words[3:]])
            lines.append(line)
            if line.startswith("a=mid:") and "m=application" not in "".join(lines[-8:]):
                lines += ["a=rtpmap:20 XYZZY/12345", "a=fmtp:20 a;b=;=c;;d=", "a=rtcp-fb:20 sorcery"]
        return "\r\n".join(lines) + "\r\n"

    caller = await call(url, offerer, mangle_outgoing=unknown)
    check(any("XYZZY" in sdp for who, _, sdp in caller.descriptions if who == "own"), "nothing was changed")
    check(not any("XYZZY" in sdp for who, _, sdp in caller.descriptions if who == "peer"), "our peer took it")
    caller.healthy()
    return f"{caller.seen.frames} frames"


async def data_call(url, opener, **options):
    """A connection for data alone; the opener makes the first channel, and with it the offer."""
    caller = await Caller.open(url, **options)
    if opener == "aiortc":
        caller.first = Channel(caller.connection.createDataChannel("first"))
        await caller.offer()
    else:
        await caller.do("channel", label="first")
    await caller.connected()
    if opener == "peer":
        caller.first = await until("the first channel is announced", lambda: caller.channels.get("first"))
    await caller.first.opens()
    return caller


async def open_channel(caller, opener, label, **init):
    """A channel opened by one side, and announced to the other."""
    if opener == "aiortc":
        return await Channel(caller.connection.createDataChannel(label, **init)).opens()
    await caller.do("channel", label=label, **init)
    found = await until(f"channel {label} is announced", lambda: caller.channels.get(label))
    return await found.opens()


MODES = [
    {},
    {"ordered": False},
    {"maxRetransmits": 0},
    {"ordered": False, "maxRetransmits": 3},
    {"maxPacketLifeTime": 1000},
    {"ordered": False, "maxPacketLifeTime": 500, "protocol": "a protocol"},
]


@both("data channels of every mode")
async def modes(url, opener):
    caller = await data_call(url, opener)
    for side in ("aiortc", "peer"):
        for number, mode in enumerate(MODES):
            channel = await open_channel(caller, side, f"{side} {number}", **mode)
            channels = (await caller.state())["channels"]
            theirs = next(other for other in channels if other["label"] == channel.label)
            for name in ("id", "ordered", "maxRetransmits", "maxPacketLifeTime", "protocol"):
                ours = getattr(channel.channel, name)
                check(ours == theirs[name], f"{channel.label}: {name} is {ours} here and {theirs[name]} there")
                check(ours == mode.get(name, ours), f"{channel.label}: {name} got lost")
            await channel.echoes("hello")
            await channel.echoes(os.urandom(1_000))
    agreed = Channel(caller.connection.createDataChannel("agreed", negotiated=True, id=700))
    await caller.do("channel", label="agreed", negotiated=True, stream=700)
    await agreed.opens()
    await agreed.echoes("no OPEN was needed")
    caller.healthy()
    return f"{2 * len(MODES) + 1} channels"


@both("messages of every size")
async def sizes(url, opener):
    caller = await data_call(url, opener)
    # aiortc announces the length of its own labels in characters instead of bytes (RFC 8832 §5.1).
    channel = await open_channel(caller, opener, "label" if opener == "aiortc" else "grüße 🎺 end")
    every = (0, 1, 2, 1_199, 1_200, 16_384, 65_535, 65_536, 262_144)
    for size in every:
        await channel.echoes(os.urandom(size))
        await channel.echoes("x" * size)
    await channel.echoes("ünï©ødé 🎺")
    caller.healthy()
    return f"{len(every)} sizes up to 256 KiB, as bytes and as text"


@both("a thousand data channels")
async def recycling(url, opener):
    caller = await data_call(url, opener)
    total, width = 1_000, 50
    highest = 0
    for number in range(total // width):
        labels = [f"{number}-{index}" for index in range(width)]
        channels = await asyncio.gather(*(open_channel(caller, opener, label) for label in labels))
        await asyncio.gather(*(channel.echoes(channel.label) for channel in channels))
        highest = max(highest, *(channel.channel.id for channel in channels))
        for channel in channels:
            if number % 2:
                channel.channel.close()
            else:
                await caller.do("close_channel", label=channel.label)
        for channel in channels:
            await channel.closed()
    # Two rounds may overlap, with every second identifier each.
    check(opener == "aiortc" or highest < 6 * width, f"identifiers went up to {highest}")
    caller.healthy()
    return f"{total} channels, identifiers up to {highest}"


@both("16 MiB each way")
async def bulk(url, opener):
    caller = await data_call(url, opener)
    channel = await open_channel(caller, opener, "bulk", protocol="bulk")
    size, chunk = 16 << 20, 65_536
    data = os.urandom(size)
    started = time.monotonic()
    for at in range(0, size, chunk):
        await until("there is room", lambda: channel.channel.bufferedAmount < (1 << 20), 60)
        channel.channel.send(data[at : at + chunk])
    channel.channel.send(json.dumps({"end": True}))
    told = json.loads(await channel.next(60))
    up = size / (time.monotonic() - started) / (1 << 20)
    check(told == {"bytes": size, "sha256": hashlib.sha256(data).hexdigest()}, f"our peer got something else: {told}")
    started = time.monotonic()
    channel.channel.send(json.dumps({"pour": size, "chunk": chunk}))
    received = []
    while isinstance(message := await channel.next(60), bytes):
        received.append(message)
    down = size / (time.monotonic() - started) / (1 << 20)
    data = b"".join(received)
    seen = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    check(json.loads(message) == seen, f"our peer sent {message}, here came {seen}")
    caller.healthy()
    return f"{size >> 20} MiB each way, {up:.1f} MiB/s to us, {down:.1f} MiB/s from us"


@both("data through a bad network")
async def bad_network(url, opener):
    """5 % loss and 50 ms each way: reliable channels lose nothing, in both directions."""
    caller = await data_call(url, opener, relayed=True)
    ordered = await open_channel(caller, opener, "ordered")
    unordered = await open_channel(caller, opener, "unordered", ordered=False)
    await caller.do("impair", loss=0.05, delay=50)
    messages = [number.to_bytes(4, "big") + os.urandom(37 * number % 1_500) for number in range(60)]
    started = time.monotonic()
    for message in messages:
        ordered.channel.send(message)
        unordered.channel.send(message)
    back = [await ordered.next(60) for _ in messages]
    check(back == messages, "the ordered channel has lost something, or its order")
    back = [await unordered.next(60) for _ in messages]
    check(sorted(back) == messages, "the unordered channel has lost something")
    seconds = time.monotonic() - started
    lost = (await caller.state())["lost"]
    check(all(lost), f"the network has lost nothing: {lost}")
    await caller.do("impair", loss=0, delay=0)
    caller.healthy()
    rate = 4 * sum(map(len, messages)) / seconds / 1_000
    return f"{lost[0]} and {lost[1]} datagrams were lost, no message; {rate:.0f} kB/s"


@case("aiortc offers: data beside media", "aiortc")
async def beside_media(url, offerer):
    caller = await call(url, offerer)
    first = Channel(caller.connection.createDataChannel("from aiortc"))

    async def exchange():
        await caller.offer()
        await first.opens()
        await caller.do("channel", label="from our peer")
        second = await until("our peer's channel is announced", lambda: caller.channels.get("from our peer"))
        await second.opens()
        for channel in (first, second):
            await channel.echoes(os.urandom(50_000))

    await while_media_runs(caller, "beside data", exchange)
    return "two channels beside sound and picture"


@both("we restart ICE")
async def ice_restart(url, offerer):
    """aiortc answers with its old credentials: it has no restarts. The call must not suffer."""
    aioice.ice.CONSENT_INTERVAL = 1
    caller = await call(url, offerer)
    before = len(caller.states)

    async def restart():
        await caller.do("restart_ice")
        await until("the restart is negotiated", lambda: caller.descriptions[-1][:2] == ("own", "answer"))
        await caller.stable()
        # Longer than it takes either side to notice that consent has gone.
        await asyncio.sleep(aioice.ice.CONSENT_INTERVAL * aioice.ice.CONSENT_FAILURES * 1.5 + 3)

    await while_media_runs(caller, "after the restart", restart)
    await caller.seen.shows(caller.picture.colour)
    noticed = [state for state in caller.states[before:] if "failed" in state or "closed" in state]
    check(not noticed, f"somebody noticed: {caller.states[before:]}")
    caller.healthy()
    return f"states since: {caller.states[before:]}"


async def run_case(name, url):
    started = time.monotonic()
    try:
        result = {"ok": True, "detail": await asyncio.wait_for(CASES[name](url), CASE_SECONDS)}
    except BaseException as error:
        traceback.print_exc()
        result = {"ok": False, "detail": f"{type(error).__name__}: {error}"}
        for who, kind, sdp in Caller.latest.descriptions if Caller.latest else []:
            peer.log(f"--- {who} {kind}\n{sdp}")
    if Caller.latest:
        await Caller.latest.close()
    return {"case": name, **result, "seconds": round(time.monotonic() - started, 1)}


async def main():
    parser = argparse.ArgumentParser(description="Calls interop/peer as an aiortc peer, case by case.")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the address of the peer")
    parser.add_argument("--out", default=".", help="a folder for what should be kept")
    parser.add_argument("--cases", type=json.loads, default=list(CASES), help="the cases to run, a JSON list")
    parser.add_argument("--known", type=json.loads, default=list(CASES), help="the cases that the caller has")
    arguments = parser.parse_args()
    differing = set(CASES) ^ set(arguments.known)
    if differing:
        reason = f"only one side knows the cases {sorted(differing)}"
        print(json.dumps({"script": "calls", "ok": False, "reason": reason}), flush=True)
        os._exit(1)
    failed = 0
    for name in arguments.cases:
        result = await run_case(name, arguments.url.rstrip("/"))
        failed += not result["ok"]
        print(json.dumps(result), flush=True)
    print(json.dumps({"script": "calls", "ok": True, "cases": len(arguments.cases), "failed": failed}), flush=True)
    # Decoder threads would keep the process alive.
    os._exit(0)


asyncio.run(main())

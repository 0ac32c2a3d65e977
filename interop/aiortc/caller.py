"""aiortc's side of one call with interop/peer: the WebSocket, the negotiation, and media that can be recognised.

aiortc has neither rollback nor ICE restarts, and sends no candidates after its description: so it is always the
impolite side when offers cross, and its descriptions carry all of its candidates.
"""

import array
import asyncio
import base64
import fractions
import json
import math
import os
import time
import urllib.parse

from aiortc import AudioStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.sdp import candidate_from_sdp
from av import AudioFrame, VideoFrame

from peer import Failure, log

PATIENCE_SECONDS = 20
SAMPLE_RATE = 48_000
SAMPLES_PER_FRAME = SAMPLE_RATE // 50
# Luma and the two chromas, far enough apart for any codec.
COLOURS = [(80, 90, 200), (150, 60, 60), (60, 200, 110), (200, 60, 140), (110, 170, 180), (170, 150, 80)]


async def until(what, probe, seconds=PATIENCE_SECONDS):
    """Asks `probe`, which may be asynchronous, until it answers something true; `what` may be a function."""
    end = time.monotonic() + seconds
    while True:
        found = probe()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"not within {seconds} s: {what() if callable(what) else what}")
        await asyncio.sleep(0.03)


def check(condition, sentence):
    if not condition:
        raise Failure(sentence)


class WebSocket:
    """As much of RFC 6455 as a client of this peer needs: whole text messages, in clear."""

    @classmethod
    async def connect(cls, url):
        address = urllib.parse.urlsplit(url)
        self = cls()
        self._reader, self._writer = await asyncio.open_connection(address.hostname, address.port)
        key = base64.b64encode(os.urandom(16)).decode()
        self._writer.write(
            f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        check(b" 101 " in head.split(b"\r\n")[0], f"no WebSocket: {head!r}")
        return self

    def send(self, text):
        payload = text.encode()
        mask = os.urandom(4)
        if len(payload) < 126:
            size = bytes([0x80 | len(payload)])
        elif len(payload) < 1 << 16:
            size = bytes([0x80 | 126]) + len(payload).to_bytes(2, "big")
        else:
            size = bytes([0x80 | 127]) + len(payload).to_bytes(8, "big")
        # All at once: byte by byte takes long for large messages.
        repeated = mask * (len(payload) // 4 + 1)
        masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated[: len(payload)], "big")
        self._writer.write(b"\x81" + size + mask + masked.to_bytes(len(payload), "big"))

    async def receive(self):
        """The next text, or None at the end."""
        text = b""
        while True:
            try:
                first, second = await self._reader.readexactly(2)
                length = second & 0x7F
                if length == 126:
                    length = int.from_bytes(await self._reader.readexactly(2), "big")
                elif length == 127:
                    length = int.from_bytes(await self._reader.readexactly(8), "big")
                payload = await self._reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
            opcode = first & 0x0F
            if opcode == 8:
                return None
            if opcode in (0, 1):
                text += payload
                if first & 0x80:
                    return text.decode()

    def close(self):
        self._writer.close()


class Picture(VideoStreamTrack):
    """One colour, with a bar at its edge that moves."""

    WIDTH, HEIGHT, FRAME_RATE = 160, 120, 15

    def __init__(self, colour=COLOURS[0]):
        super().__init__()
        self.colour = colour
        self._sent = 0
        self._start = None

    async def recv(self):
        self._start = self._start or time.monotonic()
        await asyncio.sleep(max(0.0, self._start + self._sent / self.FRAME_RATE - time.monotonic()))
        frame = VideoFrame(self.WIDTH, self.HEIGHT, "yuv420p")
        frame.pts = self._sent * 90_000 // self.FRAME_RATE
        frame.time_base = fractions.Fraction(1, 90_000)
        for plane, value in zip(frame.planes, self.colour):
            plane.update(bytes([value]) * plane.buffer_size)
        luma = bytearray(frame.planes[0])
        at = (self._sent * 4 % self.HEIGHT) * frame.planes[0].line_size
        luma[at : at + self.WIDTH // 8] = bytes(self.WIDTH // 8)
        frame.planes[0].update(bytes(luma))
        self._sent += 1
        return frame


class Tone(AudioStreamTrack):
    """A sine."""

    def __init__(self, hz=440):
        super().__init__()
        self.hz = hz
        self._sent = 0
        self._start = None
        wave = (8_000 * math.sin(2 * math.pi * hz * n / SAMPLE_RATE) for n in range(SAMPLE_RATE))
        self._second = array.array("h", (int(value) for value in wave))

    async def recv(self):
        self._start = self._start or time.monotonic()
        await asyncio.sleep(max(0.0, self._start + self._sent / SAMPLE_RATE - time.monotonic()))
        frame = AudioFrame(format="s16", layout="mono", samples=SAMPLES_PER_FRAME)
        at = self._sent % SAMPLE_RATE
        frame.planes[0].update(self._second[at : at + SAMPLES_PER_FRAME].tobytes())
        frame.pts = self._sent
        frame.sample_rate = SAMPLE_RATE
        frame.time_base = fractions.Fraction(1, SAMPLE_RATE)
        self._sent += SAMPLES_PER_FRAME
        return frame


class Received:
    """What one track carries, decoded."""

    def __init__(self, track):
        self.track = track
        self.frames = 0
        self.colour = None
        self._samples = array.array("h")
        self._task = asyncio.ensure_future(self._read())

    async def _read(self):
        try:
            while True:
                frame = await self.track.recv()
                self.frames += 1
                if self.track.kind == "video":
                    self.colour = self._middle(frame)
                else:
                    samples = array.array("h")
                    samples.frombytes(bytes(frame.planes[0])[: frame.samples * 2 * len(frame.layout.channels)])
                    # One channel of the last half second.
                    self._samples = (self._samples + samples[:: len(frame.layout.channels)])[-SAMPLE_RATE // 2 :]
        except Exception as error:  # the end of a track is an exception too
            log(f"the {self.track.kind} track ended: {type(error).__name__} {error}")

    @staticmethod
    def _middle(frame):
        picture = frame if frame.format.name in ("yuv420p", "yuvj420p") else frame.reformat(format="yuv420p")
        values = []
        for plane in picture.planes:
            values.append(bytes(plane)[plane.height // 2 * plane.line_size + plane.width // 2])
        return tuple(values)

    def hz(self):
        """By zero crossings: good enough for a sine."""
        samples = self._samples
        if len(samples) < SAMPLE_RATE // 2 or max(samples) < 2_000:
            return 0
        signs = [value >= 0 for value in samples]
        return sum(a != b for a, b in zip(signs, signs[1:])) * SAMPLE_RATE / len(samples) / 2

    async def shows(self, colour, count=8):
        start = self.frames

        def probe():
            close = self.colour and all(abs(a - b) < 25 for a, b in zip(self.colour, colour))
            return self.frames >= start + count and close

        await until(lambda: f"{count} frames of {colour}; got {self.frames - start} and {self.colour}", probe)

    async def hears(self, hz):
        await until(lambda: f"a tone of {hz} Hz; heard {self.hz()}", lambda: abs(self.hz() - hz) < 30)


class Channel:
    """One data channel with what came on it."""

    def __init__(self, channel):
        self.channel = channel
        self._messages = asyncio.Queue()
        channel.on("message", self._messages.put_nowait)

    @property
    def label(self):
        return self.channel.label

    async def opens(self):
        await until(lambda: f"channel {self.label} opens", lambda: self.channel.readyState == "open")
        return self

    async def closed(self):
        await until(lambda: f"channel {self.label} is closed", lambda: self.channel.readyState == "closed")

    async def next(self, seconds=PATIENCE_SECONDS):
        """The next message, which is taken away."""
        try:
            return await asyncio.wait_for(self._messages.get(), seconds)
        except asyncio.TimeoutError:
            raise Failure(f"no message on channel {self.label} within {seconds} s") from None

    async def echoes(self, message):
        """What is sent comes back the same."""
        self.channel.send(message)
        back = await self.next()
        check(back == message, f"{type(message)} of {len(message)} came back as {type(back)} of {len(back)}")


class Caller:
    """One call with our peer."""

    latest = None

    @classmethod
    async def open(cls, url, bundle=None, **options):
        self = cls()
        Caller.latest = self
        self.states, self.events, self.errors, self.descriptions = [], [], [], []
        self.received, self.channels = {}, {}
        self.candidates = 0
        self.mangle_incoming = self.mangle_outgoing = lambda kind, sdp: sdp
        self.before_answer = None
        self.holding = False
        self._held = []
        self._answers = {}
        self._tasks = []
        # The default would ask a public server for an address.
        configuration = RTCConfiguration(iceServers=[])
        if bundle:
            configuration.bundlePolicy = bundle
        self.connection = RTCPeerConnection(configuration)
        self._watch()
        self._socket = await WebSocket.connect(f"{url}/peer".replace("http://", "ws://"))
        self._signalling = asyncio.Queue()
        for task in (self._read(), self._negotiate()):
            self._tasks.append(asyncio.ensure_future(task))
        await self.do("configure", **options)
        return self

    def _watch(self):
        for name in ("connectionState", "iceConnectionState", "signalingState"):

            def changed(name=name):
                self.states.append(f"own {name} {getattr(self.connection, name)}")

            self.connection.on(f"{name.lower()}change", changed)

        @self.connection.on("track")
        def on_track(track):
            found = (t for t in self.connection.getTransceivers() if t.receiver.track is track)
            self.received[next(found).mid] = Received(track)

        @self.connection.on("datachannel")
        def on_datachannel(channel):
            self.channels[channel.label] = Channel(channel)

    async def do(self, command, **details):
        """Asks our peer to do something and waits until it has."""
        number = len(self._answers) + 1
        self._answers[number] = asyncio.get_running_loop().create_future()
        self._socket.send(json.dumps({"id": number, "do": command, **details}))
        try:
            answer = await asyncio.wait_for(self._answers[number], PATIENCE_SECONDS)
        except asyncio.TimeoutError:
            raise Failure(f"our peer did not answer {command}; {self.errors}") from None
        if "error" in answer:
            raise Failure(f"our peer: {command}: {answer['error']}")
        return answer.get("value")

    async def _read(self):
        while text := await self._socket.receive():
            message = json.loads(text)
            if "answer" in message:
                self._answers[message["answer"]].set_result(message)
            elif "event" in message:
                self._event(message["event"], message["detail"])
            else:
                self._signalling.put_nowait(message)
        self.errors.append("our peer closed the socket")

    def _event(self, name, detail):
        self.events.append((name, detail))
        if name.endswith("statechange"):
            self.states.append(f"peer {name.replace('statechange', 'State')} {detail}")
        if name in ("error", "failure"):
            self.errors.append(f"our peer: {detail}")

    async def _negotiate(self):
        """Signalling is handled in order, one thing after the other."""
        while message := await self._signalling.get():
            await until("signalling goes on", lambda: not self.holding)
            try:
                if "description" in message:
                    await self._description(message["description"]["type"], message["description"]["sdp"])
                else:
                    await self._candidate(message["candidate"])
            except Exception as error:
                self.errors.append(f"{type(error).__name__}: {error}")

    async def offer(self):
        await self.connection.setLocalDescription(await self.connection.createOffer())
        self.describe()

    def describe(self):
        description = self.connection.localDescription
        sdp = self.mangle_outgoing(description.type, description.sdp)
        self.descriptions.append(("own", description.type, sdp))
        self._socket.send(json.dumps({"description": {"type": description.type, "sdp": sdp}}))

    async def _description(self, kind, sdp):
        sdp = self.mangle_incoming(kind, sdp)
        self.descriptions.append(("peer", kind, sdp))
        if kind == "offer" and self.connection.signalingState != "stable":
            self.events.append(("own offerignored", None))
            return
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp=sdp, type=kind))
        if kind == "offer":
            if self.before_answer:
                self.before_answer()
            await self.connection.setLocalDescription(await self.connection.createAnswer())
            self.describe()

    async def _candidate(self, candidate):
        self.candidates += 1
        text = (candidate or {}).get("candidate")
        if not text or self.connection.remoteDescription is None:
            return
        parsed = candidate_from_sdp(text.split(":", 1)[1])
        parsed.sdpMid, parsed.sdpMLineIndex = candidate["sdpMid"], candidate["sdpMLineIndex"]
        await self.connection.addIceCandidate(parsed)

    async def connected(self):
        async def probe():
            self.healthy()
            ours = self.connection.connectionState == "connected"
            return ours and (await self.state())["connection"] == "connected"

        await until(lambda: f"both sides are connected; {self.summary()}", probe)

    async def stable(self):
        async def probe():
            self.healthy()
            ours = self.connection.signalingState == "stable" and self._signalling.empty()
            return ours and (await self.state())["signaling"] == "stable"

        await until(lambda: f"both sides are stable; {self.summary()}", probe)

    def healthy(self):
        check(not self.errors, f"{'; '.join(self.errors)} ({self.summary()})")

    def summary(self):
        return f"states: {', '.join(self.states[-12:])}"

    async def state(self):
        return await self.do("state")

    async def track(self, mid):
        def probe():
            self.healthy()
            return self.received.get(mid)

        return await until(lambda: f"a track on section {mid}; {self.summary()}", probe)

    def transceiver(self, mid):
        return next(t for t in self.connection.getTransceivers() if t.mid == mid)

    async def close(self):
        for task in self._tasks:
            task.cancel()
        self._socket.close()
        await self.connection.close()


def sections(sdp):
    return ["m=" + part for part in ("\n" + sdp.replace("\r\n", "\n")).split("\nm=")[1:]]


def fragments(sdp):
    return {line.split(":", 1)[1] for line in sdp.split() if line.startswith("a=ice-ufrag:")}

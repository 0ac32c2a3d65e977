"""An aiortc peer that calls the server by WHIP and WHEP: test media, what arrived of it, and HTTP.

The picture is dark on its left and bright on its right and a bar moves through it; the sound is a tone. So a
receiver can tell that what it decodes is what was sent, and not just that something arrived.

Every script ends with one line of JSON on standard output: {"script", "ok", ...}; the exit code is 0 exactly when
"ok" is true, otherwise "reason" says what was expected and what was seen.
"""

import argparse
import array
import asyncio
import fractions
import json
import math
import os
import sys
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request

import aioice.ice
from aiortc import AudioStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from av import AudioFrame, VideoFrame

WIDTH, HEIGHT, FRAME_RATE = 320, 240, 20
DARK, BRIGHT = 50, 200
SAMPLE_RATE, TONE_HZ, AMPLITUDE = 48_000, 440, 8_000
SAMPLES_PER_FRAME = SAMPLE_RATE // 50

# aioice leaves the loopback address out when it lists a host's addresses; these calls stay on this machine.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"] if use_ipv4 else []


class Failure(Exception):
    """What was expected and what was seen."""


def log(*words):
    print(*words, file=sys.stderr, flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(description="Calls the server as an aiortc peer.")
    parser.add_argument("--url", default="http://127.0.0.1:8080/", help="the address of the server's page")
    parser.add_argument("--out", default=".", help="a folder for what should be kept")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to wait for media")
    arguments = parser.parse_args()
    arguments.url = arguments.url.rstrip("/")
    return arguments


def run(script, body, parse=parse_arguments):
    """Runs a script's body, prints its result line and ends the process."""
    started = time.monotonic()
    try:
        result = {"script": script, "ok": True, **asyncio.run(body(parse()))}
    except Exception as error:
        traceback.print_exc()
        result = {"script": script, "ok": False, "reason": f"{type(error).__name__}: {error}"}
    result["seconds"] = round(time.monotonic() - started, 1)
    print(json.dumps(result), flush=True)
    # Decoder threads would keep the process alive.
    os._exit(0 if result["ok"] else 1)


def new_connection():
    # The default would ask a public server for an address.
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


async def until(what, seconds, probe):
    """Asks `probe` until it answers something true, which is returned."""
    end = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"not within {seconds:.0f} s: {what}")
        await asyncio.sleep(0.05)


async def connected(connection, who, seconds=40):
    def probe():
        if connection.connectionState in ("failed", "closed"):
            raise Failure(f"the connection of {who} is {connection.connectionState}")
        return connection.connectionState == "connected"

    await until(f"{who} is connected (it is {connection.connectionState})", seconds, probe)


async def call(connection, endpoint):
    """One offer and answer over HTTP (WHIP, WHEP); returns the session's own address."""
    await connection.setLocalDescription(await connection.createOffer())
    status, headers, answer = await request("POST", endpoint, "application/sdp", connection.localDescription.sdp)
    if status != 201:
        raise Failure(f"POST {endpoint} answered {status}: {answer}")
    location = headers.get("location")
    if not location:
        raise Failure(f"POST {endpoint} answered without a Location")
    if headers.get("content-type", "").split(";")[0] != "application/sdp":
        raise Failure(f"POST {endpoint} answered with {headers.get('content-type')}")
    await connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
    return urllib.parse.urljoin(endpoint, location)


async def hang_up(connection, location):
    status, _, body = await request("DELETE", location)
    if status not in (200, 204):
        raise Failure(f"DELETE {location} answered {status}: {body}")
    await connection.close()


async def request(method, url, kind=None, text=None):
    """Returns the status, the headers in lower case and the body."""

    def exchange():
        body = None if text is None else text.encode()
        message = urllib.request.Request(url, data=body, method=method)
        if kind:
            message.add_header("Content-Type", kind)
        try:
            with urllib.request.urlopen(message, timeout=15) as response:
                return response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    status, headers, body = await asyncio.to_thread(exchange)
    return status, {name.lower(): value for name, value in headers.items()}, body.decode(errors="replace")


class Picture(VideoStreamTrack):
    """Dark left, bright right, and a bar that moves one step per frame."""

    def __init__(self):
        super().__init__()
        self.sent = 0
        self._started = None

    async def recv(self):
        self._started = self._started or time.monotonic()
        await asyncio.sleep(max(0.0, self._started + self.sent / FRAME_RATE - time.monotonic()))
        frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
        frame.pts = self.sent * 90_000 // FRAME_RATE
        frame.time_base = fractions.Fraction(1, 90_000)
        bar = (self.sent * 4) % HEIGHT
        luma = frame.planes[0]
        # A plane's rows are longer than the picture is wide.
        row = bytes([DARK]) * (WIDTH // 2) + bytes([BRIGHT]) * (luma.line_size - WIDTH // 2)
        stripe = bytes([(DARK + BRIGHT) // 2]) * luma.line_size
        luma.update(b"".join(stripe if bar <= y < bar + 4 else row for y in range(luma.height)))
        for plane in frame.planes[1:]:
            plane.update(bytes([128]) * plane.buffer_size)
        self.sent += 1
        return frame


class Tone(AudioStreamTrack):
    """A sine of 440 Hz."""

    def __init__(self):
        super().__init__()
        self.sent = 0
        self._started = None
        # 20 ms hold a whole number of periods at 50 Hz steps only: one second does at any whole frequency.
        wave = (AMPLITUDE * math.sin(2 * math.pi * TONE_HZ * n / SAMPLE_RATE) for n in range(SAMPLE_RATE))
        self._second = array.array("h", (int(value) for value in wave))

    async def recv(self):
        self._started = self._started or time.monotonic()
        await asyncio.sleep(max(0.0, self._started + self.sent / SAMPLE_RATE - time.monotonic()))
        frame = AudioFrame(format="s16", layout="mono", samples=SAMPLES_PER_FRAME)
        start = self.sent % SAMPLE_RATE
        frame.planes[0].update(self._second[start : start + SAMPLES_PER_FRAME].tobytes())
        frame.pts = self.sent
        frame.sample_rate = SAMPLE_RATE
        frame.time_base = fractions.Fraction(1, SAMPLE_RATE)
        self.sent += SAMPLES_PER_FRAME
        return frame


class Watcher:
    """Decodes what a connection receives and keeps the figures."""

    def __init__(self, connection):
        self.frames = 0
        self.size = None
        self.left = self.right = None
        self.audio_samples = 0
        self.audio_peak = 0
        self.first_frame_seconds = None
        self._started = time.monotonic()
        self._tasks = []
        connection.on("track", lambda track: self._tasks.append(asyncio.ensure_future(self._watch(track))))

    async def _watch(self, track):
        try:
            while True:
                frame = await track.recv()
                if track.kind == "video":
                    self._see(frame)
                else:
                    self._hear(frame)
        except Exception as error:  # the end of a track is an exception too
            log(f"the {track.kind} track ended: {type(error).__name__} {error}")

    def _see(self, frame):
        if self.first_frame_seconds is None:
            self.first_frame_seconds = round(time.monotonic() - self._started, 2)
        self.frames += 1
        self.size = [frame.width, frame.height]
        picture = frame if frame.format.name in ("yuv420p", "yuvj420p") else frame.reformat(format="yuv420p")
        luma = picture.planes[0]
        pixels = bytes(luma)
        rows = range(0, frame.height, 8)
        quarter = frame.width // 4
        self.left = sum(pixels[y * luma.line_size + quarter] for y in rows) // len(rows)
        self.right = sum(pixels[y * luma.line_size + 3 * quarter] for y in rows) // len(rows)

    def _hear(self, frame):
        self.audio_samples += frame.samples
        samples = array.array("h")
        samples.frombytes(bytes(frame.planes[0])[: frame.samples * 2 * len(frame.layout.channels)])
        self.audio_peak = max(self.audio_peak, max(samples, default=0))

    def figures(self):
        names = ("frames", "size", "left", "right", "audio_samples", "audio_peak", "first_frame_seconds")
        return {name: getattr(self, name) for name in names}

    async def gets(self, frames, audio_seconds, seconds):
        """Waits for that many frames and that much sound."""

        def probe():
            return self.frames >= frames and self.audio_samples >= audio_seconds * SAMPLE_RATE

        try:
            await until(f"{frames} frames and {audio_seconds} s of sound", seconds, probe)
        except Failure as failure:
            raise Failure(f"{failure}; got {self.figures()}") from None

    def shows_the_picture(self):
        """What aiortc's own publisher drew and played, after a codec had its way with it."""
        if not (self.left < 100 and self.right > 150):
            raise Failure(f"the picture is another one: {self.figures()}")
        if self.audio_peak < AMPLITUDE // 4:
            raise Failure(f"the tone is too faint: {self.figures()}")


async def publish(url, room):
    """Publishes the picture and the tone; returns the connection and the session's address."""
    connection = new_connection()
    connection.addTrack(Tone())
    connection.addTrack(Picture())
    location = await call(connection, f"{url}/whip/{room}")
    await connected(connection, "the publisher")
    return connection, location


async def subscribe(url, room):
    """Receives what the room's publishers send now; returns the connection, the address and a watcher."""
    connection = new_connection()
    connection.addTransceiver("audio", direction="recvonly")
    connection.addTransceiver("video", direction="recvonly")
    watcher = Watcher(connection)
    location = await call(connection, f"{url}/whep/{room}")
    await connected(connection, "the subscriber")
    return connection, location, watcher


async def echo(url):
    """Calls a server that sends everything back; offer and answer travel as JSON."""
    connection = new_connection()
    connection.addTrack(Tone())
    connection.addTrack(Picture())
    watcher = Watcher(connection)
    await connection.setLocalDescription(await connection.createOffer())
    offer = {"type": "offer", "sdp": connection.localDescription.sdp}
    status, _, body = await request("POST", f"{url}/offer", "application/json", json.dumps(offer))
    if status not in (200, 201):
        raise Failure(f"POST /offer answered {status}: {body}")
    answer = json.loads(body)
    await connection.setRemoteDescription(RTCSessionDescription(sdp=answer["sdp"], type=answer["type"]))
    await connected(connection, "the caller")
    return connection, watcher


async def sent_figures(connection):
    """RTP packets sent, by kind."""
    entries = (await connection.getStats()).values()
    return {entry.kind: entry.packetsSent for entry in entries if entry.type == "outbound-rtp"}

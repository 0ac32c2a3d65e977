"""Chromium sits in a room; an aiortc peer receives from it by WHEP and publishes to it by WHIP.

    python with_chromium.py --url http://127.0.0.1:8080/

Chromium is driven by chromium_in_room.mjs, started from here.
"""

import asyncio
import json
import os
import pathlib

import peer

SCRIPT = pathlib.Path(__file__).with_name("chromium_in_room.mjs")


class Chromium:
    """The browser's script: prints READY, then what it decodes once it was told that somebody publishes."""

    def __init__(self, process):
        self._process = process

    @classmethod
    async def start(cls, url, out, room):
        node = os.environ.get("NODE", "node")
        words = [node, str(SCRIPT), "--url", url, "--out", out, "--room", room]
        pipe = asyncio.subprocess.PIPE
        return cls(await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe))

    async def line(self, seconds):
        line = await asyncio.wait_for(self._process.stdout.readline(), seconds)
        if not line:
            raise peer.Failure("the browser's script ended early")
        return line.decode().strip()

    async def ready(self):
        while (line := await self.line(60)) != "READY":
            if line.startswith("{"):
                raise peer.Failure(f"the browser failed: {line}")

    async def sees(self, name_count, seconds):
        """Tells the script how many people to see and hear, and returns its result."""
        self._process.stdin.write(f"see {name_count}\n".encode())
        await self._process.stdin.drain()
        while not (line := await self.line(seconds)).startswith("{"):
            pass
        await self._process.wait()
        result = json.loads(line)
        if not result["ok"]:
            raise peer.Failure(f"the browser: {result['reason']}")
        return result

    def end(self):
        if self._process.returncode is None:
            self._process.terminate()


async def body(arguments):
    room = "aiortc-and-chromium"
    chromium = await Chromium.start(arguments.url, arguments.out, room)
    try:
        await chromium.ready()
        peer.log("Chromium is in the room")
        # Before anybody else publishes: so all that comes is Chromium's.
        subscriber, subscriber_location, watcher = await peer.subscribe(arguments.url, room)
        await watcher.gets(frames=60, audio_seconds=2, seconds=arguments.seconds)
        peer.log("aiortc receives from Chromium")
        lite = "a=ice-lite" in subscriber.remoteDescription.sdp
        publisher, publisher_location = await peer.publish(arguments.url, room)
        result = await chromium.sees(1, arguments.seconds + 30)
        peer.log("Chromium receives from aiortc")
        await peer.hang_up(subscriber, subscriber_location)
        await peer.hang_up(publisher, publisher_location)
    finally:
        chromium.end()
    return {"aiortc": watcher.figures(), "chromium": result["seen"], "ice_lite": lite}


peer.run("with_chromium", body)

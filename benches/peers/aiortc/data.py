"""One end of a bench of data channels on aiortc: commands on standard input, reports on standard output.

What is asked, what is answered and what is in a message is the same for every stack: see ../data-driver.
"""

import asyncio
import json
import os
import struct
import sys
import time

import aioice.ice
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

try:
    import uvloop
except ImportError:
    uvloop = None

# aioice leaves the loopback address out when it lists a host's addresses; this bench stays on this machine.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"] if use_ipv4 else []

LARGEST_MESSAGE = 256 * 1024
SHIFTS = 256
PING = 0xFFFF_FFFF
HEADER = struct.Struct(">II")
# Bytes that may wait on all channels: between the two, so that there is always something to send. Several times the
# congestion window; with more, what waits takes longer than a round to go out.
HIGH_WATER, LOW_WATER = 256 * 1024, 128 * 1024


def pattern_bytes():
    state, found = 1, bytearray()
    for _ in range(LARGEST_MESSAGE + SHIFTS):
        state = (state * 1_103_515_245 + 12_345) & 0xFFFF_FFFF
        found.append(state >> 16 & 0xFF)
    return bytes(found)


def cpu_times():
    """CPU seconds of all living threads, from the same source as in the other drivers."""
    nanoseconds = 0
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/schedstat") as file:
                nanoseconds += int(file.read().split()[0])
        except FileNotFoundError:
            continue
    times = os.times()
    return {"cpu": nanoseconds / 1e9, "cpu_user": times.user, "cpu_system": times.system}


def report(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class Driver:
    def __init__(self):
        # The default would ask a public server for an address.
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.pattern = pattern_bytes()
        self.channels = []
        self.messages = self.bytes = self.damaged = self.sent = 0
        self.sending = False
        self.senders = []
        self.echo = asyncio.Event()

    def message(self, number, size):
        start = number % SHIFTS
        return HEADER.pack(number, size) + self.pattern[start : start + size - HEADER.size]

    async def obey(self, command):
        await getattr(self, command.pop("do"))(**command)

    async def offer(self, channels):
        self.channels = [self.connection.createDataChannel(str(number)) for number in range(channels)]
        await self.connection.setLocalDescription(await self.connection.createOffer())
        report("offer", sdp=self.connection.localDescription.sdp)

    async def answer(self, sdp, channels):
        opened = asyncio.Semaphore(0)

        @self.connection.on("datachannel")
        def arrived(channel):
            self.receive_from(channel)
            opened.release()

        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        report("answer", sdp=self.connection.localDescription.sdp)
        for _ in range(channels):
            await opened.acquire()
        report("open")

    async def accept(self, sdp):
        waits = []
        for channel in self.channels:
            opened = asyncio.Event()
            channel.on("open", opened.set)
            waits.append(opened.wait())
        self.channels[0].on("message", lambda message: self.echo.set())
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        await asyncio.gather(*waits)
        report("open")

    def receive_from(self, channel):
        expected = 0

        @channel.on("message")
        def arrived(message):
            nonlocal expected
            number, _ = HEADER.unpack_from(message)
            if number == PING:
                channel.send(message)
                return
            self.messages += 1
            self.bytes += len(message)
            if message != self.message(expected, len(message)):
                self.damaged += 1
            expected += 1

    async def send(self, size):
        self.sending = True
        self.senders = [asyncio.ensure_future(self.send_on(channel, size)) for channel in self.channels]

    async def send_on(self, channel, size):
        low = asyncio.Event()
        channel.bufferedAmountLowThreshold = LOW_WATER // len(self.channels)
        channel.on("bufferedamountlow", low.set)
        number = 0
        while self.sending:
            low.clear()
            while channel.bufferedAmount < HIGH_WATER // len(self.channels):
                channel.send(self.message(number, size))
                number += 1
                self.sent += 1
            await low.wait()

    async def sample(self, id):
        counted = {"messages": self.messages, "bytes": self.bytes, "damaged": self.damaged}
        report("sample", id=id, at=time.monotonic(), **counted, **cpu_times())

    async def stop(self):
        self.sending = False
        await asyncio.gather(*self.senders)
        report("stopped", sent=self.sent)

    async def ping(self, count, size):
        times = []
        for _ in range(count):
            self.echo.clear()
            started = time.perf_counter()
            self.channels[0].send(self.message(PING, size))
            await self.echo.wait()
            times.append(1e6 * (time.perf_counter() - started))
        times.sort()
        report("pong", p50_us=times[len(times) // 2], p99_us=times[min(len(times) * 99 // 100, len(times) - 1)])


async def main():
    driver = Driver()
    commands = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    while line := await commands.readline():
        await driver.obey(json.loads(line))
    # Waiting for the peer's orderly end measures nothing.
    os._exit(0)


if __name__ == "__main__":
    uvloop.run(main()) if uvloop else asyncio.run(main())

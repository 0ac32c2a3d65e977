"""aiortc's side of the terminal examples, signalled over TCP as its contrib.signaling does.

    python terminal.py ping --port 1234          # makes the offer and pings five times
    python terminal.py pong --port 1234          # answers
    python terminal.py send FILE --port 1234     # chunks, and an empty message at the end
    python terminal.py receive FILE --port 1234
"""

import argparse
import asyncio
import time

import peer
from aiortc import RTCSessionDescription
from aiortc.contrib.signaling import BYE, TcpSocketSignaling
from caller import Channel, check, until

PINGS = 5
CHUNK_BYTES = 16 * 1024


async def offer(connection, signaling):
    await connection.setLocalDescription(await connection.createOffer())
    await signaling.send(connection.localDescription)
    answer = await signaling.receive()
    check(isinstance(answer, RTCSessionDescription), f"no answer came but {answer}")
    await connection.setRemoteDescription(answer)


async def answer(connection, signaling):
    """Returns the channel that the other side opens."""
    opened = asyncio.get_running_loop().create_future()
    connection.on("datachannel", lambda channel: opened.set_result(Channel(channel)))

    async def connect():
        while True:
            try:
                return await signaling.receive()
            except ConnectionRefusedError:
                await asyncio.sleep(0.1)

    description = await asyncio.wait_for(connect(), 20)
    check(isinstance(description, RTCSessionDescription), f"no offer came but {description}")
    await connection.setRemoteDescription(description)
    await connection.setLocalDescription(await connection.createAnswer())
    await signaling.send(connection.localDescription)
    return await asyncio.wait_for(opened, 20)


async def ping(connection, signaling, arguments):
    channel = Channel(connection.createDataChannel("chat"))
    await offer(connection, signaling)
    await channel.opens()
    for number in range(PINGS):
        channel.channel.send(f"ping {number}")
        back = await channel.next()
        check(back == f"pong {number}", f"ping {number} was answered by {back}")
    return f"{PINGS} pings were answered"


async def pong(connection, signaling, arguments):
    channel = await answer(connection, signaling)
    for _ in range(PINGS):
        message = await channel.next()
        check(message.startswith("ping"), f"this is no ping: {message}")
        channel.channel.send("pong" + message[4:])
    check(await signaling.receive() in (BYE, None), "the other side did not say goodbye")
    return f"{PINGS} pings came"


async def send(connection, signaling, arguments):
    channel = Channel(connection.createDataChannel("filexfer"))
    await offer(connection, signaling)
    await channel.opens()
    with open(arguments.file, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            await until("there is room", lambda: channel.channel.bufferedAmount < 8 * CHUNK_BYTES)
            channel.channel.send(chunk)
    channel.channel.send("")
    check(await signaling.receive() in (BYE, None), "the other side did not say goodbye")
    return "sent"


async def receive(connection, signaling, arguments):
    channel = await answer(connection, signaling)
    size, started = 0, time.monotonic()
    with open(arguments.file, "wb") as file:
        while chunk := await channel.next():
            size += file.write(chunk)
    await signaling.send(BYE)
    return f"{size} bytes at {size / (1 << 20) / (time.monotonic() - started):.1f} MiB/s"


async def body(arguments):
    roles = {"ping": ping, "pong": pong, "send": send, "receive": receive}
    connection, signaling = peer.new_connection(), TcpSocketSignaling("127.0.0.1", arguments.port)
    seen = await roles[arguments.role](connection, signaling, arguments)
    await connection.close()
    await signaling.close()
    return {"seen": seen}


parser = argparse.ArgumentParser(description="aiortc's side of the terminal examples.")
parser.add_argument("role", choices=["ping", "pong", "send", "receive"])
parser.add_argument("file", nargs="?")
parser.add_argument("--port", type=int, default=1234)
peer.run("terminal", body, parser.parse_args)

"""What `actix-rtc-loadgen ice` measures, with aioice: pairs of connections within this process.

    python bench.py [--pairs 200] [--idle-pairs 1000]

Prints the same line of JSON.
"""

import argparse
import asyncio
import json
import resource
import time

import aioice
import aioice.ice

aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"] if use_ipv4 else []


async def pair():
    """Two connections that have exchanged a datagram each way."""
    one, other = (aioice.Connection(ice_controlling=control, use_ipv6=False) for control in (True, False))
    await asyncio.gather(one.gather_candidates(), other.gather_candidates())
    for source, target in ((one, other), (other, one)):
        target.remote_username, target.remote_password = source.local_username, source.local_password
        for candidate in source.local_candidates:
            await target.add_remote_candidate(candidate)
        await target.add_remote_candidate(None)
    await asyncio.gather(one.connect(), other.connect())
    for source, target in ((one, other), (other, one)):
        await source.send(b"howdee")
        assert await target.recv() == b"howdee"
    return one, other


async def many(count, concurrency, keep):
    kept, turns = [], asyncio.Semaphore(concurrency)

    async def connect():
        async with turns:
            connections = await pair()
            if keep:
                kept.append(connections)
            else:
                await asyncio.gather(*(connection.close() for connection in connections))

    await asyncio.gather(*(connect() for _ in range(count)))
    return kept


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_bytes():
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


async def main():
    parser = argparse.ArgumentParser(description="Measures connections of aioice.")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--idle-pairs", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=20)
    parser.add_argument("--settle-seconds", type=float, default=3)
    parser.add_argument("--json", default="-", help="where JSON goes; only -, the standard output, is supported")
    arguments = parser.parse_args()
    await many(arguments.concurrency, arguments.concurrency, keep=False)
    cpu, started = cpu_seconds(), time.monotonic()
    await many(arguments.pairs, arguments.concurrency, keep=False)
    cpu, wall = cpu_seconds() - cpu, time.monotonic() - started
    before = resident_bytes()
    kept = await many(arguments.idle_pairs, arguments.concurrency, keep=True)
    await asyncio.sleep(arguments.settle_seconds)
    grown = max(resident_bytes() - before, 0)
    connects = 2 * arguments.pairs
    result = {
        "connects": connects,
        "cpu_ms_per_connect": cpu * 1e3 / connects,
        "connects_per_second": connects / wall,
        "idle_connections": 2 * len(kept),
        "bytes_per_idle_connection": grown / max(2 * len(kept), 1),
    }
    print(json.dumps(result), flush=True)


asyncio.run(main())

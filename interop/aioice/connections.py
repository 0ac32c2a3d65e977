"""Connections between aioice and our ICE alone, case by case.

    python connections.py --peer target/debug/interop-peer [--cases '["aioice controls: one component"]']

Prints one line of JSON per case as it ends, {"case", "ok", "detail", "seconds"}; the last line is the script's own
result. `--known` is the list of cases that the caller has: one that only one of the two has fails the script.
"""

import argparse
import asyncio
import json
import sys
import time
import traceback

import aioice
import aioice.ice
import aioice.stun

CASE_SECONDS = 40
ANSWER_SECONDS = 20
CASES = {}

# aioice leaves the loopback address out when it lists a host's addresses; these connections stay on this machine.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"] if use_ipv4 else []


class Failure(Exception):
    """What a case found wrong."""


def check(condition, reason):
    if not condition:
        raise Failure(reason)


def case(name, *arguments):
    def register(body):
        CASES[name] = lambda program: body(program, *arguments)
        return body

    return register


def both(name, *arguments):
    """The same case with either side controlling."""

    def register(body):
        case(f"aioice controls: {name}", True, *arguments)(body)
        case(f"aioice is controlled: {name}", False, *arguments)(body)
        return body

    return register


class Ours:
    """Our connection, in a process of its own."""

    started = []

    @classmethod
    async def open(cls, program, **options):
        ours = cls()
        ours.process = await asyncio.create_subprocess_exec(
            program, "--ice", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        cls.started.append(ours)
        ours.waiting, ours.number = {}, 0
        ours.reader = asyncio.create_task(ours.read())
        ours.credentials = await ours.do("new", **options)
        return ours

    async def read(self):
        while line := await self.process.stdout.readline():
            answer = json.loads(line)
            future = self.waiting.pop(answer["answer"])
            if not future.done():
                future.set_result(answer)
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(Failure("our process has ended"))

    async def do(self, command, **arguments):
        self.number += 1
        answered = self.waiting[self.number] = asyncio.get_running_loop().create_future()
        line = json.dumps({"id": self.number, "do": command, **arguments})
        self.process.stdin.write(line.encode() + b"\n")
        await self.process.stdin.drain()
        answer = await asyncio.wait_for(answered, ANSWER_SECONDS)
        if "error" in answer:
            raise Failure(f"{command}: {answer['error']}")
        return answer["value"]

    async def end(self):
        self.process.stdin.close()
        await asyncio.wait_for(self.process.wait(), 10)


class Pair:
    """One connection of each."""

    def __init__(self, theirs, ours):
        self.theirs, self.ours = theirs, ours
        self.candidates = []

    @classmethod
    async def open(cls, program, theirs_control, ours_control=None, components=1, ours_components=None, **options):
        ours_control = not theirs_control if ours_control is None else ours_control
        theirs = aioice.Connection(ice_controlling=theirs_control, components=components)
        ours = await Ours.open(
            program, controlling=ours_control, components=ours_components or components, **options
        )
        theirs.remote_is_lite = options.get("lite", False)
        return cls(theirs, ours)

    async def gather(self):
        await self.theirs.gather_candidates()
        self.candidates = await self.ours.do("gather")
        check(self.candidates and self.theirs.local_candidates, "somebody found no candidates")

    async def credentials(self, theirs_password=None, ours_password=None):
        self.theirs.remote_username = self.ours.credentials["ufrag"]
        self.theirs.remote_password = ours_password or self.ours.credentials["password"]
        password = theirs_password or self.theirs.local_password
        await self.ours.do("remote", ufrag=self.theirs.local_username, password=password)

    async def tell_theirs(self, pause=0.0):
        """Our candidates reach aioice."""
        for candidate in self.candidates:
            await self.theirs.add_remote_candidate(aioice.Candidate.from_sdp(candidate.removeprefix("candidate:")))
            await asyncio.sleep(pause)
        await self.theirs.add_remote_candidate(None)

    async def tell_ours(self, pause=0.0):
        """aioice's candidates reach us."""
        for candidate in self.theirs.local_candidates:
            await self.ours.do("candidate", candidate="candidate:" + candidate.to_sdp())
            await asyncio.sleep(pause)
        await self.ours.do("candidate")

    async def connect(self, *beside):
        state, *_ = await asyncio.gather(self.ours.do("connect"), self.theirs.connect(), *beside)
        return state

    async def exchange(self, components):
        """Datagrams both ways over each component, such as look like other protocols too."""
        count = 0
        for component in components:
            for text in ["howdee", "\x00", "\x14handshake", "\x40channel", "@", "z" * 1200]:
                await self.theirs.sendto(text.encode(), component)
                seen = await self.ours.do("receive")
                check(seen == {"component": component, "text": text}, f"sent {text!r} over {component}, we saw {seen}")
                await self.ours.do("send", component=component, text=text)
                seen = await asyncio.wait_for(self.theirs.recvfrom(), ANSWER_SECONDS)
                check(seen == (text.encode(), component), f"sent {text!r} over {component}, aioice saw {seen}")
                count += 2
        return count

    async def close(self):
        await asyncio.gather(self.theirs.close(), self.ours.do("close"))


async def connected(pair, components, *beside):
    """Connects, exchanges, and looks at what both sides say."""
    state = await pair.connect(*beside)
    check(state["state"] in ("Connected", "Completed"), f"our state: {state}")
    check(state["components"] == components, f"our components: {state['components']}")
    check(sorted(pair.theirs._components) == components, f"aioice's components: {pair.theirs._components}")
    count = await pair.exchange(components)
    state = await pair.ours.do("state")
    check(state["controlling"] != pair.theirs.ice_controlling, "both sides have one role")
    await pair.close()
    return f"{count} datagrams over components {components}; our pairs lead to {state['remote_kinds']}"


@both("one component", 1)
@both("two components", 2)
async def at_once(program, theirs_control, components):
    pair = await Pair.open(program, theirs_control, components=components)
    await pair.gather()
    await pair.credentials()
    await asyncio.gather(pair.tell_theirs(), pair.tell_ours())
    return await connected(pair, list(range(1, components + 1)))


@both("candidates trickle", 1)
@both("two components, candidates trickle", 2)
async def trickled(program, theirs_control, components):
    pair = await Pair.open(program, theirs_control, components=components)
    await pair.gather()
    await pair.credentials()
    return await connected(pair, list(range(1, components + 1)), pair.tell_theirs(0.1), pair.tell_ours(0.1))


@case("aioice controls: we are lite", 1)
@case("aioice controls: we are lite, two components", 2)
async def lite(program, components):
    pair = await Pair.open(program, True, components=components, lite=True)
    await pair.gather()
    await pair.credentials()
    await asyncio.gather(pair.tell_theirs(), pair.tell_ours())
    return await connected(pair, list(range(1, components + 1)))


@case("aioice has two components, we have one", 2, 1)
@case("aioice has one component, we have two", 1, 2)
async def unequal(program, theirs, ours):
    pair = await Pair.open(program, True, components=theirs, ours_components=ours)
    await pair.gather()
    await pair.credentials()
    await asyncio.gather(pair.tell_theirs(), pair.tell_ours())
    return await connected(pair, [1])


@case("aioice and we both control", True)
@case("aioice and we are both controlled", False)
async def conflict(program, control):
    pair = await Pair.open(program, control, ours_control=control)
    await pair.gather()
    await pair.credentials()
    await asyncio.gather(pair.tell_theirs(), pair.tell_ours())
    return await connected(pair, [1])


@case("aioice controls: our candidates are not told", True)
@case("aioice is controlled: its candidates are not told", False)
async def discovered(program, theirs_are_told):
    """One side knows no candidates until the other's checks come."""
    pair = await Pair.open(program, theirs_are_told)
    await pair.gather()
    await pair.credentials()
    if theirs_are_told:
        await pair.tell_ours()
    else:
        await pair.tell_theirs()
    return await connected(pair, [1])


@case("we are told a wrong password", "theirs_password")
@case("aioice is told a wrong password", "ours_password")
async def wrong_password(program, which):
    repetitions, aioice.stun.RETRY_MAX = aioice.stun.RETRY_MAX, 1
    try:
        pair = await Pair.open(program, True, patience_ms=2500)
        await pair.gather()
        await pair.credentials(**{which: "wrong+password+long+enough"})
        await asyncio.gather(pair.tell_theirs(), pair.tell_ours())
        results = asyncio.gather(pair.ours.do("connect"), pair.theirs.connect(), return_exceptions=True)
        done, _ = await asyncio.wait([results], timeout=25)
        check(done, "somebody waits for ever")
        ours, theirs = results.result()
        check(isinstance(ours, Failure) and "negotiation failed" in str(ours), f"we: {ours}")
        # aioice nominates what it checks, so its own checks are all that it needs.
        if which == "ours_password":
            check(isinstance(theirs, ConnectionError), f"aioice: {theirs!r}")
        state = await pair.ours.do("state")
        check(state["state"] == "Failed", f"our state: {state}")
        try:
            await pair.ours.do("send", component=1, text="howdee")
            check(False, "we could send")
        except Failure as refused:
            check("not connected" in str(refused), f"we: {refused}")
        await pair.close()
        return f"we: {ours}; aioice: {theirs}"
    finally:
        aioice.stun.RETRY_MAX = repetitions


@case("aioice closes, and we notice")
async def lost(program):
    pair = await Pair.open(program, True)
    await pair.gather()
    await pair.credentials()
    await asyncio.gather(pair.tell_theirs(), pair.tell_ours())
    await pair.connect()
    await pair.exchange([1])
    await pair.theirs.close()
    started = time.monotonic()
    while (state := await pair.ours.do("state"))["state"] != "Disconnected":
        check(time.monotonic() - started < 20, f"after 20 s our state is {state}")
        await asyncio.sleep(0.1)
    await pair.ours.do("close")
    return f"disconnected after {time.monotonic() - started:.1f} s"


async def run_case(name, program):
    started = time.monotonic()
    try:
        result = {"ok": True, "detail": await asyncio.wait_for(CASES[name](program), CASE_SECONDS)}
    except BaseException as error:
        traceback.print_exc()
        result = {"ok": False, "detail": f"{type(error).__name__}: {error}"}
    for ours in Ours.started:
        try:
            await ours.end()
        except BaseException as error:
            result = {"ok": False, "detail": f"our process does not end: {error!r}"}
            ours.process.kill()
    Ours.started.clear()
    return {"case": name, **result, "seconds": round(time.monotonic() - started, 1)}


async def main():
    parser = argparse.ArgumentParser(description="Connects aioice with interop-peer --ice, case by case.")
    parser.add_argument("--peer", required=True, help="the program of our side")
    parser.add_argument("--cases", type=json.loads, default=list(CASES), help="the cases to run, a JSON list")
    parser.add_argument("--known", type=json.loads, default=list(CASES), help="the cases that the caller has")
    arguments = parser.parse_args()
    differing = set(CASES) ^ set(arguments.known)
    if differing:
        reason = f"only one side knows the cases {sorted(differing)}"
        print(json.dumps({"script": "connections", "ok": False, "reason": reason}), flush=True)
        sys.exit(1)
    failed = 0
    for name in arguments.cases:
        result = await run_case(name, arguments.peer)
        failed += not result["ok"]
        print(json.dumps(result), flush=True)
    cases = len(arguments.cases)
    print(json.dumps({"script": "connections", "ok": True, "cases": cases, "failed": failed}), flush=True)


asyncio.run(main())

"""A TCP proxy that cuts connections in the middle of what is sent, either way.

Usage: cutproxy.py LISTEN-PORT TARGET-PORT [OCTETS...]. After 40 cuts it lets all pass.
OCTETS are after how many a request may be cut, 0 for never.
"""
import asyncio
import random
import sys

CUTS = 40
REQUESTS = [int(n) for n in sys.argv[3:]] or [0, 0, 60_000, 300_000, 1_000_000]
random.seed(3)
cuts = 0


async def pipe(reader, writer, budget, both):
    global cuts
    seen = 0
    try:
        while data := await reader.read(65536):
            seen += len(data)
            if budget and seen > budget:
                writer.write(data[: len(data) // 2])
                await writer.drain()
                cuts += 1
                print("cut", cuts, flush=True)
                break
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    for w in both:
        w.close()


async def handle(reader, writer):
    there, back = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
    both = (writer, back)
    cutting = cuts < CUTS
    out = random.choice(REQUESTS) if cutting else 0
    answers = random.choice([0, 0, 600, 3_000]) if cutting else 0
    await asyncio.gather(pipe(reader, back, out, both), pipe(there, writer, answers, both))


async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", int(sys.argv[1]))
    async with server:
        await server.serve_forever()


asyncio.run(main())

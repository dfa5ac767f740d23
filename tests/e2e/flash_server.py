"""flash_server.py: stands in for `serve` where it is to be seen when pictures and sound reach somebody: each second a
white picture and a beep, both 120 ms long, in chunks of 480 ms as a session sends them. Prints its address. Needs
`websockets` and ffmpeg with libvpx."""
import asyncio
import json
import math
import struct
import subprocess

import websockets

RATE, SIZE, CHUNK, SECONDS = 24000, "64x64", 12, 40
FIRST, KEY = 2, 1


def pictures():
    flash = r"drawbox=color=white:t=fill:enable='lt(mod(n\,25)\,3)'"
    source = f"color=black:s={SIZE}:r=25:d={SECONDS},{flash}"
    ivf = subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source,
                          "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0",
                          "-auto-alt-ref", "0", "-g", "25", "-b:v", "100k", "-f", "ivf", "-"],
                         capture_output=True, check=True).stdout
    at, found = 32, []
    while at < len(ivf):
        size = struct.unpack_from("<I", ivf, at)[0]
        found.append(ivf[at + 12:at + 12 + size])
        at += 12 + size
    return found


def sound(frame):
    loud = 12000 if frame % 25 < 3 else 0
    first = frame * RATE // 25
    return struct.pack(f"<{RATE // 25}h", *(int(loud * math.sin(2 * math.pi * 1000 * (first + i) / RATE))
                                            for i in range(RATE // 25)))


video = pictures()


def unit(kind, flags, frame, payload):
    return struct.pack("<BBHIqII", kind, flags, 0, 1, frame * 40000, len(payload), frame) + payload


async def session(socket, _=None):
    try:
        await play(socket)
    except websockets.ConnectionClosed:
        pass


async def play(socket):
    await socket.recv()
    await socket.send(json.dumps({
        "type": "session.created", "session": "0", "token": "0", "resumed": False, "resume_s": 0,
        "video": {"codec": "vp8", "decoder": "vp8", "width": 64, "height": 64, "fps": 25}, "agent_rate": RATE,
        "user_rate": 16000, "chunk_us": 40000 * CHUNK, "ahead_us": 0, "lead_us": 60000, "speech_s": 120,
        "next": {"agent": 0, "user": 0}}))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    # what the client says is not read: it is little, and fits the connection's buffers
    for frame, picture in enumerate(video):
        if frame % CHUNK == 0:
            await asyncio.sleep(max(0, begun + frame / 25 - 0.1 - loop.time()))
        first = FIRST if frame == 0 else 0
        await socket.send(unit(2, first, frame, sound(frame)))
        await socket.send(unit(1, first | (0 if picture[0] & 1 else KEY), frame, picture))
    await socket.wait_closed()


async def main():
    async with websockets.serve(session, "127.0.0.1", 0, subprotocols=["streamavatar.1"], compression=None,
                                max_queue=None) as server:
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
        await asyncio.Future()


asyncio.run(main())

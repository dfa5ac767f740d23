#!/usr/bin/env python3
"""client.py: a whole client of `serve` (docs/protocol.md): uploads a picture, lets the avatar speak a sound file, and
keeps the pictures and sound that come back.

    client.py URL PICTURE SOUND.wav OUT [CODEC]

URL is what the server prints, such as http://127.0.0.1:8080/. SOUND.wav is 16-bit mono PCM at 16 or 24 kHz. CODEC is
h264, vp8 (the default), mjpeg or raw. It writes OUT.wav and OUT.video (by codec: Annex B, IVF, JPEG after JPEG, rgb24
rows; ffplay plays the first three) and ends when the turn has been played. It takes a token from the environment
variable STREAMAVATAR_TOKEN. It needs Python 3.9 and the package websockets, version 10 (Debian's python3-websockets) or
later."""
import asyncio
import json
import os
import struct
import sys
import time
import wave

import websockets

HEADER = struct.Struct("<BBHIqII")  # kind, flags, 0, turn, media time in microseconds, length, sequence
VIDEO, AGENT, REFERENCE = 1, 2, 4  # kinds
FIRST, LAST = 2, 4  # flags
PIECE = 1 << 15  # bytes
UNIT_US = 40_000  # duration of a picture and of a unit of sound, microseconds
REPORT_S = 0.2


class Player:
    """Keeps the position of play: the sound is the clock, which stands still while there is none."""

    def __init__(self):
        self.begun, self.position_us, self.have_us = None, 0, 0

    def now_us(self):
        gone = 1e6 * (time.monotonic() - self.begun) if self.begun is not None else 0
        return min(self.position_us + int(gone), self.have_us)

    def hear(self, flags, time_us):
        now = self.now_us()
        if self.begun is None or flags & FIRST or now >= self.have_us:
            self.begun, self.position_us = time.monotonic(), time_us
        self.have_us = time_us + UNIT_US


class Video:
    """Writes OUT.video. A VP8 file is IVF: a header, then each picture behind its length and number."""

    def __init__(self, path, video):
        self.file, self.ivf, self.count = open(path, "wb"), video["codec"] == "vp8", 0
        if self.ivf:
            size = video["width"], video["height"]
            self.file.write(struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, b"VP80", *size, video["fps"], 1, 0, 0))

    def keep(self, picture):
        if self.ivf:
            self.file.write(struct.pack("<IQ", len(picture), self.count))
        self.file.write(picture)
        self.count += 1


def pieces(kind, turn, payload):
    """Cuts a payload into units, of which the last is marked."""
    for number, at in enumerate(range(0, max(len(payload), 1), PIECE)):
        piece = payload[at : at + PIECE]
        flags = LAST if at + PIECE >= len(payload) else 0
        yield HEADER.pack(kind, flags, 0, turn, 0, len(piece), number) + piece


async def say(socket, picture, sound, rate, codec):
    """Sends everything: the sound before the picture, so that the avatar speaks from its first frame on."""
    create = {"type": "session.create", "reference": "upload", "agent_rate": rate, "codecs": [codec], "seed": 1}
    await socket.send(json.dumps(create))
    for unit in pieces(AGENT, 1, sound):
        await socket.send(unit)
    await socket.send(json.dumps({"type": "audio.end", "turn": 1}))
    for unit in pieces(REFERENCE, 0, picture):
        await socket.send(unit)


async def report(socket, player):
    """Reports the position regularly: the server makes no more than a chunk beyond what is being played."""
    while True:
        await asyncio.sleep(REPORT_S)
        if player.begun is not None:
            await socket.send(json.dumps({"type": "playback.position", "position_us": player.now_us()}))


async def hear(socket, player, out, sound):
    """Keeps pictures and sound until the turn has been played; returns the number of pictures."""
    video = None
    async for message in socket:
        if isinstance(message, bytes):
            kind, flags, _, _, time_us, _, _ = HEADER.unpack_from(message)
            if kind == VIDEO:
                video.keep(message[HEADER.size :])
            elif kind == AGENT:
                player.hear(flags, time_us)
                sound.writeframes(message[HEADER.size :])
            continue
        said = json.loads(message)
        if said["type"] != "clock":
            print(message, file=sys.stderr)
        if said["type"] == "session.created":
            video = Video(out + ".video", said["video"])
        elif said["type"] == "error" and said["fatal"]:
            raise ConnectionError(said["message"])
        elif said["type"] == "playback.finished":
            video.file.close()
            return video.count
    raise ConnectionError("the server closed the connection before the turn was played")


async def run(url, picture, speech, out, codec):
    with wave.open(speech) as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2) or file.getframerate() not in (16000, 24000):
            raise ValueError(f"{speech}: expected 16-bit mono PCM at 16 or 24 kHz")
        rate, sound = file.getframerate(), file.readframes(file.getnframes())
    with open(picture, "rb") as file:
        reference = file.read()
    token = os.environ.get("STREAMAVATAR_TOKEN")
    protocols = ["streamavatar.1"] + (["token." + token] if token else [])
    address = "ws" + url.removeprefix("http").rstrip("/") + "/v1/session"
    player = Player()
    async with websockets.connect(address, subprotocols=protocols, max_size=1 << 24, compression=None) as socket:
        with wave.open(out + ".wav", "wb") as kept:
            kept.setparams((1, 2, rate, 0, "NONE", None))
            work = report(socket, player), say(socket, reference, sound, rate, codec)
            others = [asyncio.create_task(one) for one in work]
            pictures = await hear(socket, player, out, kept)
            for task in others:
                task.cancel()
            print(f"{pictures} pictures, {kept.getnframes() / rate:.2f} s of sound", file=sys.stderr)


def main():
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    codec = sys.argv[5] if len(sys.argv) > 5 else "vp8"
    try:
        asyncio.run(run(*sys.argv[1:5], codec))
    except (OSError, EOFError, ValueError, wave.Error, websockets.WebSocketException) as error:
        sys.exit(f"client.py: {error}")


if __name__ == "__main__":
    main()

"""streamavatar_live.py: a session of `serve` for programs in Python: speaks the protocol of docs/protocol.md with
asyncio and the package `websockets` (10.4 or later). pipecat_avatar.py and livekit_avatar.py in this folder use it.

    async with Live("ws://127.0.0.1:8080", reference=open("me.png", "rb").read()) as live:
        await live.say(pcm)                  # 16-bit mono at agent_rate, as much and as early as there is
        await live.end()                     # the turn is complete
        async for moment in live.play():     # one every 40 ms, at its time
            show(moment.picture, moment.sound)

Pictures come as raw rgb24 rows, so that nothing has to be decoded; that suits programs on the server's machine."""
import asyncio
import json
import struct
import time
from collections import deque
from dataclasses import dataclass

import websockets

HEADER = struct.Struct("<BBHIqII")  # kind, flags, 0, turn, time in microseconds, length, sequence
VIDEO, AGENT, USER, REFERENCE = 1, 2, 3, 4
KEY, FIRST, LAST = 1, 2, 4
PIECE = 1 << 17  # bytes of speech in a unit; the server takes up to a mebibyte
FRAME_US, HAND_US, LATE_US, REPORT_US = 40000, 40000, 20000, 200000


class Refused(Exception):
    """The server refused or ended the session; the text is its `error` message or its close code."""


@dataclass
class Moment:
    """40 ms of the avatar."""
    time_us: int       # media time, microseconds
    turn: int          # number of the turn that is spoken; 0: none
    sound: bytes       # 16-bit mono at the session's agent_rate
    picture: bytes     # rgb24 rows; None: the server had to drop it
    last: bool         # True: the turn's speech ends with this moment


class Live:
    """One session. `created` is the server's session.created, `width` and `height` are the picture's. `on_message` is a
    coroutine function that gets every other message of the server: state, playback.started, playback.finished,
    error."""

    def __init__(self, address, reference=None, token=None, agent_rate=24000, user_rate=16000, on_message=None, **keys):
        self.address = address.rstrip("/") + "/v1/session"
        self.reference, self.token, self.on_message = reference, token, on_message
        self.agent_rate, self.user_rate, self.keys = agent_rate, user_rate, keys
        self.created, self.turn, self.speaking = None, 0, False
        self._sequence = [0] * 5
        self._sounds, self._pictures = deque(), deque()
        self._news = asyncio.Event()   # set when units have come, or the connection has ended
        self._room = asyncio.Event()   # set when there may be room for more speech
        self._waiting = {}             # by turn: seconds of speech that were sent and have not come back
        self._base = self._from = 0    # our clock at media time 0; media time before which all was interrupted
        self._position, self._ended, self._quiet = None, None, 0

    async def __aenter__(self):
        protocols = ["streamavatar.1"] + (["token." + self.token] if self.token else [])
        self._socket = await websockets.connect(self.address, subprotocols=protocols, max_size=None, compression=None)
        create = {"type": "session.create", "agent_rate": self.agent_rate, "user_rate": self.user_rate,
                  "codecs": ["raw"], "playback": "reported", **self.keys}
        if self.reference is not None:
            create["reference"] = "upload"
        await self.tell(**create)
        for at in range(0, len(self.reference or b""), PIECE):
            last = at + PIECE >= len(self.reference)
            await self._unit(REFERENCE, LAST if last else 0, 0, self.reference[at:at + PIECE])
        begun = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(begun))
        self.created = await begun
        self.width, self.height = self.created["video"]["width"], self.created["video"]["height"]
        self._most = self.created["speech_s"] / 2
        return self

    async def __aexit__(self, *_):
        self._reader.cancel()
        await self._socket.close(1000)

    # ---- to the server ----

    async def tell(self, **message):
        await self._socket.send(json.dumps(message))

    async def _unit(self, kind, flags, turn, payload):
        head = HEADER.pack(kind, flags, 0, turn, 0, len(payload), self._sequence[kind])
        self._sequence[kind] += 1
        await self._socket.send(head + payload)

    async def say(self, pcm):
        """Sends speech; the first after end() or interrupt() begins a turn. Waits while a minute of it is unspoken."""
        if not self.speaking:
            self.turn, self.speaking = self.turn + 1, True
        turn = self.turn
        for at in range(0, len(pcm), PIECE):
            piece = pcm[at:at + PIECE]
            while self._seconds() > self._most and turn == self.turn and self.speaking:
                self._room.clear()
                await self._room.wait()
            if turn != self.turn or not self.speaking:
                return  # interrupted meanwhile
            self._waiting[turn] = self._waiting.get(turn, 0) + len(piece) / 2 / self.agent_rate
            await self._unit(AGENT, 0, turn, piece)

    def _seconds(self):
        return sum(self._waiting.values())

    async def end(self):
        if self.speaking:
            self.speaking = False
            await self.tell(type="audio.end", turn=self.turn)

    async def interrupt(self):
        """Ends all speech that is being spoken or waits; playback.finished says how far each turn came."""
        self.speaking = False
        self._waiting.clear()
        self._room.set()
        self._quiet = self.turn  # turns up to this one are silent, as far as they are on their way here
        if self.turn:
            await self.tell(type="interrupt", turn=self.turn)

    async def hear(self, pcm):
        """Sends the user's sound at user_rate, in real time, best in pieces of 20 ms."""
        await self._unit(USER, 0, 0, pcm)

    # ---- from the server ----

    async def _read(self, begun):
        try:
            async for data in self._socket:
                if isinstance(data, bytes):
                    self._take(data)
                else:
                    await self._hear(json.loads(data), begun)
            raise Refused(f"the server closed the connection (close code {self._socket.close_code})")
        except Exception as error:  # play() raises it
            self._ended = error
            if not begun.done():
                begun.set_exception(error)
            self._news.set()
            self._room.set()

    async def _hear(self, message, begun):
        if message["type"] == "session.created":
            begun.set_result(message)
            return
        if message["type"] == "error" and message["fatal"]:
            raise Refused(f"{message['code']}: {message['message']}")
        if message["type"] == "playback.finished":
            self._waiting.pop(message["turn"], None)
            self._room.set()
            if message["interrupted"] and message["next_us"]:
                self._flush(message["next_us"])
        if self.on_message:
            await self.on_message(message)

    def _flush(self, before):
        self._from = before
        for queue in (self._sounds, self._pictures):
            while queue and queue[0][0] < before:
                queue.popleft()

    def _take(self, data):
        kind, flags, _, turn, at, _, _ = HEADER.unpack_from(data)
        if at < self._from or kind not in (VIDEO, AGENT):
            return
        if kind == VIDEO:
            self._pictures.append((at, data))
        else:
            self._set_clock(flags & FIRST, at)
            self._sounds.append((at, flags, turn, data[HEADER.size:]))
        self._news.set()

    # ---- the clock ----

    @staticmethod
    def _now():
        return time.monotonic_ns() // 1000

    def _set_clock(self, first, at):
        """Sets the clock by a unit of sound. One that comes too late is due now, and all later ones are delayed by as
        much: lost time is not made up."""
        late = self._now() - (at + self._base)
        if first:
            self._flush(at)
            self._base = self._now() + HAND_US - at
        elif late > LATE_US:
            self._base += late

    async def _due(self):
        """Waits for the next unit of sound and its time, and returns it."""
        while True:
            while not self._sounds:
                if self._ended:
                    raise self._ended
                self._news.clear()
                await self._news.wait()
            wait = self._sounds[0][0] + self._base - self._now()
            if wait <= 0:
                return self._sounds.popleft()
            self._news.clear()
            try:  # the unit may be thrown away while it waits
                await asyncio.wait_for(self._news.wait(), wait / 1e6)
            except asyncio.TimeoutError:
                pass

    def _picture(self, at):
        picture = None
        while self._pictures and self._pictures[0][0] <= at:
            time_us, data = self._pictures.popleft()
            picture = data[HEADER.size:] if time_us == at else None
        return picture

    async def _report(self, at):
        if self._position is None or abs(at - self._position) >= REPORT_US:
            self._position = at
            await self.tell(type="playback.position", position_us=at)

    async def play(self):
        """Yields the avatar's moments as they are to be shown and heard; ends with the connection."""
        while True:
            at, flags, turn, sound = await self._due()
            if turn in self._waiting:
                self._waiting[turn] = max(0, self._waiting[turn] - FRAME_US / 1e6)
                self._room.set()
            await self._report(at)
            if turn <= self._quiet:
                turn, sound = 0, bytes(len(sound)) if turn else sound
            yield Moment(at, turn, sound, self._picture(at), bool(turn and flags & LAST))

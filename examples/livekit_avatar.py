"""livekit_avatar.py: an avatar of `serve` in a LiveKit room (tried with livekit-agents 1.8.9 and livekit 1.1.21).

It runs as a worker that joins a room on behalf of an agent and takes the agent's sound by DataStream:

    livekit_avatar.py ROOM_URL ROOM_TOKEN ws://127.0.0.1:8080 [PICTURE]

or in the agent's own process, behind a QueueAudioOutput:

    session.output.audio = QueueAudioOutput(sample_rate=24000)
    async with Live("ws://127.0.0.1:8080") as live:
        runner = AvatarRunner(room, audio_recv=session.output.audio, video_gen=StreamAvatarGenerator(live),
                              options=options_of(live))
        await runner.start()

AvatarRunner publishes what the generator yields, and sends the agent playback_started and playback_finished with the
position. An interruption comes as clear_buffer and ends the turn at the server too."""
import asyncio
import sys

from livekit import rtc
from livekit.agents.voice.avatar import (AudioSegmentEnd, AvatarOptions, AvatarRunner, DataStreamAudioReceiver,
                                         VideoGenerator)

from streamavatar_live import Live


def options_of(live):
    return AvatarOptions(video_width=live.width, video_height=live.height, video_fps=25,
                         audio_sample_rate=live.agent_rate, audio_channels=1)


class StreamAvatarGenerator(VideoGenerator):
    def __init__(self, live):
        self.live = live
        self._resampler, self._rate = None, live.agent_rate

    async def push_audio(self, frame):
        if isinstance(frame, AudioSegmentEnd):
            if self._resampler:
                await self._say(self._resampler.flush())
            await self.live.end()
            return
        if frame.sample_rate != self._rate:
            self._rate = frame.sample_rate
            self._resampler = rtc.AudioResampler(frame.sample_rate, self.live.agent_rate,
                                                 num_channels=frame.num_channels)
        await self._say(self._resampler.push(frame) if self._resampler else [frame])

    async def _say(self, frames):
        """Sends sound to the avatar; of several channels it takes the first."""
        for frame in frames:
            await self.live.say(bytes(frame.data[::frame.num_channels]))

    async def clear_buffer(self):
        await self.live.interrupt()

    async def __aiter__(self):
        """Yields pictures, and sound only while a turn is spoken: its length is the turn's position to the runner."""
        live = self.live
        async for moment in live.play():
            if moment.picture:
                yield rtc.VideoFrame(live.width, live.height, rtc.VideoBufferType.RGB24, moment.picture)
            if moment.turn:
                yield rtc.AudioFrame(moment.sound, live.agent_rate, 1, len(moment.sound) // 2)
            if moment.last:
                yield AudioSegmentEnd()


async def listen(track, live):
    """Lets the avatar listen to a participant's microphone."""
    sound = rtc.AudioStream.from_track(track=track, sample_rate=live.user_rate, num_channels=1, frame_size_ms=20)
    async for event in sound:
        await live.hear(bytes(event.frame.data))


async def main(url, token, address, picture=None):
    reference = open(picture, "rb").read() if picture else None
    room, ears = rtc.Room(), set()
    async with Live(address, reference) as live:

        @room.on("track_subscribed")
        def on_track(track, publication, participant):
            if track.kind == rtc.TrackKind.KIND_AUDIO:
                ears.add(asyncio.create_task(listen(track, live)))

        await room.connect(url, token)
        runner = AvatarRunner(room, audio_recv=DataStreamAudioReceiver(room), video_gen=StreamAvatarGenerator(live),
                              options=options_of(live))
        await runner.start()
        try:
            await runner.wait_for_complete()
        finally:
            await runner.aclose()
            await room.disconnect()


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit("usage: livekit_avatar.py ROOM_URL ROOM_TOKEN SERVER [PICTURE]")
    asyncio.run(main(*sys.argv[1:]))

"""pipecat_avatar.py: an avatar of `serve` as a video service of a Pipecat pipeline (tried with pipecat-ai 1.14):

    Pipeline([transport.input(), stt, llm, tts, StreamAvatarVideoService("ws://127.0.0.1:8080"), transport.output()])

It takes the speech of the TTS service as fast as that comes, and hands on pictures and sound of 40 ms, each at its
time, so that the transport's BotStartedSpeaking and BotStoppedSpeaking are true to what is heard. An InterruptionFrame
ends the turn at the server too. The user's sound goes to the avatar, which listens to it. The transport needs
audio_out_enabled, video_out_enabled, and the avatar's size in video_out_width and video_out_height."""
import asyncio

from pipecat.audio.utils import create_stream_resampler
from pipecat.frames.frames import (CancelFrame, EndFrame, Frame, InputAudioRawFrame, InterruptionFrame,
                                   OutputImageRawFrame, StartFrame, TTSAudioRawFrame, TTSStoppedFrame)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from streamavatar_live import Live



class StreamAvatarVideoService(FrameProcessor):
    """The service. `reference`: bytes of a picture file; without it the server's own person speaks. Further keys go
    into session.create (docs/protocol.md)."""

    def __init__(self, address, reference=None, *, token=None, agent_rate=24000, name=None, **keys):
        super().__init__(name=name)
        self.live = Live(address, reference, token, agent_rate, on_message=self._on_message, **keys)
        self._to_agent, self._to_user = create_stream_resampler(), create_stream_resampler()
        self._contexts = {}  # TTS context of each turn that has not been spoken to its end
        self._spoken = asyncio.Event()
        self._spoken.set()
        self._player = None

    async def process_frame(self, frame: Frame, direction: FrameDirection):
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            return await self._say(frame)
        if isinstance(frame, TTSStoppedFrame) and self.live.speaking:
            self._contexts[self.live.turn] = frame.context_id
            return await self.live.end()  # the frame is passed on when the turn has been heard
        if isinstance(frame, StartFrame):
            await self._open()
        elif isinstance(frame, InterruptionFrame):
            await self.live.interrupt()
            self._contexts.clear()
            self._spoken.set()
        elif isinstance(frame, InputAudioRawFrame):
            await self.live.hear(await self._to_user.resample(frame.audio, frame.sample_rate, self.live.user_rate))
        elif isinstance(frame, EndFrame):
            await self.live.end()
            await self._spoken.wait()
            await self._close()
        elif isinstance(frame, CancelFrame):
            await self._close()
        await self.push_frame(frame, direction)

    async def cleanup(self):
        await super().cleanup()
        await self._close()

    async def _say(self, frame):
        self._spoken.clear()
        await self.live.say(await self._to_agent.resample(frame.audio, frame.sample_rate, self.live.agent_rate))

    async def _open(self):
        await self.live.__aenter__()
        self._player = self.create_task(self._play())

    async def _close(self):
        if self._player:
            player, self._player = self._player, None
            await self.cancel_task(player)
            await self.live.__aexit__()

    async def _play(self):
        try:
            async for moment in self.live.play():
                await self._hand_on(moment)
        except Exception as error:
            self._spoken.set()
            await self.push_error(f"the connection to the avatar's server is lost: {error}", exception=error)

    async def _hand_on(self, moment):
        """Passes on a moment, the picture first: the transport shows it after the sound that it was given before."""
        if moment.picture:
            picture = OutputImageRawFrame(image=moment.picture, size=(self.live.width, self.live.height), format="RGB")
            picture.sync_with_audio = True
            await self.push_frame(picture)
        if moment.turn:
            await self.push_frame(TTSAudioRawFrame(moment.sound, self.live.agent_rate, 1,
                                                   context_id=self._contexts.get(moment.turn)))
        if moment.last:
            await self.push_frame(TTSStoppedFrame(context_id=self._contexts.pop(moment.turn, None)))
            if not self._contexts and not self.live.speaking:
                self._spoken.set()

    async def _on_message(self, message):
        """Gets the server's messages state, playback.started, playback.finished and error; for subclasses."""

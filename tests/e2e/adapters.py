"""adapters.py ADDRESS SPEECH: what adapters.sh does with the adapters of examples/, against the packages that are
there, in a loop without any service of theirs: a turn spoken whole, faster than real time; a turn interrupted. SPEECH
is raw 16-bit mono PCM at 16 kHz. Prints the figures, a line for each check that fails, then "N passed, N failed, N
skipped"."""
import asyncio
import importlib.util
import sys
import time

sys.path.insert(0, "examples")
address, speech = sys.argv[1], open(sys.argv[2], "rb").read()
RATE, PIECE = 16000, 3200  # 100 ms a piece
passed = failed = skipped = 0


def check(what, good):
    global passed, failed
    if good:
        passed += 1
        return
    failed += 1
    print("FAILED:", what)


class Log:
    """When what arrived; pictures and sounds with the media times that Live.play gave them."""

    def __init__(self, live):
        self.pictures, self.sounds, self.events, self.finished = [], [], [], []
        self.times = {}
        play = live.play

        async def noted():
            async for moment in play():
                for media in (moment.picture, moment.sound):  # None: seen twice, so it tells no time
                    self.times[media] = None if media in self.times else moment.time_us
                yield moment

        async def on_message(message):
            if message["type"] == "playback.finished":
                self.finished.append((time.monotonic(), message))

        live.play, live.on_message = noted, on_message

    def event(self, name):
        self.events.append((time.monotonic(), name))

    def at(self, name):
        return next((at for at, what in self.events if what == name), None)

    def apart(self):
        """Milliseconds by which a picture came later than the sound of its media time."""
        heard = {self.times[sound]: at for at, sound in self.sounds if self.times.get(sound) is not None}
        return sorted(1000 * (at - heard[self.times[p]]) for at, p in self.pictures if self.times.get(p) in heard)


async def until(condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.01)
    return True


def report(name, log, interrupted):
    apart = log.apart() or [float("nan")]
    done = next(at for at, message in log.finished if message["interrupted"])
    position = next(message for _, message in log.finished if message["interrupted"])["position_us"] / 1e6
    print(f"{name}: {len(log.pictures)} pictures, {len(log.sounds)} pieces of sound; picture later than its sound by "
          f"{apart[len(apart) // 2]:.0f} ms at the median, {apart[0]:.0f} to {apart[-1]:.0f}; interrupt to "
          f"playback.finished {1000 * (done - interrupted):.0f} ms, {position:.2f} s spoken")
    check(f"{name}: sound and picture are together", abs(apart[len(apart) // 2]) <= 40)


# ---- Pipecat ----

async def pipecat():
    from pipecat.frames.frames import (BotStartedSpeakingFrame, BotStoppedSpeakingFrame, EndFrame, InterruptionFrame,
                                       InputAudioRawFrame, TTSAudioRawFrame, TTSStartedFrame, TTSStoppedFrame)
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineParams, PipelineWorker
    from pipecat.processors.frame_processor import FrameProcessor
    from pipecat.transports.base_output import BaseOutputTransport
    from pipecat.transports.base_transport import TransportParams
    from pipecat.workers.runner import WorkerRunner
    from pipecat_avatar import StreamAvatarVideoService

    avatar = StreamAvatarVideoService(address, agent_rate=RATE)
    log = Log(avatar.live)

    class Loudspeaker(BaseOutputTransport):
        """A transport that plays in real time, to nobody."""

        async def start(self, frame):
            await super().start(frame)
            await self.set_transport_ready(frame)

        async def write_audio_frame(self, frame):
            log.sounds.append((time.monotonic(), frame.audio))
            await asyncio.sleep(len(frame.audio) / 2 / frame.sample_rate)
            return True

        async def write_video_frame(self, frame):
            if not log.pictures or log.pictures[-1][1] != frame.image:  # it shows the newest again and again
                log.pictures.append((time.monotonic(), frame.image))
            return True

    class Watch(FrameProcessor):
        async def process_frame(self, frame, direction):
            await super().process_frame(frame, direction)
            if isinstance(frame, (BotStartedSpeakingFrame, BotStoppedSpeakingFrame, TTSStoppedFrame)):
                log.event(type(frame).__name__)
            await self.push_frame(frame, direction)

    size = {"video_out_width": 8, "video_out_height": 8}  # configs/tiny.yaml's
    out = Loudspeaker(TransportParams(audio_out_enabled=True, audio_out_sample_rate=RATE, video_out_enabled=True,
                                      video_out_framerate=50, **size))
    worker = PipelineWorker(Pipeline([avatar, out, Watch()]), cancel_on_idle_timeout=False, enable_rtvi=False,
                            params=PipelineParams(audio_out_sample_rate=RATE))
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    check("Pipecat: pictures while nobody speaks", await until(lambda: len(log.pictures) > 10))

    async def turn():
        log.events.clear()
        await worker.queue_frame(TTSStartedFrame())
        for at in range(0, len(speech), PIECE):
            await worker.queue_frame(TTSAudioRawFrame(speech[at:at + PIECE], RATE, 1))
        await worker.queue_frame(TTSStoppedFrame())

    for _ in range(10):
        await worker.queue_frame(InputAudioRawFrame(bytes(640), RATE, 1))
    await turn()
    check("Pipecat: begins to speak", await until(lambda: log.at("BotStartedSpeakingFrame")))
    check("Pipecat: ends", await until(lambda: log.at("BotStoppedSpeakingFrame")))
    spoken = (log.at("BotStoppedSpeakingFrame") or 0) - (log.at("BotStartedSpeakingFrame") or 0)
    check(f"Pipecat: bot speaks for as long as its speech lasts: {spoken:.2f} s",
          0 <= spoken - len(speech) / 32000 < 0.5)
    check("Pipecat: the server says that it was spoken", await until(lambda: log.finished))
    check("Pipecat: whole", log.finished[0][1]["position_us"] == len(speech) // 2 * 1000000 // RATE)
    await turn()
    await until(lambda: log.at("BotStartedSpeakingFrame"))
    await asyncio.sleep(0.5)
    log.events.clear()
    interrupted, before = time.monotonic(), len(log.sounds)
    await worker.queue_frame(InterruptionFrame())
    check("Pipecat: is interrupted", await until(lambda: log.at("BotStoppedSpeakingFrame") and len(log.finished) == 2))
    await asyncio.sleep(0.5)
    check("Pipecat: not spoken whole", log.finished[1][1]["interrupted"])
    check("Pipecat: nothing more is heard", len(log.sounds) - before <= 2)
    check("Pipecat: nor does it begin again", not log.at("BotStartedSpeakingFrame"))
    report("Pipecat", log, interrupted)
    seen = len(log.pictures)
    check("Pipecat: pictures go on", await until(lambda: len(log.pictures) > seen + 10))
    await turn()
    await worker.queue_frame(EndFrame())
    await asyncio.wait_for(running, 20)
    spoken = (log.at("BotStoppedSpeakingFrame") or 0) - (log.at("BotStartedSpeakingFrame") or 0)
    check("Pipecat: an end waits for what is being said", spoken >= len(speech) / 32000)


# ---- LiveKit ----

async def livekit():
    from livekit import rtc
    from livekit.agents.voice.avatar import AvatarRunner, QueueAudioOutput
    from livekit_avatar import StreamAvatarGenerator, options_of
    from streamavatar_live import Live

    class Publication:
        async def wait_for_subscription(self):
            return

    class Room(rtc.EventEmitter):
        """A room with nobody in it: tracks are published to no server; what their sources take is seen below."""

        def __init__(self):
            super().__init__()
            self.local_participant, self.tracks = self, []

        def isconnected(self):
            return True

        async def publish_track(self, track, options):
            self.tracks.append(track)
            return Publication()

    async with Live(address, agent_rate=RATE) as live:
        log, room = Log(live), Room()
        agent = QueueAudioOutput(sample_rate=RATE)
        ends = []
        agent.on("playback_finished", lambda event: ends.append((time.monotonic(), event)))
        runner = AvatarRunner(room, audio_recv=agent, video_gen=StreamAvatarGenerator(live), options=options_of(live))
        take_picture, take_sound = runner._video_source.capture_frame, runner._audio_source.capture_frame

        def picture(frame, **more):
            log.pictures.append((time.monotonic(), bytes(frame.data)))
            take_picture(frame, **more)

        async def sound(frame):
            log.sounds.append((time.monotonic(), bytes(frame.data)))
            await take_sound(frame)

        runner._video_source.capture_frame, runner._audio_source.capture_frame = picture, sound
        await runner.start()
        check("LiveKit: pictures while nobody speaks", await until(lambda: len(log.pictures) > 10))
        check("LiveKit: both tracks are published", len(room.tracks) == 2)

        async def turn():
            for at in range(0, len(speech), PIECE):
                piece = speech[at:at + PIECE]
                await agent.capture_frame(rtc.AudioFrame(piece, RATE, 1, len(piece) // 2))
            agent.flush()

        await turn()
        check("LiveKit: the agent learns of the end", await until(lambda: ends))
        position = ends[0][1].playback_position if ends else 0
        check(f"LiveKit: not interrupted, whole: {position:.2f} s",
              ends and not ends[0][1].interrupted and abs(position - len(speech) / 32000) <= 0.04)
        check("LiveKit: so does the server",
              await until(lambda: log.finished) and not log.finished[0][1]["interrupted"])
        await turn()
        before = len(log.sounds)
        await until(lambda: len(log.sounds) > before + 20)
        interrupted = time.monotonic()
        agent.clear_buffer()
        check("LiveKit: is interrupted", await until(lambda: len(ends) == 2 and len(log.finished) == 2))
        ours, theirs = log.finished[1][1]["position_us"] / 1e6, ends[1][1].playback_position
        print(f"LiveKit: clear_buffer to playback_finished {1000 * (ends[1][0] - interrupted):.0f} ms, "
              f"at {theirs:.2f} s")
        check("LiveKit: as interrupted", ends[1][1].interrupted and log.finished[1][1]["interrupted"])
        check(f"LiveKit: at the same place: {ours:.2f}, {theirs:.2f} s", abs(ours - theirs) <= 0.25)
        after = len(log.sounds)
        await asyncio.sleep(0.5)
        check("LiveKit: nothing more is heard", len(log.sounds) - after <= 1)
        report("LiveKit", log, interrupted)
        await runner.aclose()


for name, package, test in (("Pipecat", "pipecat", pipecat), ("LiveKit", "livekit", livekit)):
    if importlib.util.find_spec(package):
        asyncio.run(test())
    else:
        skipped += 1
        print(f"skipped: {name}: no package {package}")
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(failed > 0)

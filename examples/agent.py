#!/usr/bin/env python3
"""agent.py: an agent for `serve` that joins three programs of yours. Each is a command line in the environment:

    HEAR    reads a WAV file (16 kHz, mono: what the user said between two pauses) and writes it in words
    THINK   reads the user's words and writes the answer; each line is spoken as soon as it is there
    SPEAK   reads a line and writes it as sound: 16-bit mono PCM, little-endian, 24 kHz, without a header

    HEAR='whisper-cli -m base.en.bin -nt -np -f -' THINK='llama-cli -m chat.gguf -no-cnv --no-display-prompt -f -' \\
    SPEAK='piper -m voice.onnx --output_raw | ffmpeg -v error -f s16le -ar 22050 -ac 1 -i - -f s16le -ar 24000 -' \\
        streamavatar serve STUDENT reference=me.png agent='python3 examples/agent.py'

Without HEAR it answers typed words only; without THINK it repeats the user's words. The file that $CONVERSATION names
tells THINK what was said before, in lines "user: ..." and "agent: ...". For SPEAK `streamavatar agent speak` will do.

It shows what an agent has to do (docs/serving.md, "An agent of your own"): listen between listening.start and
listening.stop, end each turn by audio.end, and stop at once when it is interrupted. It uses Python's own library
only."""
import io
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import wave

RATE = 16000
BEFORE = RATE  # bytes of sound kept from before listening.start: half a second, so that the first word is whole
MOST = 2 * RATE * 60  # bytes of the user's speech that are kept: a minute


class Agent:
    def __init__(self):
        self.commands = {name: os.environ.get(name, "") for name in ("HEAR", "THINK", "SPEAK")}
        self.tells = os.fdopen(4, "w", buffering=1, encoding="utf-8")
        self.jobs = queue.Queue()  # (interruptions so far, words or a sound)
        self.lock = threading.RLock()  # reentrant, because a signal may come while it is held
        self.interruptions = 0
        self.running = []
        self.listening = False
        self.heard = bytearray()
        self.conversation = tempfile.NamedTemporaryFile("w", prefix="conversation", buffering=1, encoding="utf-8")

    def tell(self, **message):
        self.tells.write(json.dumps(message) + "\n")

    # ---- what the user does ----

    def listen(self):
        """Reads the user's sound as it comes; keeps what comes between listening.start and listening.stop."""
        while piece := os.read(0, 4096):
            with self.lock:
                self.heard += piece
                most = MOST if self.listening else BEFORE
                del self.heard[:max(0, len(self.heard) - most) // 2 * 2]
        self.leave()

    def take(self, message):
        kind = message.get("type")
        if kind == "text":
            self.jobs.put((self.interruptions, message["text"]))
        elif kind == "interrupt":
            self.interrupt()
        elif kind == "listening.start":
            self.listening = True
        elif kind == "listening.stop":
            with self.lock:
                sound, self.heard, self.listening = bytes(self.heard), bytearray(), False
            if self.commands["HEAR"]:
                self.jobs.put((self.interruptions, sound))

    def interrupt(self):
        with self.lock:
            self.interruptions += 1
            for process in self.running:
                os.killpg(process.pid, signal.SIGKILL)

    def leave(self, *_):
        self.interrupt()
        self.conversation.close()
        os._exit(0)

    # ---- what it does ----

    def start(self, name, job):
        """Starts one of the three programs in a process group of its own; None: its job was interrupted."""
        with self.lock:
            if job != self.interruptions:
                return None
            process = subprocess.Popen(self.commands[name], shell=True, start_new_session=True, close_fds=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       env={**os.environ, "CONVERSATION": self.conversation.name})
            self.running.append(process)
            return process

    def output(self, name, job, given, by_line):
        """Yields what a program writes, as it comes."""
        process = self.start(name, job)
        if not process:
            return
        threading.Thread(target=self.give, args=(process, given), daemon=True).start()
        piece = process.stdout.readline if by_line else lambda: process.stdout.read1(1 << 14)
        for data in iter(piece, b""):
            if job != self.interruptions:
                break
            yield data
        with self.lock:
            self.running.remove(process)
        process.stdout.close()
        if process.wait() and job == self.interruptions:
            print(f"agent.py: {name} ended with exit code {process.returncode}", file=sys.stderr)

    @staticmethod
    def give(process, given):
        try:
            process.stdin.write(given)
            process.stdin.close()
        except OSError:
            pass  # the program need not read to the end

    def say(self, who, words):
        self.conversation.write(f"{who}: {words}\n")
        self.tell(type="text", **{"from": who}, text=words[:1000])

    def hear(self, job, sound):
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(RATE)
            out.writeframes(sound)
        return b"".join(self.output("HEAR", job, file.getvalue(), True)).decode(errors="replace").strip()

    def answer(self, job, given):
        """Hears, thinks and speaks; returns the bytes of sound that were written."""
        said = 0
        words = given if isinstance(given, str) else self.hear(job, given)
        if not words:
            return said
        if given is words:
            self.conversation.write(f"user: {words}\n")
        else:
            self.say("user", words)
        lines = self.output("THINK", job, words.encode() + b"\n", True) if self.commands["THINK"] else [words.encode()]
        for line in lines:
            line = line.decode(errors="replace").strip()
            if not line:
                continue
            self.say("agent", line)
            for pcm in self.output("SPEAK", job, line.encode() + b"\n", False):
                sys.stdout.buffer.write(pcm)
                sys.stdout.buffer.flush()
                said += len(pcm)
        return said

    def work(self):
        while True:
            job, given = self.jobs.get()
            said = self.answer(job, given)
            self.tell(type="audio.end", **({} if said % 2 else {"samples": said // 2}))

    def run(self):
        if not self.commands["SPEAK"]:
            sys.exit("agent.py: set SPEAK in the environment: a command line that turns a line of text into sound")
        signal.signal(signal.SIGTERM, self.leave)
        threading.Thread(target=self.listen, daemon=True).start()
        threading.Thread(target=self.work, daemon=True).start()
        for line in os.fdopen(3, encoding="utf-8"):
            self.take(json.loads(line))
        self.leave()


Agent().run()

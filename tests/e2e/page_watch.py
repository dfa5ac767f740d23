"""page_watch.py CHROMIUM ADDRESS VOICE SPEECH SECONDS: a headless Chromium talks to a server's page for so long: its
microphone is on (VOICE), and it has SPEECH (WAV) spoken again and again. Prints, in milliseconds, what the page saw:
    apart MEDIAN MOST          a picture behind the sound when it was shown
    drift CHANGE               of that median, from the first fifth of the time to the last
    heard MEDIAN 99% COUNT     from the last sound that a chunk heard to its first picture on the canvas
    calm MEDIAN 99% COUNT      the same of the chunks that came within their lead, without what the page asked for
                               beyond that lead as sound had run out: what is left where the machine is quiet
    design HEARD LEAD SHOWN    medians of its parts, as chosen: sound waits for the chunk to be due, what is in hand
                               then, what its end still waits for (loudspeaker and screen)
    compute MEDIAN 99%         from when the chunk was due to its arrival in the page: within the lead it costs nothing
    parts WAIT WORK CODE WAY   medians of that: device busy, made, first picture coded, sent to the page
    shown COUNT                pictures
    dry TIMES                  that the sound ran out
    sound OUT BASE TRIP        the browser's delay to the loudspeaker and its buffer; to the server and back
Exit 1 when the page could not be used or its console complained."""
import sys
import tempfile
import time

from browser import Browser, Tab, complaints

chromium, address, voice, speech, seconds = sys.argv[1:6]
watch = """
self.seen = { apart: [], chunks: new Map() };
const showed = show;
show = (frame, time) => {
  showed(frame, time);
  if (sound.now.running) seen.apart.push([performance.now(), picture.behind]);
};
setInterval(() => chunks.forEach(c => seen.chunks.set(c.from_us, c)), 1000);
"""
result = ("({ apart: seen.apart, chunks: [...seen.chunks.values()], dry: sound.now.dry,"
          " out: 1000 * sound.context.outputLatency, base: 1000 * sound.context.baseLatency,"
          " trip: session.trip / 1000 })")


def share(values, part):
    ordered = sorted(values)
    return ordered[round(part * (len(ordered) - 1))] if ordered else float("nan")


def line(name, *figures):
    print(name, *(f"{figure:.1f}" for figure in figures))


def use(browser):
    tab = Tab(browser)
    if not tab.wait("face.image || face.kind === 'default'"):
        return None
    tab.click("connect")
    if not tab.wait("session.created && picture.shown > 3"):
        return None
    tab.click("microphone")
    tab.wait("sound.stream")
    tab.get(watch)
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        if tab.get("!speech.turns.size"):
            tab.choose("sound", speech)
        time.sleep(min(2, max(0, end - time.monotonic())))
    return tab.get(result)


with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    browser = Browser(chromium, address, voice, "", profile)
    try:
        seen = use(browser)
        browser.call("Browser.close")
    finally:
        browser.process.terminate()
        browser.process.wait()
if not seen or not seen["apart"]:
    sys.exit(f"page_watch.py: no pictures: {complaints}")
apart = [us / 1000 for _, us in seen["apart"]]
fifth = max(1, len(apart) // 5)
line("apart", share(apart, 0.5), max(apart))
line("drift", share(apart[-fifth:], 0.5) - share(apart[:fifth], 0.5))
chunks = [c for c in seen["chunks"] if c["shown"] > 0 and c.get("user_us")]
heard = [(c["shown"] - c["user_us"]) / 1000 for c in chunks]
compute = [(c["arrived"] - c["due_us"]) / 1000 for c in chunks]
line("heard", share(heard, 0.5), share(heard, 0.99), len(heard))
calm = [c for c in chunks if c["arrived"] < c["due_us"] + c["lead_us"]]
times = [(c["shown"] - c["user_us"]) / 1000 - c["asked"] for c in calm]
line("calm", share(times, 0.5), share(times, 0.99), len(times))
parts = [[c["due_us"] - c["user_us"], c["lead_us"], c["shown"] - c["due_us"] - c["lead_us"]] for c in calm]
line("design", *(share([part[i] / 1000 for part in parts], 0.5) for i in range(3)))
line("compute", share(compute, 0.5), share(compute, 0.99))
steps = ["due_us", "begun_us", "made_us", "coded_us", "arrived"]
line("parts", *(share([(c[b] - c[a]) / 1000 for c in chunks], 0.5) for a, b in zip(steps, steps[1:])))
line("shown", len(apart))
line("dry", seen["dry"])
line("sound", seen["out"], seen["base"], seen["trip"])
for complaint in complaints:
    print("console:", complaint)
sys.exit(bool(complaints))

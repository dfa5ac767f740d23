"""webrtc.py CHROMIUM ADDRESS TOKEN VOICE SPEECH CODEC [FOLDER]: what webrtc.sh does with the bridge's page in a
headless Chromium: connect, listen, speak, interrupt. VOICE is what the fake microphone hears, SPEECH what the avatar
says (WAV). Prints the figures, a line for each check that fails, then "N passed, N failed". With FOLDER it leaves
screenshots there."""
import sys
import tempfile
import time

from browser import Browser, Tab, complaints

chromium, address, token, voice, speech, codec = sys.argv[1:7]
folder = sys.argv[7] if len(sys.argv) > 7 else ""
passed = failed = 0

INBOUND = """(async () => {
  const all = {};
  for (const s of (await live.peer.getStats()).values()) if (s.type === 'inbound-rtp') all[s.kind] = s;
  const { video = {}, audio = {} } = all;
  return { decoded: video.framesDecoded || 0, dropped: video.framesDropped || 0, key: video.keyFramesDecoded || 0,
           lost: (video.packetsLost || 0) + (audio.packetsLost || 0), energy: audio.totalAudioEnergy || 0,
           seconds: audio.totalSamplesDuration || 0, concealed: audio.concealedSamples || 0,
           apart: video.estimatedPlayoutTimestamp - audio.estimatedPlayoutTimestamp,
           wait: 1000 * video.jitterBufferDelay / video.jitterBufferEmittedCount };
})()"""


def check(what, good, tab):
    global passed, failed
    if good:
        passed += 1
        return
    failed += 1
    print(f"FAILED: {what}: {tab.get('$(`status`).textContent + ` ` + live.state')} {complaints}")


def settle(tab, seconds=25):
    """Until sound and picture have come together: the browser moves them by 80 ms a second at most. How long it
    took."""
    begun = time.monotonic()
    while time.monotonic() < begun + seconds:
        apart = [tab.get(f"new Promise(r => setTimeout(r, 100)).then(() => {INBOUND})").get("apart") for _ in range(8)]
        if all(a is not None and abs(a) <= 30 for a in apart):
            break
    return time.monotonic() - begun


def watch(tab):
    """Four seconds of a turn; how far sound and picture are apart at the median."""
    before, apart = tab.get(INBOUND), []
    for _ in range(40):
        apart.append(tab.get(f"new Promise(r => setTimeout(r, 100)).then(() => {INBOUND})").get("apart"))
    after = tab.get(INBOUND)
    apart = sorted(a for a in apart if a is not None)
    decoded, seconds = after["decoded"] - before["decoded"], after["seconds"] - before["seconds"]
    energy = after["energy"] - before["energy"]
    print(f"{codec}: {decoded} pictures decoded in {seconds:.2f} s of sound, energy {energy:.3f}; "
          f"{after['lost']} packets lost, {after['dropped'] - before['dropped']} pictures dropped; picture later than "
          f"sound by {apart[0]:.0f} to {apart[-1]:.0f} ms, median {apart[len(apart) // 2]:.0f}")
    check("25 pictures a second", decoded >= 0.9 * 25 * seconds and seconds > 3.5, tab)
    check("speech that is heard", energy > 0.001, tab)
    return abs(apart[len(apart) // 2])


def watch_together(tab):
    """On a machine that is busy the sound may run out, and the browser has to bring both together once more."""
    for _ in range(2):
        if watch(tab) <= 40:
            return
        settle(tab)
    check("sound and picture together", watch(tab) <= 40, tab)


def interrupt(tab):
    tab.click("interrupt")
    check("is interrupted", tab.wait("live.finished && live.finished.interrupted"), tab)
    print(f"{codec}: interrupt to playback.finished {tab.get('live.finished.at - live.interrupted'):.0f} ms, "
          f"{tab.get('live.finished.position_us') / 1e6:.2f} s spoken")
    check("and stops", tab.wait("live.state !== 'speaking'"), tab)
    time.sleep(1)  # what the browser has in its buffer
    before = tab.get(INBOUND)
    time.sleep(1)
    after = tab.get(INBOUND)
    check("in silence", after["energy"] - before["energy"] < 0.001 and after["seconds"] > before["seconds"], tab)


def talk(tab):
    tab.wait("live")
    tab.get(f"location.hash = 'token={token}'; live.codecs = ['{codec}']")
    tab.click("connect")
    check("connects", tab.wait("live.peer && live.peer.connectionState === 'connected'", 20), tab)
    check("in the codec", tab.get("live.created.video.codec") == codec, tab)
    check("shows pictures", tab.wait("$('video').videoWidth > 0 && $('video').currentTime > 0"), tab)
    check("hears the microphone", tab.wait("live.state === 'listening'", 10), tab)
    print(f"{codec}: sound and picture have come together after {settle(tab):.1f} s")
    tab.choose("sound", speech)
    check("speaks", tab.wait("live.state === 'speaking'"), tab)
    watch_together(tab)
    tab.picture("bridge-" + codec)
    tab.picture("bridge-phone-dark-" + codec, 390, 844, True)
    interrupt(tab)
    tab.click("connect")
    check("ends", tab.wait("!live.socket && !live.peer"), tab)


with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    browser = Browser(chromium, address, voice, folder, profile)
    try:
        tab = Tab(browser)
        talk(tab)
        check("nothing on the console", not complaints, tab)
        browser.call("Browser.close")
    finally:
        browser.process.terminate()
        browser.process.wait()
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)

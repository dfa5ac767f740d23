"""webrtc.py CHROMIUM ADDRESS VOICE SPEECH [CODEC]: what webrtc.sh does with the bridge's page in a headless Chromium: connect,
speak, listen, interrupt. VOICE is what the fake microphone hears, SPEECH what the avatar says (WAV). Prints the figures, a
line for each check that fails, then "N passed, N failed"."""
import sys
import tempfile

from browser import Browser, Tab, complaints

chromium, address, voice, speech = sys.argv[1:5]
codec = sys.argv[5] if len(sys.argv) > 5 else ""
passed = failed = 0

INBOUND = """(async () => {
  const all = {};
  for (const s of (await live.peer.getStats()).values()) if (s.type === 'inbound-rtp') all[s.kind] = s;
  const { video = {}, audio = {} } = all;
  return { all, decoded: video.framesDecoded || 0, dropped: video.framesDropped || 0, key: video.keyFramesDecoded || 0,
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


def talk(tab):
    tab.wait("live")
    if codec:
        tab.get(f"live.codecs = ['{codec}']")
    tab.click("connect")
    check("connects", tab.wait("live.peer && live.peer.connectionState === 'connected'", 15), tab)
    check("in the codec", not codec or tab.get("live.created.video.codec") == codec, tab)
    check("shows pictures", tab.wait("$('video').videoWidth > 0 && $('video').currentTime > 0"), tab)
    check("hears the microphone", tab.wait("live.state === 'listening'", 10), tab)
    before = tab.get(INBOUND)
    tab.choose("sound", speech)
    check("speaks", tab.wait("live.state === 'speaking'"), tab)
    apart = tab.get("(async () => { const all = []; for (let i = 0; i < 40; i++) {"
                    f" await new Promise(r => setTimeout(r, 100)); all.push((await {INBOUND}).apart); }} return all; }})()")
    after = tab.get(INBOUND)
    decoded, seconds = after["decoded"] - before["decoded"], after["seconds"] - before["seconds"]
    print(f"{tab.get('live.created.video.codec')}: {decoded} pictures decoded and {seconds:.2f} s of sound in 4 s, energy "
          f"{after['energy'] - before['energy']:.4f}; lost {after['lost']}, dropped {after['dropped']}; a picture waits "
          f"{after['wait']:.0f} ms; apart by the browser's estimate, least to most: "
          f"{sorted(round(a) for a in apart if a is not None)}")
    check("25 pictures a second", decoded >= 0.9 * 25 * seconds and seconds > 3.5, tab)
    check("that are heard", after["energy"] - before["energy"] > 0.001, tab)
    middle = sorted(abs(a) for a in apart if a is not None)
    check("sound and picture together", middle and middle[len(middle) // 2] <= 40, tab)
    tab.click("interrupt")
    check("is interrupted", tab.wait("live.finished && live.finished.interrupted"), tab)
    print(f"interrupted: finished after {tab.get('live.finished.at - live.interrupted'):.0f} ms, "
          f"{tab.get('live.finished.position_us') / 1e6:.2f} s spoken")
    check("and stops", tab.wait("live.state !== 'speaking'"), tab)
    print(1000 * after["all"]["audio"]["jitterBufferDelay"] / after["all"]["audio"]["jitterBufferEmittedCount"])
    loud = tab.get(INBOUND)
    tab.get("new Promise(r => setTimeout(r, 1000))")
    quiet = tab.get(INBOUND)
    check("in silence", quiet["energy"] - loud["energy"] < 0.001, tab)
    tab.click("connect")
    check("ends", tab.wait("!live.socket && !live.peer"), tab)


with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    browser = Browser(chromium, address, voice, "", profile)
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

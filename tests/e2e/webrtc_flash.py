"""webrtc_flash.py CHROMIUM ADDRESS VOICE: how far flash and beep of flash_server.py are apart in a headless Chromium,
behind the bridge: when the white picture is to be displayed against when the beep is to be heard. Prints "flashes N
apart_ms A to B median M": of N flashes the least, the most and the median; negative is a picture ahead of its sound.
"""
import sys
import tempfile

from browser import Browser, Tab

SETTLE_S, WATCH_S = 12, 10  # the browser moves its buffers towards each other, by 80 ms a second at most

WATCH = """(() => {
  const video = document.getElementById('video'), canvas = new OffscreenCanvas(1, 1);
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  self.seen = { flashes: [], beeps: [] };
  let white = false;
  const look = (now, { expectedDisplayTime }) => {
    pen.drawImage(video, 0, 0, 1, 1);
    const bright = pen.getImageData(0, 0, 1, 1).data[0] > 128;
    if (bright && !white) seen.flashes.push(expectedDisplayTime);
    white = bright;
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
  const context = new AudioContext(), ear = context.createScriptProcessor(256, 1, 1);
  let quiet = 1;
  ear.onaudioprocess = ({ inputBuffer, playbackTime }) => {
    const pcm = inputBuffer.getChannelData(0), at = pcm.findIndex(x => Math.abs(x) > 0.03);
    quiet += pcm.length / context.sampleRate;
    if (at < 0) return;
    if (quiet > 0.3) {
      const out = context.getOutputTimestamp(); // a script's buffers come two blocks before they are played
      const time = playbackTime - (2 * pcm.length - at) / context.sampleRate;
      seen.beeps.push(out.performanceTime + 1000 * (time - out.contextTime));
    }
    quiet = 0;
  };
  context.createMediaStreamSource(video.srcObject).connect(ear).connect(context.destination);
  return context.resume();
})()"""

with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    browser = Browser(sys.argv[1], sys.argv[2], sys.argv[3], "", profile)
    try:
        tab = Tab(browser)
        tab.wait("live")
        tab.click("connect")
        if not tab.wait("$('video').videoWidth > 0", 20):
            sys.exit("no picture came")
        tab.get(WATCH)
        tab.get(f"new Promise(r => setTimeout(r, {1000 * SETTLE_S}))")
        tab.get("seen.flashes = []; seen.beeps = []")
        tab.get(f"new Promise(r => setTimeout(r, {1000 * WATCH_S}))")
        seen = tab.get("seen")
        browser.call("Browser.close")
    finally:
        browser.process.terminate()
        browser.process.wait()
apart = [min((flash - beep for beep in seen["beeps"]), key=abs, default=None) for flash in seen["flashes"]]
apart = sorted(a for a in apart if a is not None and abs(a) < 400)
if not apart:
    sys.exit(f"no flash with a beep: {seen}")
print(f"flashes {len(apart)} apart_ms {apart[0]:.0f} to {apart[-1]:.0f} median {apart[len(apart) // 2]:.0f}")

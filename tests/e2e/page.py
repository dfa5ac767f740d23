"""page.py CHROMIUM ADDRESS VOICE SPEECH PICTURE [FOLDER]: what page.sh does with the page: drives a headless Chromium
by its DevTools protocol over a pair of pipes. VOICE is what the fake microphone hears, SPEECH what the avatar says (WAV),
PICTURE a face; all absolute paths. Prints a line for each check that fails, then "N passed, N failed". With FOLDER it
leaves screenshots there."""
import base64
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time

chromium, address, voice, speech, picture = sys.argv[1:6]
folder = sys.argv[6] if len(sys.argv) > 6 else ""
passed = failed = 0
complaints = []  # what the console had to say


class Browser:
    """Messages end with a zero byte; descriptor 3 of the browser reads them, 4 writes them."""

    def __init__(self, profile):
        read, self.out = os.pipe()
        self.into, write = os.pipe()
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
                 "--disable-background-networking", "--use-fake-device-for-media-stream",
                 "--use-file-for-fake-audio-capture=" + voice, "--user-data-dir=" + profile, "about:blank"]

        def take_pipes():  # in the child; first away from 3 and 4
            ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (read, write)]
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self.process = subprocess.Popen([chromium] + flags, pass_fds=(3, 4), preexec_fn=take_pipes,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(read)
        os.close(write)
        self.buffer, self.number = b"", 0

    def receive(self):
        while b"\0" not in self.buffer:
            piece = os.read(self.into, 1 << 16)
            if not piece:
                sys.exit("page.py: the browser has ended")
            self.buffer += piece
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, session=None, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    sys.exit(f"page.py: {method}: {answer['error']['message']}")
                return answer["result"]
            note(answer)


def note(event):
    method, params = event.get("method"), event.get("params", {})
    if method == "Runtime.exceptionThrown":
        complaints.append(params["exceptionDetails"].get("exception", {}).get("description", "exception"))
    if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
        complaints.append(str(params["args"]))
    if method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
        complaints.append(params["entry"]["text"] + " " + params["entry"].get("url", ""))


class Tab:
    def __init__(self, browser, microphone="granted", before=""):
        self.browser = browser
        context = browser.call("Target.createBrowserContext")["browserContextId"]
        for name, setting in (("microphone", microphone), ("camera", "granted")):
            browser.call("Browser.setPermission", permission={"name": name}, setting=setting,
                         origin=address.rstrip("/"), browserContextId=context)
        self.target = browser.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(domain + ".enable")
        if before:
            self.call("Page.addScriptToEvaluateOnNewDocument", source=before)
        self.call("Page.navigate", url=address)

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def get(self, expression):
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True,
                         userGesture=True)["result"].get("value")

    def wait(self, expression, seconds=8):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.get(f"(() => {{ try {{ return !!({expression}); }} catch (e) {{ return false; }} }})()"):
                return True
            time.sleep(0.05)
        return False

    def click(self, name):
        self.get(f"document.getElementById('{name}').click()")

    def key(self, name, code, text=""):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code,
                      text=text if kind == "keyDown" else "")

    def choose(self, name, path):
        node = self.call("Runtime.evaluate", expression=f"document.getElementById('{name}')")["result"]["objectId"]
        self.call("DOM.setFileInputFiles", files=[path], objectId=node)

    def picture(self, name, width=1280, height=800, dark=False):
        if not folder:
            return
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        time.sleep(0.6)
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        with open(os.path.join(folder, name + ".png"), "wb") as file:
            file.write(base64.b64decode(data))


def check(what, good, tab):
    global passed, failed
    if good:
        passed += 1
        return
    failed += 1
    shown = "['status', 'state', 'error', 'speech'].map(id => $(id).textContent).join(' | ')"
    print(f"FAILED: {what}: {tab.get(shown)} {complaints}")


def talk(tab):
    check("the faces are there", tab.wait("face.image"), tab)
    tab.picture("start-light")
    tab.get("document.getElementById('connect').focus()")
    tab.key("Enter", 13, "\r")
    check("connects by the keyboard", tab.wait("session.created && picture.shown > 3"), tab)
    check("says that the picture is made", tab.get("!$('made').hidden && $('made').checkVisibility()"), tab)
    tab.click("microphone")
    check("listens", tab.wait("session.state === 'listening'"), tab)
    check("with a meter that moves", tab.wait("sound.user > 0.01"), tab)
    tab.picture("listening-phone-dark", 390, 844, True)
    tab.choose("sound", speech)
    check("speaks", tab.wait("session.state === 'speaking' && sound.level > 0.01"), tab)
    tab.wait("picture.shown > 60", 3)
    apart = tab.get("(async () => { const all = []; for (let i = 0; i < 20; i++) {"
                    " await new Promise(r => setTimeout(r, 50)); all.push(picture.behind); } return all; })()")
    check(f"sound and picture are together: {apart}", sorted(apart)[len(apart) // 2] <= 60000 and min(apart) >= 0, tab)
    tab.picture("speaking-dark", dark=True)
    tab.picture("speaking-light")
    tab.picture("speaking-phone-light", 390, 844)
    tab.key("Escape", 27)
    check("stops when interrupted", tab.wait("$('speech').textContent.includes('interrupted after')"), tab)
    check("and listens again", tab.wait("session.state !== 'speaking' && !speech.interruptedAt"), tab)
    taken = tab.get("parseInt($('n-interrupt').textContent) || 0")
    chunk = tab.get("session.created.chunk_us / 1000")
    check(f"within a chunk and what it takes to make one: {taken} ms", 0 < taken <= 2 * chunk, tab)


def come_back(tab):
    tab.choose("sound", speech)
    tab.wait("session.state === 'speaking'")
    before, name = tab.get("picture.time"), tab.get("session.created.session")
    tab.get("session.socket.close(3001)")
    check("a broken connection is noticed", tab.wait("!session.created || session.created.resumed"), tab)
    check("and taken up again", tab.wait("session.created && session.created.resumed"), tab)
    check("in the same session", tab.get("session.created.session") == name, tab)
    check("whose pictures go on", tab.wait(f"picture.time > {before} + 800000"), tab)
    check("and the turn with them", tab.wait("session.state === 'speaking'"), tab)


def refuse(browser, tab):
    late = Tab(browser, "denied")
    late.wait("face.image")
    late.click("connect")
    check("a full server says so", late.wait("$('error').textContent.includes('full') && !$('error').hidden"), late)
    check("and the page is ready again", late.wait("$('connect').textContent === 'Connect'"), late)
    late.picture("full-phone-light", 390, 844)
    late.click("microphone")
    check("a refused microphone is said", late.wait("$('error').textContent.includes('refused the microphone')"), late)
    check("the other goes on", tab.get("session.wanted && !!session.created"), tab)
    tab.click("connect")
    check("ends", tab.wait("!session.wanted && $('connect').textContent === 'Connect'"), tab)


def other_ways(browser):
    old = Tab(browser, before="delete self.VideoDecoder")
    old.wait("face.image")
    old.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    old.choose("file", picture)
    check("a picture file is taken", old.wait("face.kind === 'upload' && face.image"), old)
    old.click("connect")
    check("shows JPEGs without WebCodecs", old.wait("picture.shown > 10 && picture.video.codec === 'mjpeg'"), old)
    check("with reduced motion", old.get("calm.matches"), old)
    old.click("connect")
    free = Tab(browser, before="const asked = VideoDecoder.isConfigSupported.bind(VideoDecoder);"
               "VideoDecoder.isConfigSupported = async c => c.codec === 'vp8' ? asked(c) : { supported: false };")
    free.wait("face.image")
    free.click("camera-open")
    check("a camera's picture is seen", free.wait("$('view').videoWidth && !$('camera').hidden"), free)
    free.picture("camera-phone-light", 390, 844)
    free.click("camera-take")
    check("and taken", free.wait("face.kind === 'upload' && $('camera').hidden"), free)
    free.click("connect")
    check("shows VP8", free.wait("picture.shown > 10 && picture.video.codec === 'vp8'"), free)
    free.click("connect")


with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    browser = Browser(profile)
    try:
        tab = Tab(browser)
        talk(tab)
        come_back(tab)
        refuse(browser, tab)
        other_ways(browser)
        check("nothing on the console", not complaints, tab)
        browser.call("Browser.close")
    finally:
        browser.process.terminate()
        browser.process.wait()
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)

"""browser.py: a headless Chromium that is driven by its DevTools protocol over a pair of pipes, and the tabs in it that
look at one server's page. `complaints` has what their consoles had to say."""
import base64
import fcntl
import json
import os
import subprocess
import sys
import time

complaints = []


class Browser:
    """Messages end with a zero byte; descriptor 3 of the browser reads them, 4 writes them."""

    def __init__(self, chromium, address, voice, folder, profile):
        self.address, self.folder = address, folder
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
                sys.exit("the browser has ended")
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
                    sys.exit(f"{method}: {answer['error']['message']}")
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
                         origin=browser.address.rstrip("/"), browserContextId=context)
        self.target = browser.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(domain + ".enable")
        if before:
            self.call("Page.addScriptToEvaluateOnNewDocument", source=before)
        self.call("Page.navigate", url=browser.address)

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

    def type(self, name, text):
        self.get(f"document.getElementById('{name}').focus()")
        self.call("Input.insertText", text=text)
        self.key("Enter", 13, "\r")

    def key(self, name, code, text=""):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code,
                      text=text if kind == "keyDown" else "")

    def choose(self, name, path):
        node = self.call("Runtime.evaluate", expression=f"document.getElementById('{name}')")["result"]["objectId"]
        self.call("DOM.setFileInputFiles", files=[path], objectId=node)

    def picture(self, name, width=1280, height=800, dark=False):
        if not self.browser.folder:
            return
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        time.sleep(0.6)
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        with open(os.path.join(self.browser.folder, name + ".png"), "wb") as file:
            file.write(base64.b64decode(data))

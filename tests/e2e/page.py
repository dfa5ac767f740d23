"""page.py CHROMIUM ADDRESS SAY ECHO VOICE SPEECH PICTURE LOCKED TOKEN [FOLDER]: what page.sh does with the page in a
headless Chromium. ADDRESS is a server without an agent, SAY and ECHO are servers with that one, LOCKED is one that asks
for TOKEN. VOICE is what the fake microphone hears, SPEECH what the avatar says (WAV), PICTURE a face; all absolute
paths. Prints a line for each check that fails, then "N passed, N failed". With FOLDER it leaves screenshots there."""
import sys
import tempfile

from browser import Browser, Tab, complaints

chromium, address, say, echo, voice, speech, picture, locked, token = sys.argv[1:10]
folder = sys.argv[10] if len(sys.argv) > 10 else ""
passed = failed = 0


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
    check("has no box for words where the server has no agent", tab.get(
        "$('talk').hidden && $('speech').textContent.includes('no voice of its own')"), tab)
    tab.click("barge")  # the fake microphone never rests
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


def restyle(tab):
    strength = "$('talk-strength').value = 2; $('talk-strength').dispatchEvent(new Event('change'))"
    check("changes are offered in a session", tab.get("!$('style').disabled && !$('faces').disabled"), tab)
    tab.get(strength)
    check("a strength changes", tab.wait(
        "change.made.talk === 2 && $('change').textContent.startsWith('Changed')"), tab)
    tab.choose("file", picture)
    check("and the face", tab.wait("change.made.reference === 'upload'"), tab)
    shown = tab.get("picture.shown")
    check("while pictures go on", tab.wait(f"picture.shown > {shown} + 15"), tab)
    tab.picture("changed-light")
    tab.type("prompt", "nobody knows this")
    check("what cannot be is said", tab.wait("$('error').textContent.includes('has no embedding')"), tab)
    check("and taken back", tab.wait("!$('prompt').value && !change.waits && $('talk-strength').value === '2'"), tab)
    check("in a session that goes on", tab.get("session.wanted && !!session.created"), tab)


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


def unlock(browser):
    browser.address = locked
    tab = Tab(browser)
    check("a token is asked for", tab.wait("!$('gate').hidden && document.activeElement === $('token')"), tab)
    tab.picture("token-phone-light", 390, 844)
    for text, what, good in (("wrong", "a wrong one is said", "$('error').textContent.includes('token')"),
                             (token, "the right one opens", "$('gate').hidden && face.image")):
        tab.get(f"$('token').value = '{text}'")
        tab.get("$('unlock').requestSubmit()")
        check(what, tab.wait(good), tab)
    tab.click("connect")
    check("and lets in", tab.wait("session.created && picture.shown > 3"), tab)
    tab.click("connect")


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


def type_words(browser):
    browser.address = say
    tab = Tab(browser)
    tab.wait("face.image")
    tab.click("connect")
    check("a box for words", tab.wait("!$('talk').hidden && $('sound-label').hidden"), tab)
    tab.type("words", "Hello there.")
    check("words are spoken", tab.wait("session.state === 'speaking' && sound.level > 0.01"), tab)
    check("the box is empty again", tab.get("!$('words').value && document.activeElement === $('words')"), tab)
    check("and are kept with their length", tab.wait(
        "/Hello there[.][0-9.]+ s$/.test($('history').lastChild.textContent)"), tab)
    check("and their wait", tab.get("parseInt($('n-speech').textContent) > 0"), tab)
    long = "This is a rather long sentence, so that there is time enough to break in before it has come to its end."
    tab.type("words", long)
    tab.wait("session.state === 'speaking' && picture.shown > 60")
    for name, dark in (("light", False), ("dark", True)):
        tab.picture("words-" + name, dark=dark)
        tab.picture("words-phone-" + name, 390, 844, dark)
    tab.key("Escape", 27)
    check("words are interrupted", tab.wait("$('history').lastChild.textContent.includes('interrupted after')"), tab)
    check("and the avatar is quiet", tab.wait("session.state !== 'speaking'"), tab)
    tab.type("words", long)
    tab.wait("session.state === 'speaking' && sound.level > 0.01")
    tab.click("microphone")
    check("a voice interrupts", tab.wait("$('history').lastChild.textContent.includes('interrupted after')"), tab)
    tab.click("barge")
    tab.type("words", "Hello once more.")
    check("or not, where it shall not",
          tab.wait("/once more[.][0-9.]+ s$/.test($('history').lastChild.textContent)"), tab)
    tab.click("microphone")
    tab.click("connect")


def drive(browser):
    browser.address = echo
    tab = Tab(browser)
    tab.wait("face.image")
    tab.click("connect")
    check("an echo takes no words", tab.wait("session.created && $('talk').hidden && $('sound-label').hidden"), tab)
    tab.click("microphone")
    check("it says what the user says", tab.wait("session.state === 'speaking' && sound.level > 0.01", 15), tab)
    tab.click("connect")


with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    browser = Browser(chromium, address, voice, folder, profile)
    try:
        tab = Tab(browser)
        talk(tab)
        restyle(tab)
        come_back(tab)
        refuse(browser, tab)
        other_ways(browser)
        type_words(browser)
        drive(browser)
        unlock(browser)
        check("nothing on the console", not complaints, tab)
        browser.call("Browser.close")
    finally:
        browser.process.terminate()
        browser.process.wait()
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)

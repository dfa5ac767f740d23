"""apart.py SENT RECEIVED: how far sound and picture of a stream have moved against each other on its way through
ffmpeg. SENT is what examples/broadcast wrote, RECEIVED what came out at the far end with its pictures copied and its
sound coded anew. A picture is known by the hash of its coded bytes, the sound by its loudness in steps of a
millisecond. Prints "pictures N sound_ms S likeness L apart_ms A": pictures found again, milliseconds of sound compared,
the correlation of their loudness, and the most that a picture's shift in time differs from the sound's."""
import array
import json
import subprocess
import sys

RATE, STEP = 16000, 16  # samples a second, and in a millisecond
MOST = 5000             # milliseconds of sound that are compared


def probe(path, stream, *what):
    command = ["ffprobe", "-v", "error", "-select_streams", stream, "-of", "json", *what, path]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def pictures(path):
    """Time by the hash of a picture's slices (containers differ in how they carry parameter sets), where no two are
    the same."""
    command = ["ffmpeg", "-v", "error", "-copyts", "-i", path, "-map", "0:v", "-c", "copy", "-bsf:v",
               "h264_mp4toannexb,filter_units=pass_types=1-5", "-f", "framehash", "-hash", "md5", "-"]
    lines = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    base = next(line.split()[-1] for line in lines if line.startswith("#tb"))
    over, under = map(int, base.split("/"))
    fields = [[field.strip() for field in line.split(",")] for line in lines if not line.startswith("#")]
    names = [field[5] for field in fields]
    return {field[5]: int(field[2]) * over / under for field in fields if names.count(field[5]) == 1}


def loudness(path):
    """The sound's first time in seconds, and its loudness a millisecond."""
    first = probe(path, "a", "-show_entries", "frame=best_effort_timestamp_time", "-read_intervals", "%+2")["frames"][0]
    command = ["ffmpeg", "-v", "error", "-i", path, "-map", "0:a", "-f", "s16le", "-ac", "1", "-ar", str(RATE), "-"]
    pcm = array.array("h", subprocess.run(command, capture_output=True, check=True).stdout)
    return (float(first["best_effort_timestamp_time"]),
            [sum(map(abs, pcm[at:at + STEP])) for at in range(0, len(pcm) - STEP + 1, STEP)])


def likeness(a, b, shift, least):
    pairs = [(a[i], b[i + shift]) for i in range(max(0, -shift), min(len(a), len(b) - shift))]
    if len(pairs) < least:
        return -1
    mean_a, mean_b = (sum(column) / len(pairs) for column in zip(*pairs))
    over = sum((x - mean_a) * (y - mean_b) for x, y in pairs)
    return over / (sum((x - mean_a) ** 2 for x, _ in pairs) * sum((y - mean_b) ** 2 for _, y in pairs) + 1e-9) ** 0.5


def best_shift(a, b, shifts):
    return max(shifts, key=lambda shift: likeness(a, b, shift, min(len(a), len(b)) // 2))


def coarse(levels, by=10):
    return [sum(levels[at:at + by]) for at in range(0, len(levels) - by + 1, by)]


sent, received = sys.argv[1:3]
before, after = pictures(sent), pictures(received)
moved = [after[name] - before[name] for name in after if name in before]
start, a = loudness(sent)
begin, b = loudness(received)
a, b = a[:MOST], b[:MOST]
near = 10 * best_shift(coarse(a), coarse(b), range(-MOST // 20, MOST // 20 + 1))
best = best_shift(a, b, range(near - 10, near + 11))
sound = begin - start + best / 1000
print(f"pictures {len(moved)} sound_ms {min(len(a), len(b))} likeness {likeness(a, b, best, 0):.3f} "
      f"apart_ms {1000 * max(abs(time - sound) for time in moved):.1f}")

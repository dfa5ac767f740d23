#!/bin/sh
# parity.sh: compares this project with the public implementations, in their versions of today or in those that the
# golden files were made with: every script of tests/golden makes its tensors again and compares (--check), Diffusers
# loads an export, Diffusers and PEFT load adapters. Python's packages go to a virtual environment outside the tree,
# made once (PyPI's torch brings CUDA's libraries: 5 GB).
#   usage: sh scripts/parity.sh [today|2024]
# PARITY: where the environments are (~/.cache/streamavatar-parity); PYTHON: which Python; PIP: further words for pip,
# such as --index-url https://download.pytorch.org/whl/cpu --extra-index-url https://pypi.org/simple for a small
# torch; WAN22: a checkout of https://github.com/Wan-Video/Wan2.2 at 42bf4cf, without which what needs it is left out;
# FRIENDS: a folder of the checkouts that tests/golden/friends.py names, likewise; BIN, BUILD: as in tests/run.sh.
set=${1:-today} home=${PARITY:-${XDG_CACHE_HOME:-$HOME/.cache}/streamavatar-parity} PYTHON=${PYTHON:-python3}
BIN=${BIN:-bin} BUILD=${BUILD:-build/cpu-float}
case $set in
today) packages="torch diffusers transformers peft accelerate safetensors numpy sentencepiece ftfy einops" ;;
2024)
    packages="torch==2.5.1 diffusers==0.35.1 transformers==4.46.3 peft==0.17.1 accelerate==1.1.1 safetensors numpy<2.3
        sentencepiece==0.2.0 ftfy==6.3.1 huggingface_hub<1"
    ;;
*) sed -n 's/^#   usage: /usage: /p' "$0" >&2 && exit 2 ;;
esac
python=$home/$set/bin/python log=$home/$set.log
if [ ! -e "$home/$set/ready" ]; then
    echo "parity: $packages to $home/$set"
    mkdir -p "$home" && "$PYTHON" -m venv "$home/$set" || exit 1
    # shellcheck disable=SC2086 # words
    "$python" -m pip install -q $PIP $packages || exit 1
    touch "$home/$set/ready"
fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1
passed=0 failed=0 skipped=0
run() { # run WHAT COMMAND...
    what=$1
    shift
    if "$@" >"$log" 2>&1; then
        passed=$((passed + 1))
        echo "ok    $what: $(grep -v '^with ' "$log" | tail -n 1)"
    else
        failed=$((failed + 1))
        echo "FAIL  $what"
        tail -n 15 "$log"
    fi
}
skip() {
    skipped=$((skipped + 1))
    echo "skip  $1"
}
"$python" - <<'END'
from importlib.metadata import version
print("parity:", ", ".join(f"{p} {version(p)}" for p in ("torch", "diffusers", "transformers", "peft")))
END
newer=$("$python" -c 'import diffusers; print(int(tuple(map(int, diffusers.__version__.split(".")[:2])) >= (0, 37)))')
for name in dit vae umt5 wav2vec2 light_decoder sampler dit_original prompts friends; do
    case $name in
    dit_original) [ -n "$WAN22" ] || { skip "$name: WAN22 names no checkout of Wan2.2" && continue; } ;;
    friends) [ -n "$FRIENDS" ] || { skip "$name: FRIENDS names no folder of checkouts" && continue; } ;;
    sampler) [ "$newer" = 1 ] || { skip "$name: its schedule is that of Diffusers 0.37 and later" && continue; } ;;
    esac
    run "$name" "$python" "tests/golden/$name.py" --check
done
for name in checkpoints lora; do
    run "tests/e2e/$name.sh" env BIN="$BIN" BUILD="$BUILD" PYTHON_ORACLE="$python" sh "tests/e2e/$name.sh"
    grep -h 'left out\|^skipped' "$log"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]

#!/bin/sh
# text_embed.sh: prompts through a small text encoder: the same file from texts and from their token numbers; what is wrong
# with prompts, files and options gives one line and its exit code, and no file.
bin=${BIN:-bin} build=${BUILD:-build/cpu-float}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
passed=0 failed=0
check() { # check WHAT COMMAND...
    what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: $what"
        tail -n 3 "$dir/log"
    fi
}
# expect CODE ARGUMENTS...: text_embed ends with that code and, when it is not 0, with one line that starts with its name
expect() {
    want=$1
    shift
    "$bin/text_embed" "$@" >"$dir/out" 2>"$dir/log"
    code=$?
    [ $code -eq "$want" ] || return 1
    [ "$want" -eq 0 ] || { [ "$(grep -c '^text_embed: ' "$dir/log")" -eq 1 ] && [ ! -e "$dir/no.safetensors" ]; }
}
says() { grep -q "$1" "$dir/log"; }

weights=$dir/weights.safetensors model=tests/golden/prompts.model
"$build/tests/tiny_text_encoder" "$weights" || exit 1
if "$bin/text_embed" none $model none --tokens x 2>&1 | grep -q 'no tokenizer'; then
    check "without a tokenizer token numbers do" expect 0 "$weights" - "$dir/a.safetensors" --ids "a b" 5,6,1
    echo "$passed passed, $failed failed"
    exit $failed
fi
check "prompts" expect 0 "$weights" $model "$dir/a.safetensors" -- "a  person&nbsp;talks" "light = soft" "a person talks"
check "two prompts and the empty one" says "3 prompts"
check "token numbers" expect 0 none $model none --tokens "a person talks" ""
ids=$(head -n 1 "$dir/out" | cut -f 1)
check "they end with the end of the sentence" [ "${ids##*,}" = 1 ]
check "the empty prompt is the end alone" grep -qx "1	" "$dir/out"
other=$("$bin/text_embed" none $model none --tokens -- "light = soft" | head -n 1 | cut -f 1)
check "from token numbers" expect 0 "$weights" - "$dir/b.safetensors" --ids -- "a person talks" "$ids" "light = soft" "$other"
check "the same bytes" cmp "$dir/a.safetensors" "$dir/b.safetensors"
printf 'a person talks\n\n  light = soft\r\n' >"$dir/list"
check "from a list" expect 0 "$weights" $model "$dir/c.safetensors" --list "$dir/list"
check "the same bytes again" cmp "$dir/a.safetensors" "$dir/c.safetensors"
check "a long prompt is cut, and said" expect 0 "$weights" $model "$dir/d.safetensors" --tokens-max 5 "a person talks and talks"
check "how much" says "left out"
check "inspect reads it" sh -c "$bin/inspect $dir/a.safetensors >/dev/null"

check "no prompt" expect 2 "$weights" $model "$dir/no.safetensors"
check "a prompt like an override" expect 2 "$weights" $model "$dir/no.safetensors" x=1
check "not UTF-8" expect 3 "$weights" $model "$dir/no.safetensors" "$(printf 'a\377b')"
check "no tokenizer" expect 3 "$weights" "$dir/none" "$dir/no.safetensors" x
check "no weights" expect 3 "$dir/none" $model "$dir/no.safetensors" x
check "weights of something else" expect 3 "$dir/a.safetensors" $model "$dir/no.safetensors" x
check "a token that is not there" expect 3 "$weights" - "$dir/no.safetensors" --ids x 5,90,1
check "which" says "token 90"
for ids in "" 5, 5,x -1 5,,1; do
    check "token numbers '$ids'" expect 2 "$weights" - "$dir/no.safetensors" --ids -- x "$ids"
done
check "numbers without a prompt" expect 2 "$weights" - "$dir/no.safetensors" --ids x
check "type" expect 2 "$weights" $model "$dir/no.safetensors" --type f8 x
check "no tokens at all" expect 2 "$weights" $model "$dir/no.safetensors" --tokens-max 0 x
check "nowhere to write" expect 3 "$weights" $model "$dir/nowhere/no.safetensors" x

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]

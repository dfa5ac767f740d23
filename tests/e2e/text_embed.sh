#!/bin/sh
# text_embed.sh: prompts through a small text encoder: the same file from texts and from their token numbers; what is
# wrong with prompts, files and options gives one line and its exit code, and no file.
. tests/e2e/checks
embeds() { # embeds CODE ARGUMENTS...: text_embed as expected, and a refusal leaves no file
    want=$1
    shift
    expect "$want" text_embed "$@" && { [ "$want" -eq 0 ] || [ ! -e "$work/no.safetensors" ]; }
}

weights=$work/weights.safetensors model=tests/golden/prompts.model
"$BUILD/tests/programs/tiny_text_encoder" "$weights" || exit 1
if "$BIN/text_embed" none $model none tokens=yes x 2>&1 | grep -q 'no tokenizer'; then
    check "without a tokenizer token numbers do" embeds 0 "$weights" - "$work/a.safetensors" ids=yes "a b" 5,6,1
    finish
fi
check "prompts" embeds 0 "$weights" $model "$work/a.safetensors" -- "a  person&nbsp;talks" "light = soft" \
    "a person talks"
check "two prompts and the empty one" says "3 prompts"
check "token numbers" embeds 0 none $model none tokens=yes "a person talks" ""
ids=$(head -n 1 "$work/out" | cut -f 1)
check "they end with the end of the sentence" [ "${ids##*,}" = 1 ]
check "the empty prompt is the end alone" grep -qx "1	" "$work/out"
other=$("$BIN/text_embed" none $model none tokens=yes -- "light = soft" | head -n 1 | cut -f 1)
check "from token numbers" embeds 0 "$weights" - "$work/b.safetensors" ids=yes -- "a person talks" "$ids" \
    "light = soft" "$other"
check "the same bytes" cmp "$work/a.safetensors" "$work/b.safetensors"
printf 'a person talks\n\n  light = soft\r\n' >"$work/list"
check "from a list" embeds 0 "$weights" $model "$work/c.safetensors" list="$work/list"
check "the same bytes again" cmp "$work/a.safetensors" "$work/c.safetensors"
check "a long prompt is cut, and said" embeds 0 "$weights" $model "$work/d.safetensors" tokens_max=5 \
    "a person talks and talks"
check "how much" says "left out"
check "inspect reads it" expect 0 inspect "$work/a.safetensors"

check "no prompt" embeds 2 "$weights" $model "$work/no.safetensors"
check "a prompt like an override" embeds 2 "$weights" $model "$work/no.safetensors" x=1
check "not UTF-8" embeds 3 "$weights" $model "$work/no.safetensors" "$(printf 'a\377b')"
check "no tokenizer" embeds 3 "$weights" "$work/none" "$work/no.safetensors" x
check "no weights" embeds 3 "$work/none" $model "$work/no.safetensors" x
check "weights of something else" embeds 3 "$work/a.safetensors" $model "$work/no.safetensors" x
check "a token that is not there" embeds 3 "$weights" - "$work/no.safetensors" ids=yes x 5,90,1
check "which" says "token 90"
for ids in "" 5, 5,x -1 5,,1; do
    check "token numbers '$ids'" embeds 2 "$weights" - "$work/no.safetensors" ids=yes -- x "$ids"
done
check "numbers without a prompt" embeds 2 "$weights" - "$work/no.safetensors" ids=yes x
check "type" embeds 2 "$weights" $model "$work/no.safetensors" type=f8 x
check "no tokens at all" embeds 2 "$weights" $model "$work/no.safetensors" tokens_max=0 x
check "nowhere to write" embeds 3 "$weights" $model "$work/nowhere/no.safetensors" x

finish

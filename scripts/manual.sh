#!/bin/sh
# manual.sh BIN FOLDER: writes a manual page for each command to FOLDER, streamavatar-NAME.1, and streamavatar.1, from
# what the commands say of themselves (--help), so that there is no second text to keep.
bin=$1 folder=$2
mkdir -p "$folder" || exit 5
version=$(cat VERSION)
# page TITLE: --help on standard input. Its first line is "NAME: what it does"; a line that ends with ":" in the first
# column is a heading; entries begin with two blanks, and what they mean follows after more of them.
page() {
    awk -v title="$1" -v version="$version" '
        function clean(text) {
            gsub(/\\/, "\\e", text)
            gsub(/-/, "\\-", text)
            gsub(/,/, ",\\:", text) # a long list may be broken behind a comma
            return text ~ /^[.\047]/ ? "\\&" text : text
        }
        function say(text) {print clean(text)}
        function layout(on) {if (on != fixed) print (fixed = on) ? ".nf" : ".fi"}
        NR == 1 {
            # Lines end where they end (.ad l): some hold one long list, in which there is nothing to stretch.
            printf ".TH %s 1 \"\" \"streamavatar %s\" \"User Commands\"\n.ad l\n.SH NAME\n%s \\- %s\n",
                toupper(title), version, clean(title),
                clean(substr($0, index($0, ": ") + 2))
            next
        }
        /^usage: / {print ".SH SYNOPSIS"; say(substr($0, 8)); next}
        /^[a-z].*:$/ {
            layout(0)
            described = 1
            other = /^other/
            print ".SH " toupper(clean(substr($0, 1, length($0) - 1)))
            next
        }
        other && /^  / {sub(/^ +/, ""); say($0); next}
        /^$/ {if (described == 2) print ".PP"; next}
        /^  [^ ]+ / && described == 1 {
            layout(0); print ".TP"; print ".B " clean($1)
            sub(/^  [^ ]+ +/, ""); say($0)
            next
        }
        /^          / && described == 1 {sub(/^ +/, ""); print ".br"; say($0); next}
        {if (!described) {print ".SH DESCRIPTION"; described = 2} layout(described == 2); say($0)}
        END {
            layout(0)
            print ".SH SEE ALSO"
            print title == "streamavatar" ? "The pages streamavatar\\-COMMAND(1)." : "streamavatar(1)"
        }'
}
"$bin/streamavatar" help >"$folder/list" || exit 5
page streamavatar <"$folder/list" >"$folder/streamavatar.1"
sed -n 's/^  \([a-z_]*\)  *.*/\1/p' "$folder/list" | grep -vx -e help -e version | while read -r name; do
    "$bin/streamavatar" help "$name" >"$folder/text" || exit 5
    page "streamavatar-$name" <"$folder/text" >"$folder/streamavatar-$name.1"
done || exit 5
rm -f "$folder/list" "$folder/text"

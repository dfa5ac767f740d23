#!/bin/sh
# code_lines.sh: counts the lines of C, C++ and CUDA outside tests that are neither blank nor only comment, by folder
# and in all. Comment marks inside texts and characters do not count; a text may go on in the next line after a
# backslash.
#   usage: sh scripts/code_lines.sh [FOLDER]       (a tree, with git or without; default: here)
cd "${1:-.}" || exit 2
{ git ls-files 2>/dev/null || find . -type f | sed 's,^\./,,'; } | grep -E '\.(c|h|cu|cuh|cc|cpp)$' |
    grep -vE '^(tests|build)/' |
    xargs awk '
    FNR == 1 {
        inside = "" # what the line begins in: "", "*" a comment, a quote
        folder = index(FILENAME, "/") ? substr(FILENAME, 1, index(FILENAME, "/") - 1) : "."
    }
    {
        rest = $0
        code = 0
        while (rest != "") {
            if (inside == "*") {
                end = index(rest, "*/")
                if (!end) break
                inside = ""
                rest = substr(rest, end + 2)
            } else if (inside != "") { # the text up to its quote
                code = 1
                end = match(rest, inside == "\"" ? "^([^\"\\\\]|\\\\.)*\"" : "^([^\047\\\\]|\\\\.)*\047")
                if (!end) break
                inside = ""
                rest = substr(rest, RLENGTH + 1)
            } else {
                at = match(rest, /\/\*|\/\/|"|\047/)
                before = at ? substr(rest, 1, at - 1) : rest
                if (before ~ /[^ \t\r\f]/) code = 1
                if (!at || substr(rest, at, 2) == "//") break
                inside = substr(rest, at, 2) == "/*" ? "*" : substr(rest, at, 1)
                if (inside == "\047" && before ~ /[0-9a-fA-F]$/) inside = "" # 1\047000 of C++
                rest = substr(rest, at + (inside == "*" ? 2 : 1))
            }
        }
        if (inside != "*" && $0 !~ /\\$/) inside = "" # a text ends with its line
        lines[folder] += code
        all += code
    }
    END {
        for (f in lines) printf "%7d  %s\n", lines[f], f | "sort -k 2"
        close("sort -k 2")
        printf "%7d  in all\n", all
    }'

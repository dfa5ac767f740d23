#!/bin/sh
# ptxas_gate.sh REPORT: fails when nvcc's report (-Xptxas -v) shows a kernel that keeps registers in local memory.
# Excused by name are the plain kernels that stand in where a library or the fast kernels do not take a problem: there
# the compiler trades a few words for more blocks at a time.
EXCUSED='attention_(dq|dkdv|forward)_kernel|conv_(output|input_slope|weight_slope)'
awk -v excused="$EXCUSED" '
    /Compiling entry function/ { split($0, part, "\047"); kernel = part[2]; target = part[4] }
    /bytes spill stores/ {
        for (i = 1; i < NF; i++) if ($(i + 2) == "spill") spilled += $i
        if (spilled && kernel !~ excused) { print "spills: " target " " kernel ": " $0; bad = 1 }
        spilled = 0
    }
    END { exit bad }' "$1"

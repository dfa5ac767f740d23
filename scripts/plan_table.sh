#!/bin/sh
# plan_table.sh: writes the tables of docs/scaling.md between its marks "<!-- plan -->" and "<!-- /plan -->", from
# --plan of the stages at full size: memory of a rank by stage, ranks, ZeRO and picture size; arithmetic, bytes sent and
# the part of a step that sending takes at given rates; the same for clips whose tokens ranks divide. Nothing there is
# typed by hand. Usage: BIN=bin sh scripts/plan_table.sh [docs/scaling.md]
BIN=${BIN:-bin}
out=${1:-docs/scaling.md}
config=configs/wan2.2-ti2v-5b.yaml
rate=395.6 # TFLOP/s: 40 % of 989, an H100's dense bf16
links="450 50 12.5" # GB/s one way: NVLink in a host, 400 Gb/s, 100 Gb/s
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# How the networks are trained: NAME OVERRIDES...; another line here is another set of rows.
variants() {
    echo "full"
    echo "LoRA lora.rank=64 lora.networks=teacher,student,critic,discriminator"
}
# ROW PROGRAM OVERRIDES...
stages() {
    echo "teacher teacher"
    echo "ode_init ode_init"
    echo "distill,_SiD distill distill.loss=sid"
    echo "distill,_DMD distill distill.loss=dmd"
    echo "refine refine"
}
# NAME HEIGHT WIDTH of the latents
sizes() {
    echo "480x832 30 52"
    echo "704x928 44 58"
    echo "704x1280 44 80"
}

# plan VARIANT STAGE SIZE RANKS ZERO -> one line of numbers: networks, others, total, host (GiB), TFLOP, GiB sent
plan() {
    overrides=$(variants | awk -v n="$1" '$1 == n {$1 = ""; print}')
    program=$(stages | awk -v n="$2" '$1 == n {print $2}')
    mine=$(stages | awk -v n="$2" '$1 == n {$1 = $2 = ""; print}')
    size=$(sizes | awk -v n="$3" '$1 == n {print "model.height=" $2, "model.width=" $3}')
    "$BIN/$program" "$config" --plan ranks="$4" shard.zero="$5" "$program.batch=$4" $size $overrides $mine \
        >"$work/plan" || exit 1
    awk '/^networks and opt/ {n = $(NF - 1)} /^total  / {t = $(NF - 1)} /^total \(host\)/ {h = $(NF - 1)}
         /^arithmetic/ {f = $(NF - 1)} /^sent/ {s = $(NF - 1)}
         END {printf "%.1f %.1f %.1f %.1f %.0f %.1f\n", n / 1024, (t - n) / 1024, t / 1024, h / 1024, f, s / 1024}' \
        "$work/plan"
}

# All plans once: VARIANT STAGE SIZE RANKS ZERO numbers
for v in $(variants | cut -d' ' -f1); do
    for s in $(stages | cut -d' ' -f1); do
        for p in $(sizes | cut -d' ' -f1); do
            for r in 1 2 8 64; do
                for z in 0 1 2 3; do
                    [ "$r" = 1 ] && [ "$z" != 0 ] && continue
                    echo "$v $s $p $r $z $(plan "$v" "$s" "$p" "$r" "$z")"
                done
            done
        done
    done
done >"$work/all"

memory() { # memory SIZE
    echo
    echo "### $1, 31 latent frames: GiB a rank"
    echo
    printf '| trained | stage | ranks | ZeRO 0 | ZeRO 1 | ZeRO 2 | ZeRO 3'
    echo ' | activations and batches, of the last of these | host memory a rank |'
    echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    awk -v size="$1" '$3 == size {
        key = $1 " | " $2 " | " $4
        if (!(key in seen)) {order[++n] = key; seen[key] = 1}
        total[key, $5] = $8; acts[key] = $7; host[key] = $9
    }
    END {
        for (i = 1; i <= n; i++) {
            k = order[i]
            shown = k; gsub("_", " ", shown); sub("ode init", "ode_init", shown)
            printf "| %s |", shown
            for (z = 0; z < 4; z++) printf " %s |", (k, z) in total ? total[k, z] : "-"
            printf " %s | %s |\n", acts[k], host[k]
        }
    }' "$work/all"
}

sending() {
    echo
    echo "### What is sent: GiB a rank and step, 704x928"
    echo
    printf "| trained | stage | ranks | TFLOP a step | ZeRO 0 | ZeRO 1 | ZeRO 2 | ZeRO 3 |"
    for l in $links; do printf " ZeRO 1 at %s GB/s | ZeRO 3 at %s GB/s |" "$l" "$l"; done
    printf "\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    for l in $links; do printf " --- | --- |"; done
    echo
    awk -v rate="$rate" -v links="$links" '$3 == "704x928" && $4 > 1 {
        key = $1 " | " $2 " | " $4
        if (!(key in seen)) {order[++n] = key; seen[key] = 1}
        flops[key] = $10; sent[key, $5] = $11
    }
    function share(k, z, l) {
        s = sent[k, z] * 1.073741824 / l
        return sprintf("%.0f %%", 100 * s / (s + flops[k] / rate))
    }
    END {
        m = split(links, link, " ")
        for (i = 1; i <= n; i++) {
            k = order[i]
            shown = k; gsub("_", " ", shown); sub("ode init", "ode_init", shown)
            printf "| %s | %s |", shown, flops[k]
            for (z = 0; z < 4; z++) printf " %s |", sent[k, z]
            for (j = 1; j <= m; j++) printf " %s | %s |", share(k, 1, link[j]), share(k, 3, link[j])
            printf "\n"
        }
    }' "$work/all"
}

# Eight ranks, ZeRO 3: as many groups as samples.
divided() {
    echo
    echo "### Tokens divided (\`comm.sequence\`): 8 ranks, ZeRO 3, 704x1280, GiB a rank"
    echo
    printf "| stage | latent frames | tokens by | samples | activations and batches | total | TFLOP a step"
    printf " | exchanges of tokens | sent in all |"
    for l in $links; do printf " exchanges at %s GB/s |" "$l"; done
    printf "\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for l in $links; do printf " --- |"; done
    echo
    for s in $(stages | cut -d' ' -f1); do
        program=$(stages | awk -v n="$s" '$1 == n {print $2}')
        mine=$(stages | awk -v n="$s" '$1 == n {$1 = $2 = ""; print}')
        for f in 31 121; do
            for d in 1 2 4 8; do
                "$BIN/$program" "$config" --plan ranks=8 shard.zero=3 comm.sequence=$d "$program.batch=$((8 / d))" \
                    frames=$f samples=1 model.height=44 model.width=80 $mine >"$work/plan" || exit 1
                awk -v stage="$s" -v f=$f -v d=$d -v rate="$rate" -v links="$links" '
                    /^networks and opt/ {n = $(NF - 1)} /^total  / {t = $(NF - 1)} /^arithmetic/ {a = $(NF - 1)}
                    /^of it exchanges/ {x = $(NF - 1)} /^sent/ {s = $(NF - 1)}
                    END {
                        sub("_SiD", " SiD", stage); sub("_DMD", " DMD", stage)
                        printf "| %s | %d | %d | %d | %.1f | %.1f | %.0f | %.1f | %.1f |", stage, f, d, 8 / d,
                            (t - n) / 1024, t / 1024, a, x / 1024, s / 1024
                        m = split(links, link, " ")
                        for (j = 1; j <= m; j++) {
                            y = x / 1024 * 1.073741824 / link[j]
                            printf " %s |", x ? sprintf("%.0f %%", 100 * y / (y + a / rate)) : "-"
                        }
                        printf "\n"
                    }' "$work/plan"
            done
        done
    done
}

{
    parameters=$("$BIN/teacher" "$config" --plan | awk '/parameters/ {print $2; exit}')
    echo "Made by \`scripts/plan_table.sh\` from \`--plan\` of $config ($parameters parameters a network,"
    echo "$(sh scripts/number_type.sh) build, one sample a rank, block recompute). Memory is what a rank allocates"
    echo "on the device; its host memory holds its part of a checkpoint while that is written, batches that are being"
    echo "read, and messages."
    for p in $(sizes | cut -d' ' -f1); do memory "$p"; done
    sending
    divided
    echo
    echo "This is arithmetic, not measurement. A ring sends (N-1)/N of a network's gradients (4 bytes) or weights"
    echo "(2 bytes) for each gathering or scattering (\`train/method/step_work.h\`). The part of a step that it takes"
    echo "is sent / rate, divided by that plus TFLOP / $rate TFLOP/s (40 % of an H100's dense bf16 rate), as if nothing"
    echo "overlapped. Reduction runs beside backward, and gathering ahead of use, so that less of it is waited for. Of"
    echo "the exchanges of tokens those of queries and keys run beside the products that follow; their percentage"
    echo "counts only their own time."
} >"$work/tables" || exit 1

[ -f "$out" ] || printf '# Scaling\n\n## Memory and communication at full size\n\n<!-- plan -->\n<!-- /plan -->\n' \
    >"$out"
grep -q '^<!-- plan -->$' "$out" ||
    printf '\n## Memory and communication at full size\n\n<!-- plan -->\n<!-- /plan -->\n' >>"$out"
awk -v tables="$work/tables" '/^<!-- plan -->$/ {print; while ((getline line < tables) > 0) print line; skip = 1}
     /^<!-- \/plan -->$/ {skip = 0} !skip && !/^<!-- plan -->$/' "$out" >"$work/new" && cp "$work/new" "$out"

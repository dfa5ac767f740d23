/* tensor_stats.c: see tensor_stats.h. */
#include "tools/tensor_stats.h"

#include <math.h>
#include <stdio.h>

void tensor_stats_add(struct tensor_stats *s, const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        double v = values[i];
        if (!isfinite(v)) {
            s->wrong++;
            continue;
        }
        if (!s->count || v < s->min) s->min = v;
        if (!s->count || v > s->max) s->max = v;
        double d = v - s->mean;
        s->mean += d / (double)++s->count;
        s->m2 += d * (v - s->mean);
    }
}

double tensor_stats_deviation(const struct tensor_stats *s) { return s->count ? sqrt(s->m2 / (double)s->count) : 0; }

void tensor_stats_text(const struct tensor_stats *s, char *text, size_t size) {
    int used = s->count ? snprintf(text, size, "[%.4g, %.4g], mean %.4g, deviation %.4g", s->min, s->max, s->mean,
                                   tensor_stats_deviation(s))
                        : snprintf(text, size, "no values");
    if (s->wrong && used > 0 && (size_t)used < size)
        snprintf(text + used, size - (size_t)used, ", %zu not finite", s->wrong);
}

void print_clean(const char *text, const char *lines) {
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '\n' && lines) {
            putchar('\n');
            if (text[1]) fputs(lines, stdout);
        } else if (c == '\t' && lines)
            fputs("  ", stdout);
        else
            putchar(c < 32 || c == 127 ? '?' : c);
    }
}

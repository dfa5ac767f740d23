/* feature_score.c: see feature_score.h. */
#include "tools/features/feature_score.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sorting.h"
#include "kernels/device.h"
#include "model/params/transfer.h"

/* Number of sorted values below `value`, counting equal ones half. */
static double below(const float *sorted, long count, float value) {
    long low = 0, high = count, equal;
    while (low < high) {
        long middle = (low + high) / 2;
        if (sorted[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    for (equal = low; equal < count && !(sorted[equal] > value);) equal++;
    return (double)low + 0.5 * (double)(equal - low);
}

int pair_score_add(struct pair_score *s, const float *high, long highs, const float *low, long lows) {
    float *sorted = malloc((size_t)(lows + 1) * sizeof *sorted);
    if (!sorted) return error_set(ERR_DEVICE, "out of memory for scores");
    memcpy(sorted, low, (size_t)lows * sizeof *sorted);
    sort_floats(sorted, (size_t)lows);
    for (long i = 0; i < highs; i++) s->right += below(sorted, lows, high[i]);
    s->pairs += (double)highs * (double)lows;
    free(sorted);
    return OK;
}

double feature_score_share(const struct pair_score *s) { return s->pairs > 0 ? s->right / s->pairs : 0; }

/* Parts values by whether they are right, into right [count] and wrong [count]; returns the number of right ones. */
static long part(const float *values, long count, const float *labels, int side, float *right, float *wrong) {
    long rights = 0;
    for (long i = 0; i < count; i++)
        if (labels ? labels[i] > 0 : i % (side + 1) == 0)
            right[rights++] = values[i];
        else
            wrong[i - rights] = values[i];
    return rights;
}

/* Adds the mean variance of the maps of the batch's first pictures. */
static int add_variance(struct feature_score *score, const struct feature_step *step) {
    long size = feature_map_size(step->net), n = step->n;
    float *maps = malloc((size_t)(n * size) * sizeof *maps);
    if (!maps) return error_set(ERR_DEVICE, "out of memory for scores");
    transfer_from_elem(maps, step->acts.map, n * size);
    for (long k = 0; k < size; k++) {
        double sum = 0, squares = 0;
        for (long i = 0; i < n; i++) {
            double v = (double)maps[i * size + k];
            sum += v, squares += v * v;
        }
        score->variance += (squares - sum * sum / (double)n) / (double)(n - 1) / (double)size;
    }
    score->batches++;
    free(maps);
    return OK;
}

int feature_score_add(struct feature_score *score, const struct feature_step *step, const float *labels) {
    long pairs = (long)step->n * step->n, places = (long)step->n * step->net->h * step->net->w;
    long most = pairs > places ? pairs : places;
    float *values = malloc(3 * (size_t)most * sizeof *values), *right = values + most, *wrong = right + most;
    if (!values) return error_set(ERR_DEVICE, "out of memory for scores");
    struct pair_score *cosines[2] = {&score->person, &score->sound};
    int code = OK;
    for (int k = 0; k < 2 && !code; k++) {
        transfer_from_real(values, step->cosine[k], pairs);
        long rights = part(values, pairs, NULL, step->n, right, wrong);
        code = pair_score_add(cosines[k], right, rights, wrong, pairs - rights);
    }
    transfer_from_real(values, step->logit, places);
    long rights = part(values, places, labels, 0, right, wrong);
    if (!code) code = pair_score_add(&score->spoiled, right, rights, wrong, places - rights);
    free(values);
    return code ? code : add_variance(score, step);
}

/* evaluation_report.c: see evaluation_report.h. */
#include "tools/evaluate/evaluation_report.h"

#include <math.h>
#include <stdio.h>

#include "base/error.h"
#include "kernels/device.h"
#include "tools/evaluate/figures_report.h"

static double ratio(double a, double b) { return b > 0 ? a / b : 0; }

static void add(cJSON *object, const char *key, double value) {
    cJSON_AddNumberToObject(object, key, isfinite(value) ? floor(value * 1e4 + 0.5) / 1e4 : 0);
}

static double hand_ratio(const struct evaluation_sums *e, enum source s) {
    return ratio(motion_pool_variance(&e->totals[s].hands), motion_pool_variance(&e->totals[SOURCE_DRAWN].hands));
}

static double lip_sync(const struct source_totals *t) {
    return regression_correlation(&t->follow.regression[FOLLOWED_MOUTH]);
}
static double mouth_deviation(const struct source_totals *t) {
    return regression_deviation(&t->follow.regression[FOLLOWED_MOUTH]);
}

static cJSON *report_source(const struct evaluation_sums *e, enum source s) {
    const struct source_totals *t = &e->totals[s], *drawn = &e->totals[SOURCE_DRAWN];
    cJSON *o = cJSON_CreateObject();
    add(o, "lip_sync", lip_sync(t));
    add(o, "mouth_amplitude", ratio(mouth_deviation(t), mouth_deviation(drawn)));
    add(o, "sharpness", ratio(t->sharpness / t->frames, drawn->sharpness / drawn->frames));
    add(o, "flat_noise", t->flat / t->frames);
    add(o, "hand_motion_ratio", hand_ratio(e, s));
    add(o, "listen_mouth_ratio", ratio(t->listen_mouth, t->talk_mouth));
    add(o, "identity_psnr_first", source_psnr_first(t));
    add(o, "identity_psnr_last", source_psnr_last(t));
    add(o, "talk_minutes", t->follow.regression[FOLLOWED_MOUTH].frames / VIDEO_RATE / 60);
    add(o, "video_minutes", t->frames / VIDEO_RATE / 60);
    const struct stream_times *times = &e->times[s];
    if (times->frames) {
        add(o, "rtf", (times->network + times->codec) * VIDEO_RATE / (double)times->frames);
        add(o, "rtf_network", times->network * VIDEO_RATE / (double)times->frames);
        add(o, "first_frame_ms", 1e3 * times->first / (double)times->streams);
    }
    return o;
}

/* Writes the figures of the refined student on varied pictures; those on the plain ones are among its own. */
static cJSON *report_varied(const struct evaluation_sums *e, const struct picture_variation *v) {
    const struct source_totals *t = &e->totals[SOURCE_VARIED];
    cJSON *o = cJSON_CreateObject();
    add(o, "colour", v->colour);
    add(o, "place", v->place);
    add(o, "place_step", v->step);
    add(o, "scale", v->scale);
    add(o, "identity_psnr_first", source_psnr_first(t));
    add(o, "identity_psnr_last", source_psnr_last(t));
    add(o, "identity_psnr_first_plain", source_psnr_first(&e->refined_ablated));
    add(o, "identity_psnr_last_plain", source_psnr_last(&e->refined_ablated));
    add(o, "lip_sync", lip_sync(t));
    add(o, "lip_sync_plain", lip_sync(&e->refined_ablated));
    add(o, "codec_identity_psnr_first", source_psnr_first(&e->totals[SOURCE_VARIED_COPY]));
    add(o, "codec_identity_psnr_first_plain", source_psnr_first(&e->copy_ablated));
    return o;
}

/* Writes what was measured, and how. */
static int report_facts(cJSON *root, const struct evaluation_facts *facts) {
    if (facts->seconds > 0) add(root, "seconds_total", facts->seconds);
    cJSON_AddStringToObject(root, "device", device_name());
    cJSON_AddStringToObject(root, "type", TYPE_NAME);
    cJSON_AddNumberToObject(root, "threads_a_stream", 1);
    cJSON_AddStringToObject(root, "persons", facts->development ? "development" : "test");
    cJSON_AddStringToObject(root, "yardstick", "measures: over the codec's copy of the truth, of the same dialogues");
    cJSON_AddStringToObject(
        root, "protocol",
        "held-out identities and utterances; teacher: bidirectional windows with guidance, each from its true "
        "first frame; students: streamed chunk by chunk from the first frame alone; no_sink, no_rapr: the refined "
        "weights, switched off at streaming");
    return *facts->features ? feature_reader_report(root, facts->features) : OK;
}

/* Writes the refined student's figures that other dialogues or sources are needed for, and those of ablations. */
static void report_refined(cJSON *root, const struct evaluation_sums *e) {
    cJSON *refined = cJSON_GetObjectItem(root, "refined");
    add(refined, "lip_sync_shuffled", lip_sync(&e->totals[SOURCE_SHUFFLED]));
    add(refined, "listen_motion_ratio",
        ratio(motion_pool_variance(&e->refined_ablated.head), motion_pool_variance(&e->totals[SOURCE_SILENCED].head)));
    add(refined, "identity_psnr_last_same_dialogues", source_psnr_last(&e->refined_ablated));
    for (int s = SOURCE_NO_SINK; s <= SOURCE_NEITHER; s++) {
        cJSON *o = cJSON_CreateObject();
        add(o, "identity_psnr_first", source_psnr_first(&e->totals[s]));
        add(o, "identity_psnr_last", source_psnr_last(&e->totals[s]));
        add(o, "lip_sync", lip_sync(&e->totals[s]));
        cJSON_AddItemToObject(root, source_names[s], o);
    }
}

static void pair_name(char *name, size_t size, int pair) {
    snprintf(name, size, "%s_less_%s", source_names[source_pairs[pair].a], source_names[source_pairs[pair].b]);
}

int evaluation_report(cJSON *root, const struct evaluation_sums *e, const struct evaluation_facts *facts) {
    TRY(report_facts(root, facts));
    add(root, "lip_sync_mask_only", regression_correlation(&e->mask_only));
    for (int s = SOURCE_DRAWN; s < COMPARED; s++) {
        if (!(e->totals[s].trials > 0)) continue;
        cJSON *o = report_source(e, (enum source)s);
        cJSON_AddItemToObject(o, "measures",
                              figures_json(e->over_copy + s * figure_count, e->over_drawn + s * figure_count));
        cJSON_AddItemToObject(o, "shifts", figures_shifts_json(e->shifts[s]));
        cJSON_AddItemToObject(o, "bands", figures_bands_json(&e->totals[s].latents, &e->totals[SOURCE_CODEC].latents));
        cJSON_AddItemToObject(root, source_names[s], o);
    }
    report_refined(root, e);
    if (e->totals[SOURCE_VARIED].trials > 0)
        cJSON_AddItemToObject(root, source_names[SOURCE_VARIED], report_varied(e, facts->vary));
    const struct source_totals *copy = &e->totals[SOURCE_CODEC];
    cJSON *scale = cJSON_AddObjectToObject(root, "frechet_scale");
    figures_scale_add(scale, "frechet_", &copy->latents, &e->halves.latents);
    if (*facts->features) figures_scale_add(scale, "feature_frechet_", &copy->features, &e->halves.features);
    cJSON *differences = cJSON_AddObjectToObject(root, "differences");
    for (int p = 0; p < SOURCE_PAIRS; p++) {
        char name[64];
        pair_name(name, sizeof name, p);
        cJSON_AddItemToObject(differences, name, figures_difference_json(e->differences + p * figure_count));
    }
    return OK;
}

static double value(const cJSON *root, const char *group, const char *key) {
    const cJSON *item = cJSON_GetObjectItem(group ? cJSON_GetObjectItem(root, group) : root, key);
    return item ? item->valuedouble : NAN;
}

const int shown_sources[SHOWN_SOURCES] = {SOURCE_DRAWN,  SOURCE_CODEC,     SOURCE_TEACHER,
                                          SOURCE_CAUSAL, SOURCE_DISTILLED, SOURCE_REFINED};

static void print_figures(const struct evaluation_sums *e) {
    static const char *const pairs[SOURCE_PAIRS] = {"distilled - causal", "refined - distilled", "other noise"};
    figures_print(e->over_copy, source_names, shown_sources, SHOWN_SOURCES);
    figures_print_differences(e->differences, pairs, SOURCE_PAIRS);
    struct chance_test mouth = shift_sums_test(&e->shifts[SOURCE_REFINED][FOLLOWED_MOUTH]),
                       hands = shift_sums_test(&e->shifts[SOURCE_REFINED][FOLLOWED_HANDS]);
    printf(
        "\ncontrol, refined against the truth shifted in time (%d shifts): mouth %.3f in place, %.3f +- %.3f shifted; "
        "hands %.3f, %.3f +- %.3f\n",
        SHIFTS, mouth.correlation, mouth.mean, mouth.deviation, hands.correlation, hands.mean, hands.deviation);
}

static void print_table(const cJSON *root) {
    static const char *const columns[] = {"drawn", "codec", "teacher", "causal", "distilled", "refined"};
    static const char *const rows[] = {
        "lip_sync",           "mouth_amplitude",     "sharpness",          "flat_noise", "hand_motion_ratio",
        "listen_mouth_ratio", "identity_psnr_first", "identity_psnr_last", "rtf",        "first_frame_ms"};
    printf("\n%-22s", "");
    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) printf("%11s", columns[c]);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        printf("\n%-22s", rows[r]);
        for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
            double v = value(root, columns[c], rows[r]);
            if (isnan(v))
                printf("%11s", "-");
            else
                printf("%11.3f", v);
        }
    }
    printf("\n\nrefined, controls:      shuffled speech %.3f, mask alone %.3f (lip sync; both should be near 0)\n",
           value(root, "refined", "lip_sync_shuffled"), value(root, NULL, "lip_sync_mask_only"));
    printf("listening:              head motion %.2f times that with the other party silenced\n",
           value(root, "refined", "listen_motion_ratio"));
    printf("identity, last 10 s:    %.1f dB; switched off at streaming: sink %.1f, RAPR %.1f, both %.1f\n",
           value(root, "refined", "identity_psnr_last_same_dialogues"), value(root, "no_sink", "identity_psnr_last"),
           value(root, "no_rapr", "identity_psnr_last"), value(root, "no_sink_no_rapr", "identity_psnr_last"));
    if (cJSON_GetObjectItem(root, "varied"))
        printf("varied pictures:        identity, first 10 s: %.1f dB, plain %.1f; lip sync %.3f, plain %.3f; "
               "the codec's copy %.1f dB, plain %.1f\n",
               value(root, "varied", "identity_psnr_first"), value(root, "varied", "identity_psnr_first_plain"),
               value(root, "varied", "lip_sync"), value(root, "varied", "lip_sync_plain"),
               value(root, "varied", "codec_identity_psnr_first"),
               value(root, "varied", "codec_identity_psnr_first_plain"));
    if (value(root, NULL, "seconds_total") > 0)
        printf("seconds, all in all:    %.0f\n", value(root, NULL, "seconds_total"));
}

void evaluation_report_print(const cJSON *root, const struct evaluation_sums *sums) {
    print_table(root);
    print_figures(sums);
}

/* test_load.c: the audience of a load and what is computed of it: distributions against their closed forms, arrivals,
   Erlang's formulas, the count of a plan, the spread of durations; the client's side of the protocol and a visitor,
   against a server of a few lines. Tolerances are five standard errors of the mean, so that a right
   program fails once in a million seeds; the seed is fixed all the same. */
#include "tests/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "infer/live_client.h"
#include "infer/load/queueing.h"
#include "infer/load/target.h"
#include "infer/load/visitor.h"

enum { SEED = 20260801, ERRORS = 5 };

static struct audience audience(void) {
    return (struct audience){.seed = SEED,
                             .rate = 100,
                             .minutes = 2000,
                             .peak = 21,
                             .hour = 20,
                             .brief = 0.81,
                             .brief_mean = 0.17,
                             .stay_median = 3.6,
                             .stay_mean = 10,
                             .turn_median = 1.4,
                             .turn_mean = 2,
                             .gap_median = 0.2,
                             .gap_mean = 0.3,
                             .interrupt = 0.1,
                             .slow = 0.05,
                             .breaks = 0.05};
}

/* `got`, the mean of n values whose standard deviation is `deviation`. */
static void assert_mean(const char *what, double got, double want, double deviation, double n) {
    double tolerance = ERRORS * deviation / sqrt(n);
    if (fabs(got - want) <= tolerance) return;
    print_error("seed %d: %s is %g, expected %g within %g\n", SEED, what, got, want, tolerance);
    fail();
}

static void assert_share(const char *what, long got, double want, long n) {
    assert_mean(what, (double)got / (double)n, want, sqrt(want * (1 - want)), (double)n);
}

/* ---- who comes, and for how long ---- */

static void stays_are_a_mixture_of_short_and_engaged(void **state) {
    (void)state;
    struct audience a = audience();
    struct visit *visits;
    long n, brief = 0, slow = 0, broken = 0, below_median = 0, below_short = 0;
    double sum = 0, short_sum = 0, log_sum = 0;
    CHECK(audience_plan(&a, &visits, &n));
    for (long i = 0; i < n; i++) {
        const struct visit *v = visits + i;
        brief += v->brief;
        slow += v->slow;
        broken += v->breaks >= 0;
        assert_true(v->breaks < v->stay);
        sum += v->stay;
        if (v->brief) {
            short_sum += v->stay;
            below_short += v->stay < 60 * 0.17 * log(2);
        } else {
            log_sum += log(v->stay);
            below_median += v->stay < 60 * 3.6;
        }
    }
    long engaged = n - brief;
    double mean = audience_mean_stay(&a), variance = audience_mean_square_stay(&a) - mean * mean;
    assert_mean("visits", (double)n, 200000, sqrt(200000), 1);
    assert_share("short stays", brief, 0.81, n);
    assert_share("slow", slow, 0.05, n);
    assert_share("broken", broken, 0.05, n);
    assert_mean("the mean stay", sum / (double)n, 60 * 2.0377, sqrt(variance), (double)n);
    assert_mean("the mean short stay", short_sum / (double)brief, 10.2, 10.2, (double)brief);
    assert_share("short stays below their median", below_short, 0.5, brief);
    assert_share("engaged stays below their median", below_median, 0.5, engaged);
    assert_mean("their mean logarithm", log_sum / (double)engaged, log(60 * 3.6), sqrt(2 * log(10 / 3.6)),
                (double)engaged);
    free(visits);
}

/* The gaps of a Poisson process are exponential: mean and standard deviation are the same. */
static void arrivals_are_poisson(void **state) {
    (void)state;
    struct audience a = audience();
    struct visit *visits;
    long n;
    double sum = 0, square = 0;
    CHECK(audience_plan(&a, &visits, &n));
    for (long i = 1; i < n; i++) {
        double gap = visits[i].at - visits[i - 1].at;
        assert_true(gap >= 0);
        sum += gap;
        square += gap * gap;
    }
    assert_mean("the gap", sum / (double)(n - 1), 0.6, 0.6, (double)n);
    /* the square of an exponential: mean 2 m^2, standard deviation sqrt(20) m^2 */
    assert_mean("its square", square / (double)(n - 1), 0.72, sqrt(20) * 0.36, (double)n);
    free(visits);
}

/* Within a quarter of a day on both sides of the peak the mean of the cosine is 2 / pi, in the other half -2 / pi. */
static void the_rate_follows_the_hour(void **state) {
    (void)state;
    struct audience a = audience();
    struct visit *visits;
    long n, busy = 0;
    a.rate = 20;
    a.minutes = 1440;
    a.swing = 0.8;
    a.hour = 15;
    CHECK(audience_plan(&a, &visits, &n));
    for (long i = 0; i < n; i++) busy += visits[i].at < 12 * 3600;
    assert_mean("visits of a day", (double)n, 28800, sqrt(28800), 1);
    assert_share("the busy half", busy, 0.5 + 0.8 / M_PI, n);
    free(visits);
}

static void the_same_seed_makes_the_same_plan(void **state) {
    (void)state;
    struct audience a = audience();
    struct visit *one, *two, *other;
    long n, m, k;
    a.minutes = 20;
    CHECK(audience_plan(&a, &one, &n));
    CHECK(audience_plan(&a, &two, &m));
    a.seed++;
    CHECK(audience_plan(&a, &other, &k));
    assert_int_equal(n, m);
    assert_memory_equal(one, two, (size_t)n * sizeof *one);
    assert_true(k != n || memcmp(one, other, (size_t)n * sizeof *one));
    free(one);
    free(two);
    free(other);
}

static void turns_and_gaps_are_lognormal(void **state) {
    (void)state;
    const struct audience a = audience();
    enum { N = 100000 };
    long below = 0, interrupted = 0;
    double gap = 0, user = 0, answer = 0, agent = 0;
    for (long i = 0; i < N; i++) {
        struct exchange e = audience_exchange(&a, i / 100, i % 100);
        below += e.agent < 1.4;
        interrupted += e.interrupted >= 0;
        assert_true(e.interrupted < e.agent);
        gap += e.gap;
        user += e.user;
        answer += e.answer;
        agent += e.agent;
    }
    /* var = mean^2 ((mean / median)^2 - 1) */
    double turn_deviation = 2 * sqrt(2 / 1.4 * (2 / 1.4) - 1), gap_deviation = 0.3 * sqrt(1.5 * 1.5 - 1);
    assert_mean("the gap", gap / N, 0.3, gap_deviation, N);
    assert_mean("the gap before an answer", answer / N, 0.3, gap_deviation, N);
    assert_mean("the user's turn", user / N, 2, turn_deviation, N);
    assert_mean("the agent's turn", agent / N, 2, turn_deviation, N);
    assert_share("turns below their median", below, 0.5, N);
    assert_share("interruptions", interrupted, 0.1, N);
}

static void an_audience_that_cannot_be_is_refused(void **state) {
    (void)state;
    struct audience a = audience();
    CHECK(audience_check(&a));
    a.stay_mean = 3;
    assert_int_equal(audience_check(&a), ERR_USAGE);
    a = audience();
    a.turn_mean = 1;
    assert_int_equal(audience_check(&a), ERR_USAGE);
    a = audience();
    a.minutes = 20000;
    assert_int_equal(audience_check(&a), ERR_USAGE);
}

/* ---- how many find a place ---- */

/* Against the sums that define them. */
static void erlang_is_what_its_sums_say(void **state) {
    (void)state;
    for (int places = 1; places <= 60; places += 7)
        for (double offered = 0.5; offered < 70; offered *= 1.7) {
            double term = 1, sum = 1;
            for (int k = 1; k <= places; k++) sum += term *= offered / k;
            double b = term / sum;
            assert_true(fabs(erlang_b(places, offered) - b) < 1e-12);
            double waits = term * places / (places - offered);
            double c = offered < places ? waits / (sum - term + waits) : 1;
            assert_true(fabs(erlang_c(places, offered) - c) < 1e-9);
        }
    assert_true(fabs(erlang_b(28, erlang_b_load(28, 0.01)) - 0.01) < 1e-9);
}

static void a_plan_is_counted_as_a_server_would(void **state) {
    (void)state;
    /* two places and one in the queue; the fifth comes when the third, who waited, has had enough */
    const struct visit visits[] = {{.at = 0, .stay = 100}, {.at = 1, .stay = 9},   {.at = 2, .stay = 30},
                                   {.at = 3, .stay = 5},   {.at = 40, .stay = 50}, {.at = 41, .stay = 10},
                                   {.at = 60, .stay = 100}};
    struct forecast f;
    CHECK(forecast(&f, visits, 7, 2, 1, 1e9));
    assert_int_equal(f.admitted, 3); /* 0, 1, 40 */
    assert_int_equal(f.queued, 3);   /* 2, 41, 60 */
    assert_int_equal(f.refused, 1);  /* 3 */
    assert_int_equal(f.entered, 2);  /* 2 at 10; 60 at 90 */
    assert_int_equal(f.most, 3);
    assert_true(fabs(f.waited - (8 + 30) / 2.0) < 1e-9);
}

/* Where nobody waits, the share of a long plan that finds no place is Erlang's B, though stays are not exponential.
   Plans of other seeds are independent; their spread gives the error of the mean. */
static void plans_agree_with_erlang(void **state) {
    (void)state;
    struct audience a = audience();
    enum { PLANS = 30 };
    double sum = 0, square = 0;
    a.rate = 9;
    a.minutes = 4000;
    a.stay_mean = 6; /* a lighter tail, so that a plan of this length is in equilibrium */
    double b = erlang_b(12, 9.0 / 60 * audience_mean_stay(&a));
    for (int i = 0; i < PLANS; i++, a.seed++) {
        struct visit *visits;
        struct forecast f;
        long n;
        CHECK(audience_plan(&a, &visits, &n));
        CHECK(forecast(&f, visits, n, 12, 0, 1e9));
        double share = (double)f.refused / (double)n;
        sum += share;
        square += share * share;
        free(visits);
    }
    double mean = sum / PLANS, deviation = sqrt(square / PLANS - mean * mean);
    assert_true(b > 0.05);
    /* a plan begins empty; what that takes off, a few stays' time in 4000 minutes, is less than the error */
    assert_mean("the share that finds no place", mean, b, deviation, PLANS);
}

/* ---- durations ---- */

static void quantiles_are_right_to_a_millisecond(void **state) {
    (void)state;
    struct spread *s = calloc(1, sizeof *s);
    assert_non_null(s);
    assert_true(spread_quantile(s, 0.5) == 0);
    for (int i = 1; i <= 1000; i++) spread_add(s, 1e-3 * i - 0.1);
    assert_true(fabs(spread_quantile(s, 0.5) - 0.4) < 1e-6);
    assert_true(fabs(spread_quantile(s, 0.99) - 0.89) < 1e-6);
    assert_true(fabs(spread_quantile(s, 1) - 0.9) < 1e-6);
    assert_true(fabs(spread_above(s, 0) - 0.9) < 1e-6);
    spread_add(s, 1e6);
    assert_true(s->most == 1e6);
    spread_add(s, -1e6);
    assert_true(fabs(spread_quantile(s, 0) - 1e-3 * SPREAD_LOW_MS) < 1e-9);
    free(s);
}

/* ---- the client's side of the protocol ---- */

static void play_stands_where_there_is_no_sound(void **state) {
    (void)state;
    struct player p = {0};
    struct unit u = {.kind = UNIT_AGENT, .flags = UNIT_FIRST, .time_us = 400000};
    player_hear(&p, &u, 10);
    assert_int_equal(player_position(&p, 10.02), 420000);
    assert_int_equal(player_position(&p, 10.5), 440000); /* dry */
    u = (struct unit){.kind = UNIT_AGENT, .time_us = 440000};
    assert_true(fabs(player_lateness(&p, &u, 10.06) - 0.02) < 1e-9);
    assert_true(fabs(player_lateness(&p, &u, 10.01) + 0.03) < 1e-9);
    player_hear(&p, &u, 10.06);
    assert_int_equal(player_position(&p, 10.08), 460000); /* time is not made up */
    u.time_us = 480000;
    player_hear(&p, &u, 10.09);
    player_cut(&p, 480000, 10.09);
    assert_int_equal(player_position(&p, 11), 480000);
    u = (struct unit){.kind = UNIT_AGENT, .flags = UNIT_FIRST, .time_us = 960000};
    player_hear(&p, &u, 12);
    assert_int_equal(player_position(&p, 12), 960000);
}

static void what_is_said_is_understood(void **state) {
    (void)state;
    char text[512];
    struct message m;
    const struct client_wishes w = {"person:anna", "vp8,raw", 16000, 24000, 7};
    CHECK(message_parse(&m, text, client_create(text, sizeof text, &w)));
    assert_int_equal(m.type, MESSAGE_CREATE);
    assert_string_equal(m.wishes.person, "anna");
    assert_int_equal(m.wishes.codec_count, 2);
    assert_int_equal(m.wishes.codecs[1], CODEC_RAW);
    assert_int_equal(m.wishes.agent_rate, 16000);
    assert_int_equal(m.wishes.user_rate, 24000);
    assert_int_equal(m.wishes.seed, 7);
    CHECK(message_parse(&m, text, client_turn(text, sizeof text, MESSAGE_INTERRUPT, 5)));
    assert_int_equal(m.type, MESSAGE_INTERRUPT);
    assert_int_equal(m.turn, 5);
    CHECK(message_parse(&m, text, client_position(text, sizeof text, 123456789012)));
    assert_int_equal(m.position_us, 123456789012);
    CHECK(message_parse(&m, text, client_word(text, sizeof text, MESSAGE_CLOSE)));
    assert_int_equal(m.type, MESSAGE_CLOSE);
    assert_int_equal(client_word(text, 10, MESSAGE_CLOSE), 0);
}

static void what_is_heard_is_taken_as_it_is_meant(void **state) {
    (void)state;
    struct heard h;
    static const char finished[] = "{\"type\":\"playback.finished\",\"turn\":3,\"position_us\":1500000,"
                                   "\"interrupted\":true,\"next_us\":1960000}",
                      odd[] = "{\"type\":\"session.created\",\"token\":7,\"next\":[1],\"resumed\":\"yes\"}",
                      none[] = "[\"type\"]";
    CHECK(heard_parse(&h, finished, sizeof finished - 1));
    assert_int_equal(h.type, HEARD_FINISHED);
    assert_int_equal(h.turn, 3);
    assert_int_equal(h.interrupted, 1);
    assert_int_equal(h.next_us, 1960000);
    CHECK(heard_parse(&h, odd, sizeof odd - 1));
    assert_int_equal(h.type, HEARD_CREATED);
    assert_string_equal(h.token, "");
    assert_int_equal(h.resumed, 0);
    assert_int_equal(heard_parse(&h, none, sizeof none - 1), ERR_INPUT);
    assert_int_equal(heard_parse(&h, "{", 1), ERR_INPUT);
}

/* ---- a visitor ---- */

static struct tally tally;
static struct audience visitors_audience;
static struct company company;
static unsigned char message[VISITOR_MESSAGE_MAX];

static void open_house(double interrupt) {
    memset(&tally, 0, sizeof tally);
    visitors_audience = audience();
    visitors_audience.interrupt = interrupt;
    company = (struct company){.audience = &visitors_audience, .reference = "default", .codecs = "", .tally = &tally};
    company_open(&company);
}

static void hear(struct visitor *v, double now, const char *text) { visitor_hear_text(v, now, text, strlen(text)); }

/* What it says up to `until`, in steps of 5 ms: how many units of each kind, the last text. */
struct said {
    int units[UNIT_KINDS];
    long bytes[UNIT_KINDS];
    char text[256];
    uint32_t first; /* number of the first unit of the agent's */
};
static double listen(struct visitor *v, double now, double until, const char *stop, struct said *said) {
    memset(said, 0, sizeof *said);
    for (; now < until; now += 0.005) {
        int binary;
        for (size_t n; (n = visitor_say(v, now, message, &binary));) {
            struct unit u;
            if (!binary) {
                snprintf(said->text, sizeof said->text, "%.*s", (int)n, (char *)message);
                if (strstr(said->text, stop)) return now;
                continue;
            }
            CHECK(unit_unpack(&u, message, n));
            if (!said->units[u.kind]++) said->first = u.sequence;
            said->bytes[u.kind] += u.length;
        }
    }
    return now;
}

static void a_visitor_talks_by_turns(void **state) {
    (void)state;
    struct visitor v;
    struct said said;
    open_house(0);
    const struct exchange e = audience_exchange(&visitors_audience, 4, 0);
    visitor_open(&v, &company, 4, 1000);
    visitor_connect(&v, 100);
    double now = listen(&v, 100, 101, "session.create", &said);
    assert_true(now < 100.01);
    hear(&v, 100.5, "{\"type\":\"session.created\",\"token\":\"abc\"}");
    assert_int_equal(tally.admitted, 1);
    now = listen(&v, 100.5, 200, "audio.end", &said);
    /* its turn comes after the gap, the user's turn and the gap before the answer */
    assert_true(fabs(now - (100.5 + e.gap + e.user + e.answer)) < 0.02);
    assert_true(labs(said.bytes[UNIT_AGENT] - 2 * lrint(e.agent * 16000)) <= 2);
    assert_true(fabs(said.units[UNIT_USER] - 50 * (now - 100.5)) < 2); /* in real time */
    hear(&v, now, "{\"type\":\"playback.finished\",\"turn\":1,\"position_us\":1}");
    assert_int_equal(tally.turns_played, 1);
    now = listen(&v, now, now + 100, "audio.end", &said);
    assert_non_null(strstr(said.text, "\"turn\":2"));
}

static void a_visitor_interrupts_and_measures(void **state) {
    (void)state;
    struct visitor v;
    struct said said;
    unsigned char head[UNIT_HEADER];
    struct unit u = {.kind = UNIT_AGENT, .flags = UNIT_FIRST};
    open_house(1);
    visitor_open(&v, &company, 4, 1000);
    visitor_connect(&v, 100);
    listen(&v, 100, 100.01, "session.create", &said);
    hear(&v, 100, "{\"type\":\"session.created\",\"token\":\"abc\"}");
    double now = listen(&v, 100, 200, "audio.end", &said);
    unit_pack(head, &u);
    visitor_hear_unit(&v, now, head, UNIT_HEADER);
    hear(&v, now, "{\"type\":\"playback.started\",\"turn\":1,\"position_us\":0}");
    double at = listen(&v, now, 300, "\"interrupt\"", &said);
    assert_true(fabs(at - now - audience_exchange(&visitors_audience, 4, 0).interrupted) < 0.02);
    hear(&v, at + 0.1, "{\"type\":\"playback.finished\",\"turn\":1,\"interrupted\":true,\"next_us\":480000}");
    assert_int_equal(tally.interruptions, 1);
    assert_int_equal(tally.interruptions_answered, 1);
    assert_true(fabs(spread_quantile(&tally.finished, 1) - 0.1) < 0.0011);
    u = (struct unit){.kind = UNIT_VIDEO, .time_us = 440000, .sequence = 3}; /* older than the interruption */
    unit_pack(head, &u);
    visitor_hear_unit(&v, at + 0.2, head, UNIT_HEADER);
    assert_int_equal(tally.after_stop.count, 0);
    u = (struct unit){.kind = UNIT_VIDEO, .flags = UNIT_FIRST, .time_us = 480000, .sequence = 9};
    unit_pack(head, &u);
    visitor_hear_unit(&v, at + 0.3, head, UNIT_HEADER);
    assert_true(fabs(spread_quantile(&tally.after_stop, 1) - 0.3) < 0.0011);
    assert_int_equal(tally.pictures_lost, 0); /* what an interruption throws away is no loss */
    u = (struct unit){.kind = UNIT_VIDEO, .time_us = 600000, .sequence = 12};
    unit_pack(head, &u);
    visitor_hear_unit(&v, at + 0.4, head, UNIT_HEADER);
    assert_int_equal(tally.pictures_lost, 2);
}

static void a_visitor_comes_back_and_says_what_was_lost(void **state) {
    (void)state;
    struct visitor v;
    struct said said;
    open_house(0);
    visitors_audience.turn_median = visitors_audience.turn_mean = 5; /* five units */
    visitor_open(&v, &company, 0, 1000);
    visitor_connect(&v, 0.5);
    listen(&v, 0.5, 1, "session.create", &said);
    hear(&v, 1, "{\"type\":\"session.queued\",\"place\":0,\"token\":\"abc\"}");
    hear(&v, 3, "{\"type\":\"session.created\",\"token\":\"abc\"}");
    assert_int_equal(tally.queued, 1);
    assert_int_equal(tally.entered, 1);
    assert_true(fabs(spread_quantile(&tally.waited, 1) - 2) < 0.0011);
    double now = listen(&v, 3, 100, "audio.end", &said);
    assert_int_equal(said.units[UNIT_AGENT], 5);
    visitor_connect(&v, now);
    now = listen(&v, now, now + 1, "session.create", &said);
    assert_non_null(strstr(said.text, "\"resume\":\"abc\""));
    hear(&v, now,
         "{\"type\":\"session.created\",\"token\":\"def\",\"resumed\":true,\"next\":{\"agent\":3,\"user\":50}}");
    assert_int_equal(tally.resumed, 1);
    listen(&v, now, now + 1, "audio.end", &said);
    assert_int_equal(said.units[UNIT_AGENT], 2);
    assert_int_equal(said.first, 3);
    hear(&v, now, "{\"type\":\"error\",\"code\":\"full\",\"fatal\":true}");
    assert_int_equal(v.phase, VISITOR_GONE);
    assert_int_equal(tally.refused, 1);
}

/* ---- the server's address ---- */

static void addresses_are_read(void **state) {
    (void)state;
    struct target t;
    CHECK(target_parse(&t, "http://127.0.0.1:8123/"));
    assert_string_equal(t.host, "127.0.0.1");
    assert_int_equal(t.port, 8123);
    CHECK(target_parse(&t, "localhost"));
    assert_string_equal(t.name, "localhost:8080");
    CHECK(target_parse(&t, "[::1]:9"));
    assert_string_equal(t.host, "::1");
    assert_string_equal(t.name, "[::1]:9");
    static const char *const bad[] = {"",        "http://", "https://a:1", "a:",    "a:0",
                                      "a:70000", "a:12x",   "[::1:8080",   ":8080", "a:1/b c"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(target_parse(&t, bad[i]), ERR_USAGE);
    static const char metrics[] = "# HELP streamavatar_queue x\nstreamavatar_queue_long 3\nstreamavatar_queue 4\n";
    assert_true(metrics_value(metrics, "queue") == 4);
    assert_true(isnan(metrics_value(metrics, "que")));
}

int main(void) {
    printf("seed %d\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays_are_a_mixture_of_short_and_engaged),
        cmocka_unit_test(arrivals_are_poisson),
        cmocka_unit_test(the_rate_follows_the_hour),
        cmocka_unit_test(the_same_seed_makes_the_same_plan),
        cmocka_unit_test(turns_and_gaps_are_lognormal),
        cmocka_unit_test(an_audience_that_cannot_be_is_refused),
        cmocka_unit_test(erlang_is_what_its_sums_say),
        cmocka_unit_test(a_plan_is_counted_as_a_server_would),
        cmocka_unit_test(plans_agree_with_erlang),
        cmocka_unit_test(quantiles_are_right_to_a_millisecond),
        cmocka_unit_test(play_stands_where_there_is_no_sound),
        cmocka_unit_test(what_is_said_is_understood),
        cmocka_unit_test(what_is_heard_is_taken_as_it_is_meant),
        cmocka_unit_test(a_visitor_talks_by_turns),
        cmocka_unit_test(a_visitor_interrupts_and_measures),
        cmocka_unit_test(a_visitor_comes_back_and_says_what_was_lost),
        cmocka_unit_test(addresses_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

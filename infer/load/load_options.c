/* load_options.c: see load_options.h. docs/serving.md, "Who comes", says where the audience's defaults are from. */
#include "infer/load/load_options.h"

static const char *const plans[] = {"run", "only", "list", NULL};

#define FIELDS_OF struct load_options
const struct config_field load_fields[] = {
    CHOICE("plan", plan, plans, "run",
           "What is done with the plan of visits: run drives the server by it, only prints what is to be expected and "
           "connects to nobody, list prints every visit as well."),
    LONG("seed", audience.seed, 0, 1e15, "1", "Seed of the plan; the same seed and keys give the same visits."),
    REAL("rate", audience.rate, 0, 1e6, "6", "Visits that arrive in a minute, averaged over a day."),
    REAL("minutes", audience.minutes, 0, 1e5, "10", "Minutes that the load lasts; who is still there then leaves."),
    REAL("compress", compress, 0.1, 1e4, "1",
         "Factor by which the audience's time runs faster than the clock: visits come closer together and stay "
         "shorter, so that equally many are present; sound and pictures still run in real time."),
    REAL("swing", audience.swing, 0, 1, "0",
         "Swing of the rate over a day: 0 keeps it constant, 1 takes it from none to twice the mean."),
    REAL("hour", audience.hour, 0, 24, "20", "Hour of the day at which the load begins; matters where swing is not 0."),
    REAL("peak", audience.peak, 0, 24, "21", "Hour of the day with most visits."),
    REAL("brief", audience.brief, 0, 1, "0.81", "Share of short stays; the others are engaged."),
    REAL("brief_mean", audience.brief_mean, 0.001, 1e4, "0.17", "Mean of the short stays in minutes (exponential)."),
    REAL("stay_median", audience.stay_median, 0.001, 1e4, "3.6", "Median of the engaged stays in minutes (lognormal)."),
    REAL("stay_mean", audience.stay_mean, 0.001, 1e4, "10", "Mean of the engaged stays in minutes."),
    REAL("turn_median", audience.turn_median, 0.01, 600, "1.4",
         "Median of the seconds that user or agent speaks in a turn (lognormal)."),
    REAL("turn_mean", audience.turn_mean, 0.01, 600, "2", "Mean of the seconds that user or agent speaks in a turn."),
    REAL("gap_median", audience.gap_median, 0.001, 600, "0.2",
         "Median of the gap between turns in seconds (lognormal)."),
    REAL("gap_mean", audience.gap_mean, 0.001, 600, "0.3", "Mean of the gap between turns in seconds."),
    REAL("interrupt", audience.interrupt, 0, 1, "0.1", "Share of the agent's turns that the user interrupts."),
    REAL("slow", audience.slow, 0, 1, "0.05", "Share of visits over a slow network."),
    REAL("slow_kbps", slow_kbps, 1, 1e6, "600", "Rate of a slow network in kbit/s; sound alone takes 256."),
    REAL("breaks", audience.breaks, 0, 1, "0.05",
         "Share of visits whose connection breaks off once and that come back by their token."),
    REAL("away", away, 0, 3600, "3", "Seconds between such a break and the visitor's return."),
    TEXT("picture", picture, "",
         "Picture (PNG, JPEG) that each visitor brings; empty takes person, or else the server's own reference."),
    TEXT("person", person, "", "Name of one of the server's persons, which visitors take in place of a picture."),
    TEXT("codecs", codecs, "",
         "Video codecs that visitors can decode, separated by commas; empty takes the protocol's default."),
    INT("sessions", sessions, 0, 4096, "0",
        "Places to forecast for; 0 takes as many as the server says, and with plan=only prints no forecast."),
    INT("queue", queue, 0, 1024, "8", "Places in the queue to forecast for; should be as serve was started with."),
    TEXT("token_file", token_file, "",
         "File with the server's token; left out, the environment variable STREAMAVATAR_TOKEN is it."),
    TEXT("out", out, "", "JSON file to which all results are written; empty writes none."),
};
const int load_field_count = FIELDS(load_fields);

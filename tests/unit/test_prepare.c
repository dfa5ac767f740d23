/* test_prepare.c: the parts of prepare: sidecar masks, the list of clips, cutting a clip into windows, clips that are
   no good. Then the program on a folder of good and bad files, whole and killed again and again: the data sets are the
   same to the byte. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/error.h"
#include "base/fileio.h"
#include "base/hash_index.h"
#include "base/progress.h"
#include "checkpoints/prompt_file.h"
#include "base/log.h"
#include "tests/folder.h"
#include "tools/prepare/clip.h"
#include "tools/prepare/faces.h"
#include "tools/prepare/prompts.h"
#include "tools/prepare/shots.h"
#include "tools/prepare/sidecar.h"

enum { SIDE = 32, FRAME = 3 * SIDE * SIDE };

static char folder[FOLDER_MAX];
static const char *in_folder(const char *name) {
    static char path[8][FILE_PATH_MAX];
    static int used;
    char *p = path[used++ % 8];
    snprintf(p, sizeof *path, "%s/%s", folder, name);
    return p;
}

static void flip(const char *path, long at) {
    FILE *file = fopen(path, "r+b");
    fseek(file, at, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, at, SEEK_SET);
    fputc(byte ^ 1, file);
    fclose(file);
}

static void put(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
}

/* A clip of moving colours; a voice (a pulsing tone) from frame 10 to 30. */
static int film(const char *path, int frames, int channels, int seed) {
    struct video_writer *w;
    float frame[FRAME], pcm[2 * AUDIO_SAMPLES_PER_FRAME];
    int code = video_create(&w, path, SIDE, SIDE, channels);
    for (int f = 0; f < frames && !code; f++) {
        for (int i = 0; i < FRAME; i++) {
            int x = i % SIDE, y = i / SIDE % SIDE, c = i / (SIDE * SIDE);
            frame[i] = 0.7f * sinf(0.1f * (float)(x * (seed % 3) + y + f) + (float)(c + seed));
        }
        for (int i = 0; i < AUDIO_SAMPLES_PER_FRAME * channels; i++) {
            double t = f / 25.0 + i / channels / 16000.0;
            pcm[i] = f >= 10 && f < 30 && !(i % channels) ? 0.5f * (float)sin(2 * M_PI * (200 + 10 * seed) * t) : 0;
        }
        code = video_write(w, frame);
        if (!code && channels) code = video_write_audio(w, pcm, AUDIO_SAMPLES_PER_FRAME);
    }
    if (!code) return video_finish(w);
    return code;
}

/* A folder of clips: good ones in two folders, and all kinds of bad ones. */
static int setup(void **state) {
    (void)state;
    if (folder_make(folder, "test_prepare")) return -1;
    mkdir(in_folder("clips"), 0777);
    mkdir(in_folder("clips/anna"), 0777);
    mkdir(in_folder("clips/bert"), 0777);
    mkdir(in_folder("clips/bert/.hidden"), 0777);
    char name[64];
    int code = 0;
    for (int i = 0; i < 6 && !code; i++) {
        snprintf(name, sizeof name, "clips/%s/%d.mp4", i % 2 ? "bert" : "anna", i);
        code = film(in_folder(name), 40 + 5 * i, 1 + i % 2, i);
    }
    code = code || film(in_folder("clips/short.mp4"), 8, 1, 7) || film(in_folder("clips/mute.mp4"), 40, 0, 8) ||
           film(in_folder("clips/bert/.hidden/not.mp4"), 40, 1, 9) || film(in_folder("clips/cut.mp4"), 40, 1, 10);
    struct stat info;
    stat(in_folder("clips/cut.mp4"), &info);
    if (truncate(in_folder("clips/cut.mp4"), info.st_size / 2)) code = 1;
    put(in_folder("clips/text.mp4"), "no video\n");
    put(in_folder("clips/notes.txt"), "no video\n");
    return code;
}
static int teardown(void **state) {
    (void)state;
    return folder_remove(folder);
}

/* ---- sidecars ---- */

static void expect_mask(const float *mask, int frames, const char *want) {
    for (int f = 0; f < frames; f++) assert_true(mask[f] == (float)(want[f] - '0'));
}

static void sidecars(void **state) {
    (void)state;
    float talk[10], listen[10];
    const char *path = in_folder("a.mask.csv");
    put(path,
        "start,end,who\n# comment\n\n0.04,0.12,talk\r\n 0.2 , 9.5, listen \n0.28,0.28,talk\n0.001,0.039,listen\n");
    assert_int_equal(sidecar_read(path, 10, talk, listen), OK);
    expect_mask(talk, 10, "0110000000");
    expect_mask(listen, 10, "1000011111");
    const char *json = in_folder("a.mask.json");
    put(json, "{\"talk\": [[0.04, 0.12]], \"other\": 1}");
    assert_int_equal(sidecar_read(json, 10, talk, listen), OK);
    expect_mask(talk, 10, "0110000000");
    expect_mask(listen, 10, "0000000000");
    /* however it was written: by Excel, on an old Mac, with columns in another order and more of them */
    static const char *const same[] = {"\xef\xbb\xbfstart,end,who\r\n0.04,0.12,talk\r\n", "0.04,0.12,talk\r",
                                       "start,end,who\r0.04,0.12,talk", "\"0.04\",\"0.12\",\"talk\"\n",
                                       "Who,note,END,Start\nTALK,\"a \"\"b\"\", c\r\nd\",.12,4e-2\n"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        put(path, same[i]);
        if (sidecar_read(path, 10, talk, listen)) fail_msg("%zu: %s", i, error_text());
        expect_mask(talk, 10, "0110000000");
        expect_mask(listen, 10, "0000000000");
    }
    float long_talk[60], long_listen[60];
    assert_int_equal(sidecar_read("tests/inputs/bom.mask.csv", 60, long_talk, long_listen), OK);
    for (int f = 0; f < 60; f++) assert_true(long_talk[f] == (f >= 12 && f < 52) && long_listen[f] == 0);
    put(path, "start,end,who\n");
    assert_int_equal(sidecar_read(path, 10, talk, listen), OK);
    expect_mask(talk, 10, "0000000000");
    put(json, "\xef\xbb\xbf{\"Talk\":\r[[0.04, 0.12]]}\r");
    assert_int_equal(sidecar_read(json, 10, talk, listen), OK);
    expect_mask(talk, 10, "0110000000");
    char found[FILE_PATH_MAX];
    assert_int_equal(sidecar_find(in_folder("a.mp4"), found, sizeof found), 1);
    assert_string_equal(found, path);
    assert_int_equal(sidecar_find(in_folder("b.mp4"), found, sizeof found), 0);
    static const char *const bad_csv[] = {"0,1,talk\n1,2,sing\n", "0,1\n",           "1,0,talk\n",  "-1,2,talk\n",
                                          "nan,1,talk\n",         "0,1,talk,more\n", "0,inf,talk\n"};
    for (size_t i = 0; i < sizeof bad_csv / sizeof *bad_csv; i++) {
        put(path, bad_csv[i]);
        assert_int_equal(sidecar_read(path, 10, talk, listen), ERR_INPUT);
        assert_non_null(strstr(error_text(), i ? "a.mask.csv:1" : "a.mask.csv:2"));
    }
    /* never read as silence: an empty file, milliseconds, a comma in a number, names that are not ours, UTF-16, no text
       */
    static const struct {
        const char *text, *says;
    } silent[] = {{"", "holds no span"},
                  {"\n# nothing\n", "holds no span"},
                  {"start,end,who\r\r\r480,2100,talk\r", "a.mask.csv:4: begins at 480 s"},
                  {"start;end;who\n0,04;0,12;talk\n", "a.mask.csv:1"},
                  {"from,end,who\n0,1,talk\n", "a.mask.csv:1: no column \"start\""},
                  {"start,end,who,who\n", "two columns"},
                  {"start,end,who\n0,1\n", "a.mask.csv:2: 2 fields"},
                  {"0x1p-2,1,talk\n", "a.mask.csv:1: start: expected a number"},
                  {"0,1,\"talk\n", "not closed"},
                  {"0,1,\"talk\"s\n", "closing quote"},
                  {"\xff\xfes", "UTF-16"}};
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++) {
        put(path, silent[i].text);
        assert_int_equal(sidecar_read(path, 10, talk, listen), ERR_INPUT);
        if (!strstr(error_text(), silent[i].says)) fail_msg("\"%s\" lacks \"%s\"", error_text(), silent[i].says);
    }
    assert_int_equal(file_write(path, "0,0.1,talk\n0,0\0.1,talk\n", 25), OK);
    assert_int_equal(sidecar_read(path, 10, talk, listen), ERR_INPUT);
    assert_non_null(strstr(error_text(), "a.mask.csv:2: a zero byte"));
    static const char *const bad_json[] = {"",
                                           "[]",
                                           "{",
                                           "{\"talk\": 3}",
                                           "{\"talk\": [3]}",
                                           "{\"talk\": [[1]]}",
                                           "{\"listen\": [[2, 1]]}",
                                           "{\"talk\": [[\"0\", 1]]}",
                                           "{}",
                                           "{\"speech\": [[0, 1]], \"talk\": []}",
                                           "{\"talk\": [], \"Talk\": [[0, 1]]}",
                                           "{\"talk\": [[480, 2100]]}",
                                           "{\"talk\": []} {\"listen\": [[0, 1]]}"};
    for (size_t i = 0; i < sizeof bad_json / sizeof *bad_json; i++) {
        put(json, bad_json[i]);
        assert_int_equal(sidecar_read(json, 10, talk, listen), ERR_INPUT);
    }
    put(json, "{\"talk\":\r\n[[0, 1],\r\n[2]}");
    assert_int_equal(sidecar_read(json, 10, talk, listen), ERR_INPUT);
    assert_non_null(strstr(error_text(), "a.mask.json:3: is not JSON"));
    assert_int_equal(file_write(json, "{\"talk\": []}\0", 13), OK);
    assert_int_equal(sidecar_read(json, 10, talk, listen), ERR_INPUT);
}

/* ---- clips ---- */

static int load(struct prepare_config *c, const char *more) {
    static char source[FILE_PATH_MAX + 8], out[FILE_PATH_MAX + 8];
    snprintf(source, sizeof source, "source=%s", in_folder("clips"));
    snprintf(out, sizeof out, "out=%s", in_folder("set.h5"));
    const char *overrides[] = {source,       out,           "height=32",        "width=32", "channels=16", "frames=3",
                               "held_out=3", "audio_dim=8", "fit.patches=1000", "stride=4", more};
    return prepare_config_load(c, NULL, overrides, more ? 11 : 10);
}

static void lists(void **state) {
    (void)state;
    struct prepare_config c;
    struct clip_list list;
    assert_int_equal(load(&c, NULL), OK);
    assert_int_equal(clip_list_open(&list, &c), OK);
    static const char *const want[] = {"anna/0.mp4", "anna/2.mp4", "anna/4.mp4", "bert/1.mp4", "bert/3.mp4",
                                       "bert/5.mp4", "cut.mp4",    "mute.mp4",   "short.mp4",  "text.mp4"};
    static const int identity[] = {0, 0, 0, 1, 1, 1, 2, 2, 2, 2};
    assert_int_equal(list.count, 10);
    assert_int_equal(list.held_out, 3);
    assert_int_equal(list.ignored, 1);
    for (int i = 0; i < 10; i++) {
        assert_string_equal(list.entries[i].path, want[i]);
        assert_int_equal(list.entries[i].identity, identity[i]);
        assert_int_equal(list.entries[i].utterance, i);
    }
    clip_list_close(&list);
    /* whole folders: whichever is drawn, all of it is held out, and as many folders as it takes */
    int folders_of_one = 0;
    for (long seed = 1; seed <= 8; seed++) {
        assert_int_equal(load(&c, "held_out_by=folder"), OK);
        c.seed = seed;
        assert_int_equal(clip_list_open(&list, &c), OK);
        assert_true(list.held_out == 3 || list.held_out == 4); /* anna or bert, or the four that lie loose */
        for (int i = 1; i < 10; i++)
            if (list.entries[i].identity == list.entries[i - 1].identity)
                assert_int_equal(list.entries[i].split, list.entries[i - 1].split);
        folders_of_one += list.held_out == 3;
        clip_list_close(&list);
    }
    assert_true(folders_of_one > 0 && folders_of_one < 8);
    assert_int_equal(load(&c, "held_out_by=folder"), OK);
    c.held_out = 8; /* folders have 3, 3 and 4 clips: any seven or fewer leave one, eight take all three */
    assert_int_equal(clip_list_open(&list, &c), OK);
    assert_int_equal(list.held_out, 10);
    assert_int_equal(clip_list_leaves_training(&list, &c), ERR_USAGE);
    clip_list_close(&list);
    assert_int_equal(load(&c, "held_out=10"), OK);
    assert_int_equal(clip_list_open(&list, &c), OK);
    assert_int_equal(clip_list_leaves_training(&list, &c), ERR_USAGE);
    clip_list_close(&list);
    assert_int_equal(load(&c, "held_out=9"), OK);
    assert_int_equal(clip_list_open(&list, &c), OK);
    assert_int_equal(clip_list_leaves_training(&list, &c), OK);
    clip_list_close(&list);
    assert_int_equal(load(&c, "held_out=11"), OK);
    assert_int_equal(clip_list_open(&list, &c), ERR_USAGE);
    assert_int_equal(load(&c, "source=/nowhere"), OK);
    assert_int_equal(clip_list_open(&list, &c), ERR_INPUT);
    mkdir(in_folder("empty"), 0777);
    char empty[FILE_PATH_MAX + 8];
    snprintf(empty, sizeof empty, "source=%s", in_folder("empty"));
    assert_int_equal(load(&c, empty), OK);
    assert_int_equal(clip_list_open(&list, &c), ERR_INPUT);
    assert_int_equal(load(&c, "source=puppet"), OK);
    c.puppet_identities = 3, c.puppet_dialogues = 2, c.puppet_held_out = 2;
    assert_int_equal(clip_list_open(&list, &c), OK);
    assert_int_equal(list.count, 8);
    for (int i = 0; i < 8; i++) { /* held out: persons and words that are not trained on */
        assert_int_equal(list.entries[i].identity, i < 6 ? i / 2 : i - 3);
        assert_int_equal(list.entries[i].utterance, i);
        assert_int_equal(list.entries[i].split, i < 6 ? SPLIT_TRAIN : SPLIT_HELD_OUT);
    }
    clip_list_close(&list);
    assert_int_equal(load(&c, "patch=5"), ERR_USAGE);
    assert_int_equal(load(&c, "channels=1000"), ERR_USAGE);
    assert_int_equal(load(&c, "audio_encoder=none"), ERR_USAGE);
    assert_int_equal(load(&c, "nonsense=1"), ERR_USAGE);
}

static const struct clip_entry *entry_of(const struct clip_list *list, const char *path, int copy) {
    for (int i = 0; i < list->count; i++)
        if (!strcmp(list->entries[i].path, path) && list->entries[i].copy == copy) return &list->entries[i];
    fail_msg("no copy %d of %s", copy, path);
    return NULL;
}

/* Training clips have a view each, which depends on nothing but seed, path and copy; held-out clips have none. Copies
   are of training clips alone, and neither the split nor identities change for them. */
static void clips_are_varied(void **state) {
    (void)state;
    enum { COPIES = 3 };
    static const struct picture_view plain = {0};
    struct prepare_config c;
    struct clip_list once, list, fewer;
    assert_int_equal(load(&c, NULL), OK);
    c.vary = (struct picture_variation){.colour = 0.1, .place = 0.05, .scale = 0.2};
    assert_int_equal(clip_list_open(&once, &c), OK);
    c.copies = COPIES;
    assert_int_equal(clip_list_open(&list, &c), OK);
    assert_int_equal(list.held_out, once.held_out);
    assert_int_equal(list.count, once.held_out + COPIES * (once.count - once.held_out));
    assert_int_equal(list.ignored, once.ignored);
    for (int i = 0, at = 0; i < once.count; i++)
        for (int copy = 0; copy < (once.entries[i].split == SPLIT_TRAIN ? COPIES : 1); copy++, at++) {
            const struct clip_entry *entry = &list.entries[at], *alone = &once.entries[i];
            assert_string_equal(entry->path, alone->path);
            assert_int_equal(entry->copy, copy);
            assert_int_equal(entry->split, alone->split);
            assert_int_equal(entry->identity, alone->identity);
            assert_int_equal(entry->utterance, alone->utterance);
            assert_int_equal(entry->size, alone->size);
            int is_plain = !memcmp(&entry->view, &plain, sizeof plain);
            assert_int_equal(is_plain, entry->split == SPLIT_HELD_OUT);
            assert_int_equal(!memcmp(&entry->view, &alone->view, sizeof plain), copy == 0 || is_plain);
        }
    c.held_out = 2; /* one clip more in training: the others keep their views */
    assert_int_equal(clip_list_open(&fewer, &c), OK);
    for (int i = 0; i < list.count; i++) {
        const struct clip_entry *entry = &list.entries[i];
        if (entry->split == SPLIT_TRAIN)
            assert_memory_equal(&entry_of(&fewer, entry->path, entry->copy)->view, &entry->view, sizeof plain);
    }
    clip_list_close(&once), clip_list_close(&list), clip_list_close(&fewer);
    assert_int_equal(load(&c, "source=puppet"), OK);
    c.puppet_identities = 3, c.puppet_dialogues = 2, c.puppet_held_out = 2;
    c.vary.place = 0.1;
    assert_int_equal(clip_list_open(&list, &c), OK);
    for (int i = 0; i < 8; i++) assert_int_equal(list.entries[i].view.x != 0, i < 6);
    assert_true(list.entries[0].view.x != list.entries[1].view.x);
    clip_list_close(&list);
    assert_int_equal(load(&c, "vary.copies=2"), ERR_USAGE); /* without variation the copies would be alike */
    assert_int_equal(load(&c, "vary={copies: 2, scale: 0.1}"), OK);
    assert_int_equal(load(&c, "vary={place: 0.1, place_step: 0.125}"), ERR_USAGE);
    assert_int_equal(load(&c, "vary={place: 0.125, place_step: 0.125}"), OK);
    const char *const puppet[] = {"source=puppet", "out=x", "vary.copies=2", "vary.scale=0.1"};
    assert_int_equal(prepare_config_load(&c, NULL, puppet, 4), ERR_USAGE);
}

static void touch(const char *path) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
}

/* A folder's clips are one identity, also where a subfolder's stand between them in the list. */
static void folders(void **state) {
    (void)state;
    struct prepare_config c;
    struct clip_list list;
    char path[FILE_PATH_MAX + 32], source[FILE_PATH_MAX + 8];
    static const char *const clips[] = {"a/1.mp4", "a/b/2.mp4", "a/c.mp4", "ab/d.mp4", "e.mp4"};
    static const int identity[] = {0, 1, 0, 2, 3};
    snprintf(source, sizeof source, "source=%s", in_folder("tree"));
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "%s/%s", in_folder("tree"), clips[i]);
        *strrchr(path, '/') = 0;
        assert_int_equal(file_make_folders(path), OK);
        path[strlen(path)] = '/';
        touch(path);
    }
    assert_int_equal(load(&c, source), OK);
    assert_int_equal(clip_list_open(&list, &c), OK);
    assert_int_equal(list.count, 5);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(list.entries[i].path, clips[i]);
        assert_int_equal(list.entries[i].identity, identity[i]);
    }
    clip_list_close(&list);
}

/* One clip a folder: the time that listing takes grows with their number, not with its square, which here took 8 s. */
static void many_folders(void **state) {
    (void)state;
    enum { MANY = 20000 };
    struct prepare_config c;
    struct clip_list list;
    char path[FILE_PATH_MAX + 32], source[FILE_PATH_MAX + 8];
    snprintf(source, sizeof source, "source=%s", in_folder("many"));
    mkdir(in_folder("many"), 0777);
    for (int i = 0; i < MANY; i++) {
        int n = snprintf(path, sizeof path, "%s/%d", in_folder("many"), i);
        mkdir(path, 0777);
        snprintf(path + n, sizeof path - (size_t)n, "/x.mp4");
        touch(path);
    }
    assert_int_equal(load(&c, source), OK);
    clock_t begin = clock();
    assert_int_equal(clip_list_open(&list, &c), OK);
    double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    assert_int_equal(list.count, MANY);
    assert_int_equal(list.entries[MANY - 1].identity, MANY - 1);
    clip_list_close(&list);
    folder_remove(in_folder("many"));
    if (seconds > 3) fail_msg("%.1f s", seconds);
}

static int beats;
static void beat(void *user) { (void)user, beats++; }

static int grey_source(void *user, float *group) {
    int *n = user;
    for (int i = 0; i < 4 * FRAME; i++) group[i] = sinf((float)i * 0.01f * (float)(*n % 7 + 1));
    return (*n)++ < 20;
}

enum { ROWS_KEPT = 64 };
static int shots[ROWS_KEPT]; /* shots of the last piece's rows */

/* Cuts one clip; the piece's rows are malloc'd in *rows. */
static int cut(const struct prepare_config *c, struct codec *codec, const char *name, struct piece_head *head,
               int *rejected, float **rows) {
    struct clip_entry entry = {.path = (char *)name};
    const char *piece = in_folder("piece");
    *rows = NULL;
    unlink(piece);
    struct sound_encoder sound;
    assert_int_equal(sound_encoder_open(&sound, &c->audio.recipe, c->audio_dim, ""), OK);
    int code = prepare_clip(c, &entry, codec, &sound, piece, head, rejected, beat, NULL);
    sound_encoder_close(&sound);
    if (code) return code;
    FILE *file;
    assert_int_equal(piece_open(piece, c, &file, head), OK);
    size_t n = piece_row_floats(c);
    *rows = malloc(n * (size_t)head->rows * sizeof(float));
    for (int r = 0; r < head->rows; r++)
        assert_int_equal(piece_read(file, c, *rows + (size_t)r * n, NULL, &shots[r % ROWS_KEPT]), OK);
    fclose(file);
    return OK;
}

static void windows(void **state) {
    (void)state;
    struct prepare_config c;
    struct piece_head head;
    struct codec codec;
    int rejected, n = 0;
    float *rows, *again;
    assert_int_equal(load(&c, NULL), OK);
    struct codec_fit fit = {SIDE, SIDE, 8, 16, 0.5, 1};
    assert_int_equal(codec_fit(&codec, "pca", &fit, grey_source, &n), OK);
    assert_int_equal(cut(&c, &codec, "anna/2.mp4", &head, &rejected, &rows), OK);
    assert_int_equal(head.rows, (50 - 9) / 4 + 1);
    assert_float_equal(head.seconds, 2, 1e-9);
    assert_true(beats >= 50);
    /* each window is what the codec makes of its frames alone */
    struct video_reader *r;
    static float clip[50 * FRAME];
    float latents[3 * 16 * 16];
    assert_int_equal(video_open(&r, in_folder("clips/anna/2.mp4"), SIDE, SIDE), OK);
    for (int f = 0; f < 50; f++) assert_int_equal(video_read(r, clip + f * FRAME), 1);
    video_close(r);
    size_t row = piece_row_floats(&c);
    assert_int_equal(row, 3 * 16 * 16 + 9 * 8 + 2 * 9);
    for (int w = 0; w < head.rows; w++) {
        codec_encode_reset(&codec);
        codec_encode(&codec, clip + 4 * w * FRAME, 9, latents);
        assert_memory_equal(rows + (size_t)w * row, latents, sizeof latents);
        for (int t = 0; t < 9; t++) { /* the voice of frames 10 to 30, with its hang-over */
            int f = 4 * w + t;
            float talk = rows[(size_t)w * row + row - 18 + (size_t)t],
                  listen = rows[(size_t)w * row + row - 9 + (size_t)t];
            if (f < 9 || f > 48) assert_true(talk == 0);
            if (f >= 11 && f < 30) assert_true(talk == 1);
            assert_true(listen == 0);
        }
        /* features of overlapping windows are the same sound's */
        if (w) assert_memory_equal(rows + (size_t)w * row + 768, rows + (size_t)(w - 1) * row + 768 + 4 * 8, 5 * 8 * 4);
    }
    /* a stride beyond the window passes frames over */
    c.stride = 20;
    assert_int_equal(cut(&c, &codec, "anna/2.mp4", &head, &rejected, &again), OK);
    assert_int_equal(head.rows, 3);
    assert_memory_equal(again + row, rows + 5 * row, row * sizeof(float));
    assert_memory_equal(again + 2 * row, rows + 10 * row, row * sizeof(float));
    free(again);
    /* a sidecar goes before voice activity */
    put(in_folder("clips/anna/2.mask.csv"), "0,0.08,talk\n");
    assert_int_equal(cut(&c, &codec, "anna/2.mp4", &head, &rejected, &again), OK);
    expect_mask(again + row - 18, 9, "110000000");
    free(again);
    put(in_folder("clips/anna/2.mask.csv"), "nonsense\n");
    assert_int_equal(cut(&c, &codec, "anna/2.mp4", &head, &rejected, &again), ERR_INPUT);
    assert_true(rejected);
    unlink(in_folder("clips/anna/2.mask.csv"));
    free(rows);
    codec_close(&codec);
}

/* Windows and the sample for the fit are of the pictures that a clip's view shows. */
static void varied_windows(void **state) {
    (void)state;
    enum { GROUPS = 4, FRAMES = 50 };
    static float clip[FRAMES * FRAME], latents[3 * 16 * 16], *rows;
    static unsigned char sample[GROUPS * 4 * FRAME];
    const struct picture_view view = {.gain = {0.1, -0.1, 0}, .gamma = 0.1, .x = 0.05, .zoom = 0.2};
    struct clip_entry entry = {.path = (char *)"anna/2.mp4", .view = view};
    struct codec_fit fit = {SIDE, SIDE, 8, 16, 0.5, 1};
    struct sound_encoder sound;
    struct prepare_config c;
    struct piece_head head;
    struct codec codec;
    struct video_reader *r;
    int rejected, n = 0;
    assert_int_equal(load(&c, NULL), OK);
    assert_int_equal(codec_fit(&codec, "pca", &fit, grey_source, &n), OK);
    assert_int_equal(video_open(&r, in_folder("clips/anna/2.mp4"), SIDE, SIDE), OK);
    video_vary(r, &view);
    for (int f = 0; f < FRAMES; f++) assert_int_equal(video_read(r, clip + f * FRAME), 1);
    video_close(r);
    assert_int_equal(sound_encoder_open(&sound, &c.audio.recipe, c.audio_dim, ""), OK);
    assert_int_equal(prepare_clip(&c, &entry, &codec, &sound, in_folder("piece"), &head, &rejected, beat, NULL), OK);
    sound_encoder_close(&sound);
    FILE *file;
    assert_int_equal(piece_open(in_folder("piece"), &c, &file, &head), OK);
    rows = malloc(piece_row_floats(&c) * sizeof *rows);
    for (int w = 0; w < head.rows; w++) {
        assert_int_equal(piece_read(file, &c, rows, NULL, &shots[0]), OK);
        codec_encode_reset(&codec);
        codec_encode(&codec, clip + 4 * w * FRAME, 9, latents);
        assert_memory_equal(rows, latents, sizeof latents);
    }
    fclose(file);
    free(rows);
    codec_close(&codec);
    assert_int_equal(prepare_sample(&c, &entry, GROUPS, in_folder("sample"), &rejected, beat, NULL), OK);
    file = fopen(in_folder("sample"), "rb");
    assert_int_equal(fread(sample, sizeof sample, 1, file), 1);
    fclose(file);
    for (int i = 0; i < FRAME; i++) assert_float_equal(sample[i], (clip[i] + 1) * 127.5, 0.51); /* frame 0 */
}

static void bad_clips(void **state) {
    (void)state;
    struct prepare_config c;
    struct piece_head head;
    struct codec codec;
    int rejected, n = 0;
    float *rows;
    struct codec_fit fit = {SIDE, SIDE, 8, 16, 0.5, 1};
    assert_int_equal(codec_fit(&codec, "pca", &fit, grey_source, &n), OK);
    static const struct {
        const char *name, *override, *says;
    } cases[] = {{"short.mp4", NULL, "too short"},        {"mute.mp4", NULL, "no sound"},
                 {"text.mp4", NULL, "cannot be read"},    {"cut.mp4", NULL, "cut.mp4"},
                 {"gone.mp4", NULL, "gone.mp4"},          {"anna/0.mp4", "mask=sidecar", "sidecar"},
                 {"anna/0.mp4", "tracks=2", "two tracks"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(load(&c, cases[i].override), OK);
        assert_int_equal(cut(&c, &codec, cases[i].name, &head, &rejected, &rows), ERR_INPUT);
        assert_true(rejected);
        if (!strstr(error_text(), cases[i].says)) fail_msg("\"%s\" does not say \"%s\"", error_text(), cases[i].says);
        assert_false(file_exists(in_folder("piece")));
        assert_false(file_exists(in_folder("piece.tmp")));
    }
    assert_int_equal(load(&c, "tracks=2"), OK);
    assert_int_equal(cut(&c, &codec, "bert/1.mp4", &head, &rejected, &rows), OK);
    free(rows);
    /* a place that cannot be written is not the clip's fault */
    struct clip_entry entry = {.path = (char *)"bert/1.mp4"};
    assert_int_equal(prepare_clip(&c, &entry, &codec, NULL, "/nowhere/piece", &head, &rejected, beat, NULL), ERR_INPUT);
    assert_false(rejected);
    /* damaged pieces */
    FILE *file;
    const char *piece = in_folder("piece");
    struct stat info;
    stat(piece, &info);
    for (long at = 8; at < info.st_size; at += info.st_size / 5) { /* a bit, which nothing but the sum tells */
        flip(piece, at);
        assert_int_equal(piece_open(piece, &c, &file, &head), ERR_INPUT);
        flip(piece, at);
    }
    assert_int_equal(piece_open(piece, &c, &file, &head), OK);
    fclose(file);
    assert_int_equal(truncate(piece, info.st_size - 4), 0);
    assert_int_equal(piece_open(piece, &c, &file, &head), ERR_INPUT);
    put(piece, "x");
    assert_int_equal(piece_open(piece, &c, &file, &head), ERR_INPUT);
    codec_close(&codec);
}

/* ---- shots and faces ---- */

/* A picture of slow colours in scene 0, other ones in scene 1, white as scene 2. */
static void scene(float *frame, int which, int f) {
    for (int i = 0; i < FRAME; i++) {
        int x = i % SIDE, y = i / SIDE % SIDE, c = i / (SIDE * SIDE);
        frame[i] = which == 2
                       ? 1
                       : 0.6f * sinf(0.1f * (float)(which ? x - y : x + y) + 0.02f * (float)f + (float)(c + 2 * which));
    }
}

/* Cuts that are found in 80 frames, as a text; from frame `from` on, `length` frames are of another scene. */
static const char *cuts_of(int which, int from, int length, double threshold) {
    static char text[200];
    static float frame[FRAME];
    struct shots s;
    enum shot_place place;
    int missing, f = 0, given = 0;
    *text = 0;
    assert_int_equal(shots_open(&s, SIDE, SIDE, threshold), OK);
    for (;;) {
        while (f < 80 && shots_wants(&s)) {
            scene(frame, f >= from && f < from + length ? which : 0, f);
            shots_take(&s, frame, f == 7);
            f++;
        }
        if (!shots_give(&s, frame, &missing, &place, f == 80)) break;
        static float want[FRAME];
        scene(want, given >= from && given < from + length ? which : 0, given);
        assert_memory_equal(frame, want, sizeof want); /* none is lost or exchanged */
        assert_int_equal(missing, given == 7);
        assert_true(place != SHOT_DISSOLVES);
        if (place == SHOT_BEGINS) sprintf(text + strlen(text), "%d ", given);
        given++;
    }
    assert_int_equal(given, 80);
    shots_close(&s);
    return text;
}

static void shots_are_found(void **state) {
    (void)state;
    assert_string_equal(cuts_of(1, 40, 40, 0.05), "40 ");
    assert_string_equal(cuts_of(1, 20, 30, 0.05), "20 50 ");
    assert_string_equal(cuts_of(1, 40, 0, 0.05), "");
    assert_string_equal(cuts_of(2, 40, 4, 0.05), ""); /* a flash */
    assert_string_equal(cuts_of(1, 40, 40, 0), "");
    assert_string_equal(cuts_of(1, 1, 79, 0.05), "1 ");
    assert_string_equal(cuts_of(1, 79, 1, 0.05), "79 ");
}

/* Windows tell which side of a cut they are of, and none has pictures of both: 9 frames each, every 4, of 40 and 25. */
enum { FIRST = 40, SECOND = 25, BEFORE = (FIRST - 9) / 4 + 1, BEHIND = (SECOND - 9) / 4 + 1 };

/* With first_reference latent 0 of every window is that of its shot's first window; all else is as it was. */
static void expect_first_references(const struct prepare_config *c, const float *plain, const float *given) {
    size_t row = piece_row_floats(c), latent = (size_t)(c->channels * (SIDE / c->patch) * (SIDE / c->patch));
    for (size_t r = 0; r < BEFORE + BEHIND; r++) {
        const float *first = plain + (r < BEFORE ? 0 : BEFORE) * row;
        assert_memory_equal(given + r * row, first, latent * sizeof(float));
        assert_memory_equal(given + r * row + latent, plain + r * row + latent, (row - latent) * sizeof(float));
        if (r != 0 && r != BEFORE) assert_memory_not_equal(plain + r * row, first, latent * sizeof(float));
    }
}

static void windows_know_their_shot(void **state) {
    (void)state;
    float frame[FRAME], *rows, *given, pcm[AUDIO_SAMPLES_PER_FRAME] = {0};
    struct codec_fit fit = {SIDE, SIDE, 8, 16, 0.5, 1};
    struct prepare_config c;
    struct piece_head head;
    struct codec codec;
    struct video_writer *w;
    int rejected, n = 0;
    char path[FILE_PATH_MAX];
    strcpy(path, in_folder("clips/two.mp4"));
    assert_int_equal(video_create(&w, path, SIDE, SIDE, 1), OK);
    for (int f = 0; f < FIRST + SECOND; f++) {
        scene(frame, f >= FIRST, f);
        assert_int_equal(video_write(w, frame), OK);
        assert_int_equal(video_write_audio(w, pcm, AUDIO_SAMPLES_PER_FRAME), OK);
    }
    assert_int_equal(video_finish(w), OK);
    assert_int_equal(load(&c, NULL), OK);
    assert_int_equal(codec_fit(&codec, "pca", &fit, grey_source, &n), OK);
    assert_int_equal(cut(&c, &codec, "two.mp4", &head, &rejected, &rows), OK);
    assert_int_equal(head.rows, BEFORE + BEHIND);
    for (int r = 0; r < head.rows; r++) assert_int_equal(shots[r], r >= BEFORE);
    c.first_reference = 1;
    assert_int_equal(cut(&c, &codec, "two.mp4", &head, &rejected, &given), OK);
    assert_int_equal(head.rows, BEFORE + BEHIND);
    expect_first_references(&c, rows, given);
    free(given);
    free(rows);
    codec_close(&codec);
    unlink(path);
}

/* Of 80 frames, the first and the last that are told to be of two shots, where `length` frames from `from` on go over
   to scene 1 (kind 0), get brighter (1), or move on (2); -1: none is. */
static void dissolve_of(int kind, int from, int length, int *first, int *last) {
    static float frame[FRAME], other[FRAME];
    struct shots s;
    enum shot_place place;
    int missing, f = 0;
    *first = *last = -1;
    assert_int_equal(shots_open(&s, SIDE, SIDE, 0.05), OK);
    for (int given = 0;; given++) {
        while (f < 80 && shots_wants(&s)) {
            float part = fminf(fmaxf((float)(f - from + 1) / (float)(length + 1), 0), 1);
            scene(frame, 0, f / 4);
            scene(other, 1, f / 4);
            if (kind == 2) scene(frame, 0, (int)(150 * part));
            for (int i = 0; i < FRAME; i++) {
                if (kind == 0) frame[i] += part * (other[i] - frame[i]);
                if (kind == 1) frame[i] = (frame[i] + 1) * (0.4f + 0.6f * part) - 1;
            }
            shots_take(&s, frame, 0);
            f++;
        }
        if (!shots_give(&s, frame, &missing, &place, f == 80)) break;
        assert_true(place != SHOT_BEGINS);
        if (place != SHOT_DISSOLVES) continue;
        if (*first < 0) *first = given;
        *last = given;
    }
    shots_close(&s);
}

/* Half a second to a second, found with two frames to spare at most on either side; light and movement are none. */
static void dissolves_are_found(void **state) {
    (void)state;
    int first, last;
    static const int lengths[] = {12, 16, 20, 24};
    for (int i = 0; i < 4; i++) {
        dissolve_of(0, 30, lengths[i], &first, &last);
        if (first > 30 || first < 27 || last < 29 + lengths[i] || last > 32 + lengths[i])
            fail_msg("%d frames: from %d to %d", lengths[i], first, last);
        for (int kind = 1; kind <= 2; kind++) {
            dissolve_of(kind, 30, lengths[i], &first, &last);
            if (first >= 0) fail_msg("kind %d, %d frames: from %d to %d", kind, lengths[i], first, last);
        }
    }
}

static void boxes(void **state) {
    (void)state;
    struct video_face *faces;
    long count;
    char found[FILE_PATH_MAX];
    const char *path = in_folder("b.box.csv");
    put(path,
        "\xef\xbb\xbf\"Frame\",X1,Y1,X2,Y2,score\r\n0,10,20,30,60,1\r\n4,14,20,34,60,1\r\n40,100,20,120,60,1\r\n");
    assert_int_equal(faces_find(in_folder("b.mp4"), found, sizeof found), 1);
    assert_string_equal(found, path);
    assert_int_equal(faces_find(in_folder("c.mp4"), found, sizeof found), 0);
    assert_int_equal(faces_read(path, 2, &faces, &count), OK);
    assert_int_equal(count, 40 + 1 + 12);
    for (int f = 0; f < count; f++) assert_true((faces[f].height > 0) == (f <= 4 || f >= 40)); /* a long gap stays */
    for (int f = 1; f < 5; f++) assert_true(faces[f].x > faces[f - 1].x && faces[f].x < faces[f - 1].x + 1);
    for (int f = 0; f < 5; f++) {
        assert_float_equal(faces[f].y, 40, 1e-9);
        assert_float_equal(faces[f].height, 80, 1e-9);
        assert_true(faces[f].x >= 20 && faces[f].x <= 24);
    }
    assert_float_equal(faces[40].x, 110, 1e-9);
    free(faces);
    put(path, "time,left,top,width,height\n0.00,0,0,10,10\n0.02,5,0,10,10\n0.04,2,0,10,10\n");
    assert_int_equal(faces_read(path, 1, &faces, &count), OK); /* 50 a second: the first of each of our frames */
    assert_int_equal(count, 2 + 12);
    assert_true(faces[0].x > 5 && faces[0].x < 7 && faces[1].x > 5 && faces[1].x <= 7);
    free(faces);
    static const char *const bad[] = {
        "0,1,2,3,4\n",
        "frame,left,top\n0,1,2\n",
        "left,top,width,height\n1,2,3,4\n",
        "frame,left,top,width,height\n0,1,2,3,0\n",
        "frame,left,top,width,height\n-1,1,2,3,4\n",
        "frame,left,top,width,height\n0.5,1,2,3,4\n",
        "frame,left,top,width,height\n0,1,2,3,x\n",
        "frame,left,top,width,height\n1,1,2,3,4\n1,2,2,3,4\n",
        "frame,left,top,width,height\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put(path, bad[i]);
        if (faces_read(path, 1, &faces, &count) != ERR_INPUT) fail_msg("taken: %s", bad[i]);
        assert_null(faces);
        assert_non_null(strstr(error_text(), "b.box.csv"));
    }
    unlink(path);
}

/* ---- the program ---- */

static char program[512];

/* Runs prepare; kills it after `seconds` when that is positive. Returns the exit code, -1 when killed. */
static int run(const char *out, const char *more, double seconds) {
    char source[FILE_PATH_MAX + 8], out_text[FILE_PATH_MAX + 8];
    snprintf(source, sizeof source, "source=%s", in_folder("clips"));
    snprintf(out_text, sizeof out_text, "out=%s", out);
    pid_t pid = fork();
    if (!pid) {
        if (!freopen(in_folder("log"), "w", stderr)) _exit(99);
        execl(program, program, source, out_text, "height=32", "width=32", "channels=16", "frames=3", "held_out=3",
              "audio_dim=8", "fit.patches=1000", "stride=4", more ? more : "workers=2", NULL);
        _exit(98);
    }
    if (seconds > 0) {
        usleep((useconds_t)(seconds * 1e6));
        kill(pid, SIGKILL);
    }
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int same_files(const char *a, const char *b) {
    char *x, *y;
    size_t n, m;
    assert_int_equal(file_read(a, 1 << 28, &x, &n), OK);
    assert_int_equal(file_read(b, 1 << 28, &y, &m), OK);
    int same = n == m && !memcmp(x, y, n);
    free(x);
    free(y);
    return same;
}

static void whole_program(void **state) {
    (void)state;
    snprintf(program, sizeof program, "%s/prepare", getenv("BIN") ? getenv("BIN") : "bin");
    if (access(program, X_OK)) {
        print_message("%s is not built\n", program);
        skip();
    }
    char one[FILE_PATH_MAX], two[FILE_PATH_MAX]; /* in_folder's own text does not last */
    strcpy(one, in_folder("one.h5"));
    strcpy(two, in_folder("two.h5"));
    assert_int_equal(run(one, "workers=1", 0), 0);
    assert_false(file_exists(in_folder("one.h5.work")));
    struct dataset *set;
    assert_int_equal(dataset_open(&set, one), OK);
    assert_int_equal(dataset_shape(set)->T, 9);
    long rows = dataset_rows(set, SPLIT_TRAIN) + dataset_rows(set, SPLIT_HELD_OUT), want = 0;
    for (int i = 0; i < 6; i++) want += (40 + 5 * i - 9) / 4 + 1;
    assert_int_equal(rows, want);
    int split_of_clip[10] = {0};
    for (int split = 0; split < 2; split++) /* no clip on both sides */
        for (long i = 0; i < dataset_rows(set, split); i++) {
            struct dataset_row row = {0};
            dataset_columns(set, split, i, &row);
            assert_in_range(row.clip, 0, 5);
            split_of_clip[row.clip] |= 1 << split;
        }
    for (int i = 0; i < 6; i++) assert_int_not_equal(split_of_clip[i], 3);
    dataset_close(set);
    char *text;
    assert_int_equal(file_read(in_folder("one.report.txt"), 1 << 16, &text, NULL), OK);
    assert_non_null(strstr(text, "10 clips found, 6 taken, 4 rejected, 1 other"));
    assert_non_null(strstr(text, "mute.mp4: has no sound"));
    assert_non_null(strstr(text, "short.mp4: is too short"));
    free(text);
    assert_true(file_exists(in_folder("one.report.json")));
    /* killed again and again, with other numbers of workers */
    int kills = 0, code = -1;
    for (double after = 0.05; code < 0 && kills < 12; after += 0.05, kills++)
        code = run(two, kills % 2 ? "workers=3" : "workers=1", after);
    if (code < 0) code = run(two, NULL, 0);
    if (code) {
        assert_int_equal(file_read(in_folder("log"), 1 << 16, &text, NULL), OK);
        fail_msg("after %d kills: %s", kills, text);
    }
    assert_true(same_files(one, two));
    /* again: nothing to do; otherwise: refused */
    assert_int_equal(run(two, NULL, 0), 0);
    assert_int_equal(run(two, "seed=2", 0), ERR_USAGE);
    assert_int_equal(run(two, "stride=0", 0), ERR_USAGE);
    assert_int_equal(run("/proc/nowhere/a.h5", NULL, 0), ERR_INPUT);
    assert_int_equal(run(in_folder("three.h5"), "mask=sidecar", 0), ERR_INPUT); /* all are rejected */
    assert_false(file_exists(in_folder("three.h5")));
}

/* NAME.txt beside a clip is its prompt, the others have the config's or the file's default. */
static void prompts_of_clips(void **state) {
    (void)state;
    enum { DIM = 32, LEN = 8 };
    static float rows[3][LEN * DIM];
    const struct prompt_rows prompts[] = {
        {"a person talks", 3, rows[0]}, {"somebody else", 2, rows[1]}, {"", 1, rows[2]}};
    char file[FILE_PATH_MAX], text[FILE_PATH_MAX + 8], out[FILE_PATH_MAX];
    strcpy(file, in_folder("text.safetensors"));
    strcpy(out, in_folder("prompts.h5"));
    snprintf(text, sizeof text, "text=%s", file);
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < LEN * DIM; i++) rows[k][i] = (float)(k + 1) + (float)i / 256;
    assert_int_equal(prompt_file_write(file, prompts, 3, DIM, ST_F32, 0, NULL), OK);
    put(in_folder("clips/bert/3.txt"), "  somebody\nelse ");
    assert_int_equal(run(out, text, 0), 0);
    struct dataset *set;
    float got[LEN * DIM];
    assert_int_equal(dataset_open(&set, out), OK);
    assert_int_equal(dataset_prompts(set), 3);
    int seen[3] = {0};
    for (int split = 0; split < 2; split++)
        for (long i = 0; i < dataset_rows(set, split); i++) {
            struct dataset_row row = {0};
            dataset_columns(set, split, i, &row);
            const char *words = dataset_prompt_text(set, row.prompt);
            assert_string_equal(words, row.clip == 4 ? "somebody else" : "a person talks"); /* bert/3 is the fifth */
            seen[row.prompt]++;
        }
    assert_true(!seen[0] && seen[1] && seen[2]);
    assert_int_equal(dataset_text(set, 0, got), OK);
    for (int i = 0; i < LEN * DIM; i++) assert_true(got[i] == (i < DIM ? rows[2][i] : 0));
    dataset_close(set);
    assert_int_equal(run(out, text, 0), 0); /* nothing to do */
    put(in_folder("clips/bert/3.txt"), "a person talks");
    assert_int_equal(run(out, text, 0), ERR_USAGE); /* made otherwise */
    put(in_folder("clips/bert/3.txt"), "nobody knows this");
    assert_int_equal(run(in_folder("none.h5"), text, 0), ERR_INPUT);
    char *log;
    assert_int_equal(file_read(in_folder("log"), 1 << 16, &log, NULL), OK);
    if (!strstr(log, "bert/3.mp4") || !strstr(log, "nobody knows this")) fail_msg("%s", log);
    free(log);
    put(in_folder("clips/bert/3.txt"), "a\xff");
    assert_int_equal(run(in_folder("none.h5"), text, 0), ERR_INPUT);
    unlink(in_folder("clips/bert/3.txt"));
    assert_int_equal(run(in_folder("none.h5"), "prompt=a person talks", 0), ERR_USAGE); /* without a file */
    assert_int_equal(prompt_file_write(file, prompts, 3, DIM / 2, ST_F32, 0, NULL), OK);
    assert_int_equal(run(in_folder("none.h5"), text, 0), ERR_INPUT); /* its text has another width */
    assert_false(file_exists(in_folder("none.h5")));
}

/* Many clips, a prompt each, whose embeddings are written, found and numbered in the time that one takes: a second for
   all of them, where comparing each with all others took more than a minute. */
static void many_prompts(void **state) {
    (void)state;
    enum { MANY = 40000, SOME = 2000 };
    static char words[MANY][40];
    static float row[1];
    struct prompt_rows *prompts = calloc(MANY, sizeof *prompts);
    struct clip_list clips = {.entries = calloc(SOME, sizeof *clips.entries), .count = SOME};
    struct prepare_config config = {.text_dim = 1, .text_len = 1};
    struct prepare_prompts found;
    for (int i = 0; i < MANY; i++) {
        snprintf(words[i], sizeof words[i], "a person talks of %d things", i);
        prompts[i] = (struct prompt_rows){words[i], 1, row};
    }
    double begun = clock_seconds();
    snprintf(config.text, sizeof config.text, "%s", in_folder("many.safetensors"));
    assert_int_equal(prompt_file_write(config.text, prompts, MANY, 1, ST_F32, 0, NULL), OK);
    snprintf(config.source, sizeof config.source, "%s", in_folder("many"));
    assert_int_equal(mkdir(config.source, 0777), 0);
    for (int i = 0; i < SOME; i++) {
        char path[40];
        snprintf(path, sizeof path, "many/%d.txt", i);
        put(in_folder(path), words[i * 7 % 1000]); /* each of 1000 twice */
        snprintf(path, sizeof path, "%d.mp4", i);
        assert_non_null(clips.entries[i].path = strdup(path));
    }
    if (prepare_prompts_open(&found, &config, &clips)) fail_msg("%s", error_text());
    assert_int_equal(found.count, 1 + 1000);
    for (int i = 0; i < SOME; i++) assert_string_equal(found.list[found.of_clip[i]].text, words[i * 7 % 1000]);
    assert_true(clock_seconds() - begun < 20);
    prepare_prompts_close(&found);
    for (int i = 0; i < SOME; i++) free(clips.entries[i].path);
    free(clips.entries);
    free(prompts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sidecars),
        cmocka_unit_test(lists),
        cmocka_unit_test(clips_are_varied),
        cmocka_unit_test(folders),
        cmocka_unit_test(many_folders),
        cmocka_unit_test(windows),
        cmocka_unit_test(varied_windows),
        cmocka_unit_test(shots_are_found),
        cmocka_unit_test(windows_know_their_shot),
        cmocka_unit_test(dissolves_are_found),
        cmocka_unit_test(boxes),
        cmocka_unit_test(bad_clips),
        cmocka_unit_test(whole_program),
        cmocka_unit_test(prompts_of_clips),
        cmocka_unit_test(many_prompts),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

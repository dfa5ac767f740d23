/* dataset.c: reads data sets. See dataset.h; dataset_writer.c writes them. */
#include "data/dataset.h"

#include <hdf5.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/finite.h"
#include "base/foreign.h"
#include "base/log.h"
#include "data/dataset_internal.h"
#include "base/hdf5_error.h"
#include "base/media_rates.h"
#include "base/hdf5_file.h"

enum { SIDE_MAX = 1 << 16, ROWS_MAX = 1 << 28, CODEC_TENSORS_MAX = 8, PROMPTS_MAX = 1 << 20, TEXT_BYTES_MAX = 1 << 28 };

struct dataset {
    char path[FILE_PATH_MAX];
    hid_t file;
    hid_t latents, audio, talk, listen; /* arrays of the bucket */
    hid_t pictures;                     /* -1: the file has none */
    struct dataset_shape shape;
    long rows;
    int *clip, *shot, *identity, *utterance, *prompt; /* [rows] */
    hid_t text;
    int prompts;
    int *text_start; /* [prompts + 1] */
    char *texts;     /* [prompts, text_bytes + 1] */
    size_t text_bytes;
    hid_t sums;          /* [rows, dataset_row_parts]; -1: the file has none */
    uint32_t *text_sums; /* [prompts]; NULL: the file has none */
    uint32_t sum;        /* sum over everything but the large arrays */
    long *index[2];      /* row numbers of each split */
    long count[2];
    pthread_mutex_t lock;
};

static int damaged(const struct dataset *set, const char *what) {
    return error_set(ERR_INPUT, "%s: data set: %s is missing or damaged", set->path, what);
}

static int read_text_attribute(hid_t object, const char *name, char *text, size_t size) {
    if (H5Aexists(object, name) <= 0) return -1;
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (attribute < 0) return -1;
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    size_t bytes = H5Tget_size(type);
    int code = -1;
    if (H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 && bytes < size &&
        H5Sget_simple_extent_npoints(space) == 1) {
        hid_t memory = H5Tcopy(H5T_C_S1);
        H5Tset_size(memory, bytes + 1);
        memset(text, 0, size);
        if (H5Aread(attribute, memory, text) >= 0) code = 0;
        H5Tclose(memory);
    }
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return code;
}

static int read_int_attribute(hid_t object, const char *name, int *value) {
    if (H5Aexists(object, name) <= 0) return -1;
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (attribute < 0) return -1;
    hid_t space = H5Aget_space(attribute);
    int code = H5Sget_simple_extent_npoints(space) == 1 && H5Aread(attribute, H5T_NATIVE_INT, value) >= 0 ? 0 : -1;
    H5Sclose(space);
    H5Aclose(attribute);
    return code;
}

/* Opens a numeric array of `ndim` dimensions whose sides are 1 to SIDE_MAX, the first 0 to ROWS_MAX; returns -1 for any
   other. */
static hid_t open_array(hid_t group, const char *name, int ndim, hsize_t *sides) {
    if (H5Lexists(group, name, H5P_DEFAULT) <= 0) return -1;
    hid_t array = H5Dopen2(group, name, H5P_DEFAULT);
    if (array < 0) return -1;
    hid_t space = H5Dget_space(array), type = H5Dget_type(array);
    H5T_class_t class = H5Tget_class(type);
    int good = (class == H5T_FLOAT || class == H5T_INTEGER) && H5Sget_simple_extent_ndims(space) == ndim &&
               H5Sget_simple_extent_dims(space, sides, NULL) == ndim;
    for (int d = 0; good && d < ndim; d++) good = d ? sides[d] >= 1 && sides[d] <= SIDE_MAX : sides[d] <= ROWS_MAX;
    H5Sclose(space);
    H5Tclose(type);
    if (good) return array;
    H5Dclose(array);
    return -1;
}

/* Reads a whole array of `count` integers, malloc'd. */
static int read_integers(struct dataset *set, hid_t group, const char *name, long count, int **values) {
    hsize_t sides[1];
    hid_t array = open_array(group, name, 1, sides);
    int fits = array >= 0 && sides[0] == (hsize_t)count, bad = !fits;
    *values = fits ? malloc(sizeof **values * (size_t)(count + 1)) : NULL;
    if (*values && count) bad = H5Dread(array, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, *values) < 0;
    if (array >= 0) H5Dclose(array);
    if (fits && !*values) return error_set(ERR_DEVICE, "data set: out of memory");
    return bad ? damaged(set, name) : OK;
}

static int read_column(struct dataset *set, hid_t group, const char *name, int **values) {
    return read_integers(set, group, name, set->rows, values);
}

/* ---- sums ---- */

/* Opens the array of sums over rows, and reads those over prompts. */
static int open_sums(struct dataset *set, hid_t group) {
    hsize_t sides[2];
    if ((set->sums = open_array(group, DATASET_ROW_SUMS, 2, sides)) < 0 || sides[0] != (hsize_t)set->rows ||
        sides[1] != (hsize_t)dataset_row_parts(set->shape.F, set->shape.pictures))
        return damaged(set, DATASET_ROW_SUMS);
    hid_t array = open_array(set->file, DATASET_TEXT_SUMS, 1, sides);
    if (array < 0) return damaged(set, DATASET_TEXT_SUMS);
    if (sides[0] == (hsize_t)set->prompts) set->text_sums = malloc(sizeof *set->text_sums * (size_t)(set->prompts + 1));
    int bad = !set->text_sums || H5Dread(array, H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, set->text_sums) < 0;
    H5Dclose(array);
    return bad ? damaged(set, DATASET_TEXT_SUMS) : OK;
}

/* Checks everything but the large arrays against the sum that the file states. */
static int check_sum(struct dataset *set, int version) {
    char text[16], found[16];
    int there = H5Aexists(set->file, DATASET_SUM) > 0;
    if (!there && version >= DATASET_SUMS_SINCE) return damaged(set, "attribute " DATASET_SUM);
    if (dataset_file_sum(set->file, &set->sum)) return damaged(set, "something in it");
    snprintf(found, sizeof found, "%08x", (unsigned)set->sum);
    if (!there) {
        log_line(
            "%s: a data set of version %d, which has no sums: damage to it may go unseen; prepare it again to add them",
            set->path, version);
        return OK;
    }
    if (read_text_attribute(set->file, DATASET_SUM, text, sizeof text) || strcmp(text, found))
        return error_set(ERR_INPUT,
                         "%s: data set: is damaged, or another program changed it: its sum is %s, expected %s",
                         set->path, found, text);
    return OK;
}

/* ---- prompts ---- */

/* Reads the texts, an array of strings of equal length. */
static int read_texts(struct dataset *set) {
    if (H5Lexists(set->file, "prompts", H5P_DEFAULT) <= 0) return damaged(set, "prompts");
    hid_t array = H5Dopen2(set->file, "prompts", H5P_DEFAULT);
    if (array < 0) return damaged(set, "prompts");
    hid_t type = H5Dget_type(array), space = H5Dget_space(array), memory = H5Tcopy(H5T_C_S1);
    hsize_t count = 0;
    size_t bytes = H5Tget_size(type);
    int good = H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 &&
               H5Sget_simple_extent_ndims(space) == 1 && H5Sget_simple_extent_dims(space, &count, NULL) == 1 &&
               count >= 1 && count <= PROMPTS_MAX && bytes >= 1 && bytes <= PROMPT_TEXT_MAX &&
               count * (bytes + 1) <= TEXT_BYTES_MAX;
    if (good) {
        set->prompts = (int)count;
        set->text_bytes = bytes;
        H5Tset_size(memory, bytes + 1);
        H5Tset_cset(memory, H5Tget_cset(type));
        set->texts = calloc(count, bytes + 1);
        good = set->texts && H5Dread(array, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, set->texts) >= 0;
    }
    for (int i = 0; good && i < set->prompts; i++) set->texts[((size_t)i + 1) * (bytes + 1) - 1] = 0;
    H5Tclose(memory);
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(array);
    return good ? OK : damaged(set, "prompts");
}

static int check_starts(const struct dataset *set, long rows) {
    const int *start = set->text_start;
    int bad = start[0] != 0 || start[set->prompts] != rows || *set->texts;
    for (int i = 0; !bad && i < set->prompts; i++)
        bad = start[i + 1] < start[i] || start[i + 1] - start[i] > set->shape.text_len;
    return bad ? damaged(set, "text_start") : OK;
}

static int open_prompts(struct dataset *set, int version) {
    struct dataset_shape *s = &set->shape;
    hsize_t sides[2];
    if ((set->text = open_array(set->file, "text", 2, sides)) < 0) return damaged(set, "text");
    s->text_dim = (int)sides[1];
    if (version == 1) { /* two prompts, the empty one without rows */
        if (sides[0] < 1 || sides[0] > SIDE_MAX) return damaged(set, "text");
        s->text_len = (int)sides[0];
        set->prompts = 2;
        set->texts = calloc(2, 1);
        set->text_start = calloc(3, sizeof *set->text_start);
        if (!set->texts || !set->text_start) return error_set(ERR_DEVICE, "data set: out of memory");
        set->text_start[2] = s->text_len;
        return OK;
    }
    if (read_int_attribute(set->file, "text_len", &s->text_len) || s->text_len < 1 || s->text_len > SIDE_MAX)
        return damaged(set, "attribute text_len");
    TRY(read_texts(set));
    TRY(read_integers(set, set->file, "text_start", set->prompts + 1L, &set->text_start));
    return check_starts(set, (long)sides[0]);
}

/* Which shot of its clip each row is of; in files of before shots were told apart the only one. */
static int read_shots(struct dataset *set, hid_t group) {
    if (H5Lexists(group, "shot", H5P_DEFAULT) > 0) return read_column(set, group, "shot", &set->shot);
    set->shot = calloc((size_t)set->rows + 1, sizeof *set->shot);
    return set->shot ? OK : error_set(ERR_DEVICE, "data set: out of memory");
}

/* Which prompt each row has; in version 1 the only one. */
static int read_prompt_column(struct dataset *set, hid_t group, int version) {
    if (version > 1) TRY(read_column(set, group, "prompt", &set->prompt));
    if (version == 1 && !(set->prompt = malloc(sizeof *set->prompt * (size_t)(set->rows + 1))))
        return error_set(ERR_DEVICE, "data set: out of memory");
    for (long i = 0; i < set->rows; i++) {
        if (version == 1) set->prompt[i] = 1;
        if (set->prompt[i] < 0 || set->prompt[i] >= set->prompts) return damaged(set, "prompt");
    }
    return OK;
}

/* ---- buckets ---- */

struct bucket_search {
    char name[64];
    int count;
};

static herr_t find_bucket(hid_t file, const char *name, const H5L_info_t *info, void *user) {
    (void)info;
    struct bucket_search *search = user;
    int t, h, w, end = 0;
    if (sscanf(name, "%dx%dx%d%n", &t, &h, &w, &end) != 3 || name[end] || strlen(name) >= sizeof search->name) return 0;
    H5O_info_t object;
    if (H5Oget_info_by_name2(file, name, &object, H5O_INFO_BASIC, H5P_DEFAULT) < 0 || object.type != H5O_TYPE_GROUP)
        return 0;
    snprintf(search->name, sizeof search->name, "%s", name);
    search->count++;
    return 0;
}

/* Opens the array of the windows' true pictures, if the file has one. */
static int open_pictures(struct dataset *set, hid_t group) {
    const struct dataset_shape *s = &set->shape;
    hsize_t sides[5];
    if (H5Lexists(group, DATASET_PICTURES, H5P_DEFAULT) <= 0) return OK;
    if ((set->pictures = open_array(group, DATASET_PICTURES, 5, sides)) < 0 || sides[0] != (hsize_t)set->rows ||
        sides[1] != (hsize_t)s->T || sides[2] != 3 || sides[3] != (hsize_t)s->pixel_height ||
        sides[4] != (hsize_t)s->pixel_width)
        return damaged(set, DATASET_PICTURES);
    set->shape.pictures = 1;
    return OK;
}

/* Opens the arrays of the bucket and reads the shape from their sizes. */
static int open_arrays(struct dataset *set, hid_t group, int version) {
    struct dataset_shape *s = &set->shape;
    hsize_t sides[5], n;
    if ((set->latents = open_array(group, "latents", 5, sides)) < 0) return damaged(set, "latents");
    n = sides[0];
    set->rows = (long)n;
    s->F = (int)sides[1];
    s->C = (int)sides[2];
    s->H = (int)sides[3];
    s->W = (int)sides[4];
    if (s->T != video_frames(s->F)) return damaged(set, "latents (its frames do not fit the bucket's name)");
    if ((set->audio = open_array(group, "audio", 4, sides)) < 0 || sides[0] != n || sides[1] > 2 ||
        sides[2] != (hsize_t)s->T)
        return damaged(set, "audio");
    s->A = (int)sides[1];
    s->D = (int)sides[3];
    if ((set->talk = open_array(group, "talk", 2, sides)) < 0 || sides[0] != n || sides[1] != (hsize_t)s->T)
        return damaged(set, "talk");
    if ((set->listen = open_array(group, "listen", 2, sides)) < 0 || sides[0] != n || sides[1] != (hsize_t)s->T)
        return damaged(set, "listen");
    return version >= DATASET_PICTURES_SINCE ? open_pictures(set, group) : OK;
}

/* Lists the rows of each split. */
static int list_splits(struct dataset *set, hid_t group) {
    int *split = NULL, code = read_column(set, group, "split", &split);
    for (int k = 0; k < 2 && !code; k++) {
        set->index[k] = malloc(sizeof(long) * (size_t)(set->rows + 1));
        if (!set->index[k]) code = error_set(ERR_DEVICE, "data set: out of memory");
    }
    for (long i = 0; !code && i < set->rows; i++) {
        if (split[i] != SPLIT_TRAIN && split[i] != SPLIT_HELD_OUT)
            code = damaged(set, "split");
        else
            set->index[split[i]][set->count[split[i]]++] = i;
    }
    free(split);
    return code;
}

static int read_bucket(struct dataset *set, hid_t group, int version) {
    TRY(open_arrays(set, group, version));
    TRY(read_column(set, group, "clip", &set->clip));
    TRY(read_shots(set, group));
    TRY(read_column(set, group, "identity", &set->identity));
    TRY(read_column(set, group, "utterance", &set->utterance));
    TRY(read_prompt_column(set, group, version));
    if (version >= DATASET_SUMS_SINCE) TRY(open_sums(set, group));
    return list_splits(set, group);
}

static int open_bucket(struct dataset *set, int version) {
    struct dataset_shape *s = &set->shape;
    struct bucket_search search = {.count = 0};
    if (H5Literate(set->file, H5_INDEX_NAME, H5_ITER_INC, NULL, find_bucket, &search) < 0)
        return damaged(set, "its list of groups");
    if (!search.count) return damaged(set, "the group of windows (such as 49x64x64)");
    if (search.count > 1)
        return error_set(ERR_INPUT, "%s: data set: %d buckets (one is %s); this program reads sets of one", set->path,
                         search.count, search.name);
    if (sscanf(search.name, "%dx%dx%d", &s->T, &s->pixel_height, &s->pixel_width) != 3 || s->T < 1 || s->T > SIDE_MAX ||
        s->pixel_height < 1 || s->pixel_height > SIDE_MAX || s->pixel_width < 1 || s->pixel_width > SIDE_MAX)
        return damaged(set, "the name of its bucket");
    hid_t group = H5Gopen2(set->file, search.name, H5P_DEFAULT);
    if (group < 0) return damaged(set, "the group of windows");
    int code = read_bucket(set, group, version);
    H5Gclose(group);
    return code;
}

static int open_file(struct dataset *set) {
    struct dataset_shape *s = &set->shape;
    char format[64];
    int version = 0, fps = 0, rate = 0;
    if (read_text_attribute(set->file, "format", format, sizeof format) || strcmp(format, DATASET_FORMAT))
        return error_set(ERR_INPUT, "%s: not a data set of this toolkit", set->path);
    if (read_int_attribute(set->file, "version", &version)) return damaged(set, "attribute version");
    if (version < 1 || version > DATASET_VERSION)
        return error_set(ERR_INPUT, "%s: data set version %d, but this program reads 1 to %d", set->path, version,
                         DATASET_VERSION);
    if (read_int_attribute(set->file, "fps", &fps)) return damaged(set, "attribute fps");
    if (fps != VIDEO_RATE)
        return error_set(ERR_INPUT, "%s: data set of %d frames a second, but this program needs %d", set->path, fps,
                         VIDEO_RATE);
    if (read_int_attribute(set->file, "audio_rate", &rate)) return damaged(set, "attribute audio_rate");
    if (rate != AUDIO_RATE)
        return error_set(ERR_INPUT, "%s: data set of %d Hz sound, but this program needs %d", set->path, rate,
                         AUDIO_RATE);
    if (read_text_attribute(set->file, "codec", s->codec, sizeof s->codec)) return damaged(set, "attribute codec");
    if (codec_is_external(s->codec) &&
        (read_text_attribute(set->file, "codec_weights", s->codec_weights, sizeof s->codec_weights) ||
         read_text_attribute(set->file, "codec_checksum", s->codec_checksum, sizeof s->codec_checksum)))
        return damaged(set, "attributes codec_weights, codec_checksum");
    if (read_text_attribute(set->file, "audio_encoder", s->audio_encoder, sizeof s->audio_encoder))
        return damaged(set, "attribute audio_encoder");
    TRY(open_prompts(set, version));
    TRY(open_bucket(set, version));
    return check_sum(set, version);
}

int dataset_open(struct dataset **out, const char *path) {
    *out = NULL;
    hdf5_quiet();
    FILE *probe = fopen(path, "rb");
    if (!probe) return error_set(ERR_INPUT, "%s: cannot be opened", path);
    fclose(probe);
    struct dataset *set = calloc(1, sizeof *set);
    if (!set) return error_set(ERR_DEVICE, "data set: out of memory");
    pthread_mutex_init(&set->lock, NULL);
    set->sums = set->pictures = -1;
    snprintf(set->path, sizeof set->path, "%s", path);
    int code = hdf5_open(&set->file, path);
    if (code)
        foreign_refuse(path, FOREIGN_HDF5, "a data set (HDF5)");
    else
        code = open_file(set);
    if (code) {
        dataset_close(set);
        return code;
    }
    *out = set;
    return OK;
}

void dataset_close(struct dataset *set) {
    if (!set) return;
    if (set->file >= 0) H5Fclose(set->file);
    pthread_mutex_destroy(&set->lock);
    free(set->clip);
    free(set->shot);
    free(set->identity);
    free(set->utterance);
    free(set->prompt);
    free(set->text_start);
    free(set->texts);
    free(set->text_sums);
    free(set->index[0]);
    free(set->index[1]);
    free(set);
}

uint32_t dataset_sum(const struct dataset *set) { return set->sum; }

const struct dataset_shape *dataset_shape(const struct dataset *set) { return &set->shape; }

long dataset_rows(const struct dataset *set, enum dataset_split split) { return set->count[split]; }

int dataset_expect(const struct dataset *set, const struct dataset_shape *wanted) {
    const struct dataset_shape *s = &set->shape;
    const struct {
        const char *name;
        int file, wanted;
    } numbers[] = {{"latent frames", s->F, wanted->F},
                   {"latent channels", s->C, wanted->C},
                   {"latent height", s->H, wanted->H},
                   {"latent width", s->W, wanted->W},
                   {"video frames", s->T, wanted->T},
                   {"audio tracks", s->A, wanted->A},
                   {"audio features", s->D, wanted->D},
                   {"text tokens", s->text_len, wanted->text_len},
                   {"text width", s->text_dim, wanted->text_dim},
                   {"pixel height", s->pixel_height, wanted->pixel_height},
                   {"pixel width", s->pixel_width, wanted->pixel_width}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].wanted && numbers[i].wanted != numbers[i].file)
            return error_set(ERR_INPUT, "%s: %s: the data set has %d, the config wants %d", set->path, numbers[i].name,
                             numbers[i].file, numbers[i].wanted);
    if (*wanted->codec && strcmp(wanted->codec, s->codec))
        return error_set(ERR_INPUT, "%s: codec: the data set has %s, the config wants %s", set->path, s->codec,
                         wanted->codec);
    if (*wanted->audio_encoder && strcmp(wanted->audio_encoder, s->audio_encoder))
        return error_set(ERR_INPUT, "%s: audio encoder: the data set has %s, the config wants %s", set->path,
                         s->audio_encoder, wanted->audio_encoder);
    return OK;
}

void dataset_columns(const struct dataset *set, enum dataset_split split, long i, struct dataset_row *row) {
    long r = set->index[split][i];
    row->clip = set->clip[r];
    row->shot = set->shot[r];
    row->identity = set->identity[r];
    row->utterance = set->utterance[r];
    row->split = split;
    row->prompt = set->prompt[r];
}

/* Reads the first count[1] entries of row r of an array of `ndim` sides into `to`. */
static int read_row(hid_t array, hid_t type, long r, int ndim, const hsize_t *count, void *to) {
    if (!to) return 0;
    hsize_t start[5] = {(hsize_t)r};
    hid_t space = H5Dget_space(array), memory = H5Screate_simple(ndim, count, NULL);
    int bad = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
              H5Dread(array, type, memory, space, H5P_DEFAULT, to) < 0;
    H5Sclose(space);
    H5Sclose(memory);
    return bad;
}

/* Checks values that were read of a row: that they are finite, and that their sum is the stored one. sums: the row's;
   NULL: the file has none. */
static int check_part(const struct dataset *set, const struct dataset_row *row, long r, int place, const char *name,
                      const uint32_t *sums, const float *values, size_t count) {
    if (!values) return OK;
    long wrong = finite_fault(values, count);
    if (wrong >= 0)
        return error_set(ERR_INPUT, "%s: data set: row %ld (clip %d): %s: value %ld is not finite", set->path, r,
                         row->clip, name, wrong);
    if (sums && dataset_place_sum((uint64_t)r, place, values, sizeof *values * count) != sums[place])
        return error_set(ERR_INPUT, "%s: data set: row %ld (clip %d): its %s are damaged: their checksum differs",
                         set->path, r, row->clip, name);
    return OK;
}

static int check_row(const struct dataset *set, const struct dataset_row *row, long r, int frames,
                     const uint32_t *sums) {
    const struct dataset_shape *s = &set->shape;
    size_t frame = (size_t)s->C * s->H * s->W, T = (size_t)s->T;
    for (int f = 0; f < frames && row->latents; f++)
        TRY(check_part(set, row, r, f, "latents", sums, row->latents + (size_t)f * frame, frame));
    TRY(check_part(set, row, r, s->F + PART_AUDIO, "audio features", sums, row->audio, (size_t)s->A * T * s->D));
    TRY(check_part(set, row, r, s->F + PART_TALK, "talk masks", sums, row->talk, T));
    return check_part(set, row, r, s->F + PART_LISTEN, "listen masks", sums, row->listen, T);
}

int dataset_read_frames(struct dataset *set, enum dataset_split split, long i, int latent_frames,
                        struct dataset_row *row) {
    const struct dataset_shape *s = &set->shape;
    if (i < 0 || i >= set->count[split])
        return error_set(ERR_INPUT, "%s: data set: no row %ld of %ld", set->path, i, set->count[split]);
    if (latent_frames < 0 || latent_frames > s->F) latent_frames = s->F;
    long r = set->index[split][i];
    dataset_columns(set, split, i, row);
    const hsize_t latents[5] = {1, (hsize_t)latent_frames, (hsize_t)s->C, (hsize_t)s->H, (hsize_t)s->W};
    const hsize_t audio[4] = {1, (hsize_t)s->A, (hsize_t)s->T, (hsize_t)s->D}, mask[2] = {1, (hsize_t)s->T};
    const hsize_t parts[2] = {1, (hsize_t)dataset_row_parts(s->F, s->pictures)};
    uint32_t *sums = set->sums < 0 ? NULL : calloc((size_t)parts[1], sizeof *sums);
    if (set->sums >= 0 && !sums) return error_set(ERR_DEVICE, "data set: out of memory");
    pthread_mutex_lock(&set->lock);
    hdf5_quiet(); /* the setting belongs to the calling thread */
    const hid_t number = H5T_NATIVE_FLOAT;
    int bad = (latent_frames && read_row(set->latents, number, r, 5, latents, row->latents)) ||
              read_row(set->audio, number, r, 4, audio, row->audio) ||
              read_row(set->talk, number, r, 2, mask, row->talk) ||
              read_row(set->listen, number, r, 2, mask, row->listen) ||
              read_row(set->sums, H5T_NATIVE_UINT32, r, 2, parts, sums);
    pthread_mutex_unlock(&set->lock);
    int code = bad ? error_set(ERR_INPUT, "%s: data set: row %ld (clip %d) cannot be read: the file is damaged",
                               set->path, r, row->clip)
                   : check_row(set, row, r, latent_frames, sums);
    free(sums);
    return code;
}

/* Checks each latent frame's pictures against their sum. */
static int check_pictures(const struct dataset *set, long r, int first, int frames, const uint32_t *sums,
                          const unsigned char *pictures) {
    const struct dataset_shape *s = &set->shape;
    for (int f = first; f < first + frames; f++) {
        size_t bytes = (size_t)dataset_pictures_of(f) * dataset_picture_bytes(s);
        int place = s->F + PARTS + f;
        if (dataset_place_sum((uint64_t)r, place, pictures, bytes) != sums[place])
            return error_set(ERR_INPUT,
                             "%s: data set: row %ld (clip %d): its pictures are damaged: their checksum differs",
                             set->path, r, set->clip[r]);
        pictures += bytes;
    }
    return OK;
}

/* Reads pictures start .. start + count - 1 of row r. */
static int read_pictures(const struct dataset *set, long r, long start, long count, unsigned char *to) {
    const struct dataset_shape *s = &set->shape;
    const hsize_t from[5] = {(hsize_t)r, (hsize_t)start};
    const hsize_t sides[5] = {1, (hsize_t)count, 3, (hsize_t)s->pixel_height, (hsize_t)s->pixel_width};
    hid_t space = H5Dget_space(set->pictures), memory = H5Screate_simple(5, sides, NULL);
    int bad = H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, sides, NULL) < 0 ||
              H5Dread(set->pictures, H5T_NATIVE_UCHAR, memory, space, H5P_DEFAULT, to) < 0;
    H5Sclose(space);
    H5Sclose(memory);
    return bad;
}

int dataset_read_pictures(struct dataset *set, enum dataset_split split, long i, int first, int frames,
                          unsigned char *pictures) {
    const struct dataset_shape *s = &set->shape;
    if (!s->pictures)
        return error_set(ERR_INPUT, "%s: data set: has no pictures (prepare makes them with pictures=true)", set->path);
    if (i < 0 || i >= set->count[split] || first < 0 || frames < 0 || first + frames > s->F)
        return error_set(ERR_INPUT, "%s: data set: no latent frames %d to %d of row %ld of %ld", set->path, first,
                         first + frames - 1, i, set->count[split]);
    long r = set->index[split][i], start = dataset_pictures_before(first);
    const hsize_t parts[2] = {1, (hsize_t)dataset_row_parts(s->F, 1)};
    uint32_t *sums = calloc((size_t)parts[1], sizeof *sums);
    if (!sums) return error_set(ERR_DEVICE, "data set: out of memory");
    pthread_mutex_lock(&set->lock);
    hdf5_quiet();
    int bad = read_pictures(set, r, start, dataset_pictures_before(first + frames) - start, pictures) ||
              read_row(set->sums, H5T_NATIVE_UINT32, r, 2, parts, sums);
    pthread_mutex_unlock(&set->lock);
    int code = bad ? error_set(ERR_INPUT, "%s: data set: row %ld (clip %d) cannot be read: the file is damaged",
                               set->path, r, set->clip[r])
                   : check_pictures(set, r, first, frames, sums, pictures);
    free(sums);
    return code;
}

int dataset_read(struct dataset *set, enum dataset_split split, long i, struct dataset_row *row) {
    return dataset_read_frames(set, split, i, set->shape.F, row);
}

int dataset_prompts(const struct dataset *set) { return set->prompts; }

const char *dataset_prompt_text(const struct dataset *set, int prompt) {
    return set->texts + (size_t)prompt * (set->text_bytes + 1);
}

int dataset_prompt_length(const struct dataset *set, int prompt) {
    return set->text_start[prompt + 1] - set->text_start[prompt];
}

int dataset_text(struct dataset *set, int prompt, float *text) {
    const struct dataset_shape *s = &set->shape;
    if (prompt < 0 || prompt >= set->prompts)
        return error_set(ERR_INPUT, "%s: data set: no prompt %d of %d", set->path, prompt, set->prompts);
    const hsize_t start[2] = {(hsize_t)set->text_start[prompt]};
    const hsize_t count[2] = {(hsize_t)dataset_prompt_length(set, prompt), (hsize_t)s->text_dim};
    size_t filled = (size_t)count[0] * (size_t)s->text_dim, all = (size_t)s->text_len * (size_t)s->text_dim;
    memset(text + filled, 0, sizeof *text * (all - filled));
    if (!filled) return OK;
    pthread_mutex_lock(&set->lock);
    hdf5_quiet();
    hid_t space = H5Dget_space(set->text), memory = H5Screate_simple(2, count, NULL);
    int bad = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
              H5Dread(set->text, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, text) < 0;
    H5Sclose(space);
    H5Sclose(memory);
    pthread_mutex_unlock(&set->lock);
    if (bad) return damaged(set, "text");
    if (set->text_sums && dataset_place_sum((uint64_t)prompt, 0, text, sizeof *text * filled) != set->text_sums[prompt])
        return error_set(ERR_INPUT, "%s: data set: prompt %d is damaged: its checksum differs", set->path, prompt);
    long wrong = finite_fault(text, filled);
    if (wrong < 0) return OK;
    return error_set(ERR_INPUT, "%s: data set: prompt %d: token %ld is not finite", set->path, prompt,
                     wrong / s->text_dim);
}

/* Reads a codec tensor of up to 4 axes, malloc'd. */
static int read_tensor(hid_t group, const char *name, struct codec_tensor *tensor) {
    hid_t array = H5Dopen2(group, name, H5P_DEFAULT);
    if (array < 0) return -1;
    hid_t space = H5Dget_space(array), type = H5Dget_type(array);
    hsize_t sides[4] = {0}, count = 1;
    int ndim = H5Sget_simple_extent_ndims(space), bad = ndim < 1 || ndim > 4 || H5Tget_class(type) != H5T_FLOAT;
    if (!bad) H5Sget_simple_extent_dims(space, sides, NULL);
    for (int d = 0; !bad && d < ndim; d++) {
        bad = sides[d] < 1 || sides[d] > 1 << 24 || (count *= sides[d]) > 1 << 28;
        tensor->shape[d] = (long)sides[d];
    }
    float *data = bad ? NULL : malloc(sizeof *data * count);
    bad = !data || H5Dread(array, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0;
    tensor->ndim = ndim;
    tensor->data = data;
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(array);
    return bad ? -1 : 0;
}

struct tensor_list {
    struct codec_tensor tensors[CODEC_TENSORS_MAX];
    char names[CODEC_TENSORS_MAX][64];
    int count;
};

static herr_t collect_tensor(hid_t group, const char *name, const H5L_info_t *info, void *user) {
    (void)info;
    struct tensor_list *list = user;
    if (list->count == CODEC_TENSORS_MAX || strlen(name) >= sizeof *list->names) return -1;
    struct codec_tensor *tensor = &list->tensors[list->count];
    tensor->name = strcpy(list->names[list->count++], name);
    return read_tensor(group, name, tensor);
}

int dataset_codec(struct dataset *set, struct codec *codec) {
    struct tensor_list list = {.count = 0};
    pthread_mutex_lock(&set->lock);
    hdf5_quiet();
    int bad = H5Lexists(set->file, "codec", H5P_DEFAULT) <= 0 ||
              H5Literate_by_name(set->file, "codec", H5_INDEX_NAME, H5_ITER_INC, NULL, collect_tensor, &list,
                                 H5P_DEFAULT) < 0;
    pthread_mutex_unlock(&set->lock);
    int code = bad ? damaged(set, "codec")
                   : codec_open(codec, set->shape.codec, set->shape.pixel_height, set->shape.pixel_width, list.tensors,
                                list.count);
    if (code && !bad) error_context(code, "%s", set->path);
    for (int i = 0; i < list.count; i++) free((void *)list.tensors[i].data);
    if (code) return code;
    if (codec->channels != set->shape.C || codec->h != set->shape.H || codec->w != set->shape.W) {
        codec_close(codec);
        return damaged(set, "codec (its latents are of another shape)");
    }
    return OK;
}

int dataset_note(struct dataset *set, const char *name, char *text, size_t size) {
    *text = 0;
    pthread_mutex_lock(&set->lock);
    int there = H5Aexists(set->file, name) > 0, bad = there && read_text_attribute(set->file, name, text, size);
    pthread_mutex_unlock(&set->lock);
    return bad ? damaged(set, name) : OK;
}

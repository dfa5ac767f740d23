/* dataset_writer.c: writes data sets. See dataset.h. */
#include "data/dataset.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include "base/error.h"
#include "base/finite.h"
#include "base/fileio.h"
#include "data/dataset_internal.h"
#include "base/hdf5_error.h"
#include "base/media_rates.h"
#include "base/hdf5_file.h"

enum { COLUMNS = 6, COLUMN_CHUNK = 1024, MASK_CHUNK = 64, TEXT_CHUNK = 1 << 16, FIXED_CHUNK = 1 << 18 };
/* Pictures in a chunk; zlib's level: higher ones take several times as long for a few percent. */
enum { PICTURE_CHUNK = 8, PICTURE_DEFLATE = 1 };
static const char *const column_names[COLUMNS] = {"clip", "shot", "identity", "utterance", "split", "prompt"};

struct dataset_writer {
    char path[FILE_PATH_MAX], temporary[FILE_PATH_MAX + 8];
    struct dataset_shape shape;
    hid_t file, latents, audio, talk, listen, text, columns[COLUMNS];
    hid_t pictures;     /* open only if the shape has pictures */
    hid_t sums;         /* [rows, parts] */
    int parts;          /* number of sums of a row (dataset_row_parts) */
    uint32_t *row_sums; /* [parts] sums of the row being written */
    uint32_t sums_sum;  /* CRC-32 of all rows' sums */
    hsize_t rows;
    int prompts;
    char **prompt_texts; /* [prompts] */
    int *text_start;     /* [prompts + 1] */
    uint32_t *text_sums; /* [prompts] */
};

static int failed(const struct dataset_writer *w) {
    return error_set(ERR_INPUT, "%s: cannot be written (disk full?)", w->temporary);
}

static int write_text_attribute(hid_t object, const char *name, const char *text) {
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    size_t bytes = strlen(text);
    H5Tset_size(type, bytes ? bytes : 1);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    int bad = attribute < 0 || H5Awrite(attribute, type, text) < 0;
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
    return bad;
}

static int write_int_attribute(hid_t object, const char *name, int value) {
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(object, name, H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT);
    int bad = attribute < 0 || H5Awrite(attribute, H5T_NATIVE_INT, &value) < 0;
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
    return bad;
}

/* Makes the properties of arrays in chunks, each with a checksum; no times are stored, so that the same rows make the
   same bytes. */
static hid_t chunked(int ndim, const hsize_t *chunk) {
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(properties, ndim, chunk);
    H5Pset_fletcher32(properties);
    H5Pset_obj_track_times(properties, 0);
    return properties;
}

/* Writes a whole array of fixed size. */
static int write_array(hid_t group, const char *name, hid_t stored, hid_t memory, int ndim, const hsize_t *sides,
                       const void *data) {
    hsize_t chunk[4], values = 1;
    for (int d = ndim - 1; d >= 0; d--) { /* a chunk is whole rows, as many as it may hold */
        chunk[d] = values >= FIXED_CHUNK ? 1 : sides[d] < FIXED_CHUNK / values ? sides[d] : FIXED_CHUNK / values;
        values *= chunk[d];
    }
    hid_t space = H5Screate_simple(ndim, sides, NULL), properties = chunked(ndim, chunk);
    hid_t array = H5Dcreate2(group, name, stored, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    H5Pclose(properties);
    int bad = array < 0 || H5Dwrite(array, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0;
    if (array >= 0) H5Dclose(array);
    H5Sclose(space);
    return bad;
}

static int write_tensor(hid_t group, const struct codec_tensor *tensor) {
    hsize_t sides[4];
    for (int d = 0; d < tensor->ndim; d++) sides[d] = (hsize_t)tensor->shape[d];
    return write_array(group, tensor->name, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, tensor->ndim, sides, tensor->data);
}

static hid_t create_group(hid_t file, const char *name) {
    hid_t properties = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_obj_track_times(properties, 0);
    hid_t group = H5Gcreate2(file, name, H5P_DEFAULT, properties, H5P_DEFAULT);
    H5Pclose(properties);
    return group;
}

/* Creates an array without rows, to be stored in chunks of `chunk_rows` rows. sides[0] is ignored. */
static hid_t create_growing(hid_t group, const char *name, hid_t type, int ndim, const hsize_t *sides,
                            hsize_t chunk_rows) {
    hsize_t now[5], most[5], chunk[5];
    for (int d = 0; d < ndim; d++) now[d] = most[d] = chunk[d] = sides[d];
    now[0] = 0;
    most[0] = H5S_UNLIMITED;
    chunk[0] = chunk_rows;
    hid_t space = H5Screate_simple(ndim, now, most), properties = chunked(ndim, chunk);
    hid_t array = H5Dcreate2(group, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    H5Pclose(properties);
    H5Sclose(space);
    return array;
}

/* Creates the array of true pictures, deflated. A chunk is a few successive pictures of one row: a reader of some
   pictures need not inflate all, and what stands still within a chunk is stored once. */
static hid_t create_pictures(hid_t group, const struct dataset_shape *s) {
    const hsize_t now[] = {0, (hsize_t)s->T, 3, (hsize_t)s->pixel_height, (hsize_t)s->pixel_width};
    const hsize_t most[] = {H5S_UNLIMITED, now[1], now[2], now[3], now[4]};
    const hsize_t chunk[] = {1, now[1] < PICTURE_CHUNK ? now[1] : PICTURE_CHUNK, now[2], now[3], now[4]};
    hid_t space = H5Screate_simple(5, now, most), properties = chunked(5, chunk);
    H5Pset_deflate(properties, PICTURE_DEFLATE);
    hid_t array = H5Dcreate2(group, DATASET_PICTURES, H5T_STD_U8LE, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    H5Pclose(properties);
    H5Sclose(space);
    return array;
}

/* Creates the arrays of the windows, without rows. */
static int create_bucket(struct dataset_writer *w) {
    const struct dataset_shape *s = &w->shape;
    char name[64];
    snprintf(name, sizeof name, "%dx%dx%d", s->T, s->pixel_height, s->pixel_width);
    hid_t group = create_group(w->file, name);
    hsize_t latents[] = {0, (hsize_t)s->F, (hsize_t)s->C, (hsize_t)s->H, (hsize_t)s->W},
            audio[] = {0, (hsize_t)s->A, (hsize_t)s->T, (hsize_t)s->D}, mask[] = {0, (hsize_t)s->T},
            sums[] = {0, (hsize_t)w->parts};
    w->latents = create_growing(group, "latents", H5T_IEEE_F32LE, 5, latents, 1);
    w->audio = create_growing(group, "audio", H5T_IEEE_F32LE, 4, audio, 1);
    w->talk = create_growing(group, "talk", H5T_IEEE_F32LE, 2, mask, MASK_CHUNK);
    w->listen = create_growing(group, "listen", H5T_IEEE_F32LE, 2, mask, MASK_CHUNK);
    w->sums = create_growing(group, DATASET_ROW_SUMS, H5T_STD_U32LE, 2, sums, COLUMN_CHUNK);
    if (s->pictures) w->pictures = create_pictures(group, s);
    int bad = w->sums < 0 || w->latents < 0 || w->audio < 0 || w->talk < 0 || w->listen < 0 || w->pictures < 0;
    for (int c = 0; c < COLUMNS; c++) {
        w->columns[c] = create_growing(group, column_names[c], H5T_STD_I32LE, 1, mask, COLUMN_CHUNK);
        bad |= w->columns[c] < 0;
    }
    H5Gclose(group);
    return bad ? failed(w) : OK;
}

static int create_contents(struct dataset_writer *w, const struct codec *codec) {
    const struct dataset_shape *s = &w->shape;
    if (write_text_attribute(w->file, "format", DATASET_FORMAT) ||
        write_int_attribute(w->file, "version", DATASET_VERSION) || write_int_attribute(w->file, "fps", VIDEO_RATE) ||
        write_int_attribute(w->file, "audio_rate", AUDIO_RATE) || write_text_attribute(w->file, "codec", s->codec) ||
        write_text_attribute(w->file, "audio_encoder", s->audio_encoder) ||
        write_int_attribute(w->file, "text_len", s->text_len))
        return failed(w);
    hsize_t text[] = {0, (hsize_t)s->text_dim};
    w->text = create_growing(w->file, "text", H5T_IEEE_F32LE, 2, text,
                             s->text_dim < TEXT_CHUNK ? (hsize_t)(TEXT_CHUNK / s->text_dim) : 1);
    if (w->text < 0) return failed(w);
    if (codec_is_external(codec->name) && (write_text_attribute(w->file, "codec_weights", codec->weights) ||
                                           write_text_attribute(w->file, "codec_checksum", codec->checksum)))
        return failed(w);
    struct codec_tensor tensors[16];
    int count = codec_is_external(codec->name) ? 0 : codec_tensors(codec, tensors, 16);
    hid_t group = create_group(w->file, "codec");
    for (int i = 0; i < count; i++)
        if (write_tensor(group, &tensors[i])) return failed(w);
    H5Gclose(group);
    return create_bucket(w);
}

int dataset_create(struct dataset_writer **out, const char *path, const struct dataset_shape *shape,
                   const struct codec *codec) {
    *out = NULL;
    hdf5_quiet();
    const struct dataset_shape *s = shape;
    if (s->F < 1 || s->C < 1 || s->H < 1 || s->W < 1 || s->D < 1 || s->text_len < 1 || s->text_dim < 1 || s->A < 1 ||
        s->A > 2 || s->T != video_frames(s->F))
        return error_set(ERR_USAGE, "%s: a data set cannot have such a shape", path);
    if (strcmp(codec->name, s->codec) || codec->channels != s->C || codec->h != s->H || codec->w != s->W ||
        codec->height != s->pixel_height || codec->width != s->pixel_width)
        return error_set(ERR_USAGE,
                         "%s: codec %s gives %d x %d x %d latents of %d x %d pixels, the data set is to have %d x %d x "
                         "%d of %d x %d from %s",
                         path, codec->name, codec->channels, codec->h, codec->w, codec->height, codec->width, s->C,
                         s->H, s->W, s->pixel_height, s->pixel_width, s->codec);
    struct dataset_writer *w = calloc(1, sizeof *w);
    if (!w) return error_set(ERR_DEVICE, "data set: out of memory");
    w->shape = *shape;
    w->file = -1;
    w->parts = dataset_row_parts(s->F, s->pictures);
    w->row_sums = calloc((size_t)w->parts, sizeof *w->row_sums);
    int code = w->row_sums ? OK : error_set(ERR_DEVICE, "data set: out of memory");
    if (snprintf(w->path, sizeof w->path, "%s", path) >= (int)sizeof w->path)
        code = error_set(ERR_USAGE, "%.60s...: the path is too long", path);
    snprintf(w->temporary, sizeof w->temporary, "%s.tmp", w->path);
    if (!code) {
        int busy;
        code = hdf5_create(&w->file, w->temporary, HDF5_CHECKED, &busy);
        if (busy) *w->temporary = 0; /* the file belongs to another writer */
        if (!code) code = create_contents(w, codec);
    }
    if (code) {
        dataset_discard(w);
        return code;
    }
    *out = w;
    return OK;
}

/* Grows an array that has `row` rows by row_sides[0] rows, usually one, and writes those. */
static int append_row(hid_t array, hid_t type, hsize_t row, int ndim, const hsize_t *row_sides, const void *data) {
    hsize_t sides[5], start[5] = {row};
    for (int d = 0; d < ndim; d++) sides[d] = row_sides[d];
    sides[0] += row;
    if (H5Dset_extent(array, sides) < 0) return 1;
    hid_t space = H5Dget_space(array), memory = H5Screate_simple(ndim, row_sides, NULL);
    int bad = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, row_sides, NULL) < 0 ||
              H5Dwrite(array, type, memory, space, H5P_DEFAULT, data) < 0;
    H5Sclose(space);
    H5Sclose(memory);
    return bad;
}

int dataset_add_prompt(struct dataset_writer *w, const struct prompt_rows *prompt) {
    const struct dataset_shape *s = &w->shape;
    if (!w->prompts && *prompt->text)
        return error_set(ERR_USAGE, "%s: the first prompt must be the empty one", w->path);
    if (prompt->length < 0 || prompt->length > s->text_len)
        return error_set(ERR_USAGE, "%s: prompt \"%.60s\" has %ld tokens, the data set is to have at most %d", w->path,
                         prompt->text, prompt->length, s->text_len);
    size_t values = (size_t)prompt->length * (size_t)s->text_dim;
    long wrong = finite_fault(prompt->rows, values);
    if (wrong >= 0)
        return error_set(ERR_INPUT, "%s: prompt \"%.60s\": token %ld is not finite", w->path, prompt->text,
                         wrong / s->text_dim);
    char **texts = realloc(w->prompt_texts, sizeof *texts * (size_t)(w->prompts + 1));
    if (texts) w->prompt_texts = texts;
    int *start = realloc(w->text_start, sizeof *start * (size_t)(w->prompts + 2));
    if (start) w->text_start = start;
    uint32_t *sums = realloc(w->text_sums, sizeof *sums * (size_t)(w->prompts + 1));
    if (sums) w->text_sums = sums;
    char *text = strdup(prompt->text);
    if (!texts || !start || !sums || !text) {
        free(text);
        return error_set(ERR_DEVICE, "data set: out of memory");
    }
    texts[w->prompts] = text;
    sums[w->prompts] = dataset_place_sum((uint64_t)w->prompts, 0, prompt->rows, sizeof *prompt->rows * values);
    if (!w->prompts) start[0] = 0;
    hsize_t first = (hsize_t)start[w->prompts];
    start[++w->prompts] = (int)first + (int)prompt->length;
    const hsize_t sides[2] = {(hsize_t)prompt->length, (hsize_t)s->text_dim};
    return prompt->length && append_row(w->text, H5T_NATIVE_FLOAT, first, 2, sides, prompt->rows) ? failed(w) : OK;
}

/* Writes one part of the row and its sum, after checking that its values are finite. */
static int append_part(struct dataset_writer *w, const struct dataset_row *row, int part, hid_t array, int ndim,
                       const hsize_t *sides, const float *values) {
    static const char *const names[] = {"latents", "audio", "talk", "listen"};
    size_t count = 1, parts = part < 0 ? (size_t)w->shape.F : 1;
    for (int d = 0; d < ndim; d++) count *= (size_t)sides[d];
    long wrong = finite_fault(values, count);
    if (wrong >= 0)
        return error_set(ERR_INPUT, "%s: row %ld (clip %d): %s: value %ld is not finite", w->path, (long)w->rows,
                         row->clip, names[part + 1], wrong);
    for (size_t k = 0; k < parts; k++) {
        int place = part < 0 ? (int)k : w->shape.F + part;
        w->row_sums[place] =
            dataset_place_sum(w->rows, place, values + k * (count / parts), sizeof *values * (count / parts));
    }
    return append_row(array, H5T_NATIVE_FLOAT, w->rows, ndim, sides, values) ? failed(w) : OK;
}

/* Writes the true pictures and their sum for each latent frame. */
static int append_pictures(struct dataset_writer *w, const struct dataset_row *row) {
    const struct dataset_shape *s = &w->shape;
    const hsize_t sides[] = {1, (hsize_t)s->T, 3, (hsize_t)s->pixel_height, (hsize_t)s->pixel_width};
    for (int f = 0; f < s->F; f++) {
        int place = s->F + PARTS + f;
        w->row_sums[place] = dataset_place_sum(
            w->rows, place, row->pictures + (size_t)dataset_pictures_before(f) * dataset_picture_bytes(s),
            (size_t)dataset_pictures_of(f) * dataset_picture_bytes(s));
    }
    return append_row(w->pictures, H5T_NATIVE_UCHAR, w->rows, 5, sides, row->pictures) ? failed(w) : OK;
}

int dataset_append(struct dataset_writer *w, const struct dataset_row *row) {
    const struct dataset_shape *s = &w->shape;
    if (row->split != SPLIT_TRAIN && row->split != SPLIT_HELD_OUT)
        return error_set(ERR_USAGE, "%s: row of split %d", w->path, row->split);
    if (row->prompt < 0 || row->prompt >= w->prompts)
        return error_set(ERR_USAGE, "%s: row of prompt %d, of %d", w->path, row->prompt, w->prompts);
    const hsize_t latents[5] = {1, (hsize_t)s->F, (hsize_t)s->C, (hsize_t)s->H, (hsize_t)s->W};
    const hsize_t audio[4] = {1, (hsize_t)s->A, (hsize_t)s->T, (hsize_t)s->D}, mask[2] = {1, (hsize_t)s->T};
    const hsize_t sums[2] = {1, (hsize_t)w->parts};
    TRY(append_part(w, row, -1, w->latents, 5, latents, row->latents));
    TRY(append_part(w, row, PART_AUDIO, w->audio, 4, audio, row->audio));
    TRY(append_part(w, row, PART_TALK, w->talk, 2, mask, row->talk));
    TRY(append_part(w, row, PART_LISTEN, w->listen, 2, mask, row->listen));
    if (s->pictures) TRY(append_pictures(w, row));
    const int values[COLUMNS] = {row->clip, row->shot, row->identity, row->utterance, row->split, row->prompt};
    int bad = append_row(w->sums, H5T_NATIVE_UINT32, w->rows, 2, sums, w->row_sums);
    for (int c = 0; c < COLUMNS && !bad; c++)
        bad = append_row(w->columns[c], H5T_NATIVE_INT, w->rows, 1, latents, &values[c]);
    if (bad) return failed(w);
    w->sums_sum =
        (uint32_t)crc32_z(w->sums_sum, (const unsigned char *)w->row_sums, sizeof *w->row_sums * (size_t)w->parts);
    w->rows++;
    return OK;
}

int dataset_leave_note(struct dataset_writer *w, const char *name, const char *text) {
    return write_text_attribute(w->file, name, text) ? failed(w) : OK;
}

/* Writes the texts, as strings of the longest one's length, and where the rows of each begin. */
static int write_prompts(struct dataset_writer *w) {
    size_t bytes = 1;
    if (w->prompts < 1) return error_set(ERR_USAGE, "%s: a data set needs at least the empty prompt", w->path);
    for (int i = 0; i < w->prompts; i++)
        if (strlen(w->prompt_texts[i]) > bytes) bytes = strlen(w->prompt_texts[i]);
    char *all = calloc((size_t)w->prompts, bytes);
    if (!all) return error_set(ERR_DEVICE, "data set: out of memory");
    for (int i = 0; i < w->prompts; i++)
        memcpy(all + (size_t)i * bytes, w->prompt_texts[i], strlen(w->prompt_texts[i]));
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, bytes);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
    const hsize_t count = (hsize_t)w->prompts, starts = count + 1;
    int bad = write_array(w->file, "prompts", type, type, 1, &count, all) ||
              write_array(w->file, "text_start", H5T_STD_I32LE, H5T_NATIVE_INT32, 1, &starts, w->text_start) ||
              write_array(w->file, DATASET_TEXT_SUMS, H5T_STD_U32LE, H5T_NATIVE_UINT32, 1, &count, w->text_sums);
    H5Tclose(type);
    free(all);
    return bad ? failed(w) : OK;
}

/* Writes the sum over the rows' sums, then the one over everything. */
static int write_sums(struct dataset_writer *w) {
    char text[16];
    uint32_t sum;
    snprintf(text, sizeof text, "%08x", (unsigned)w->sums_sum);
    if (write_text_attribute(w->file, "rows_sum", text) || dataset_file_sum(w->file, &sum)) return failed(w);
    snprintf(text, sizeof text, "%08x", (unsigned)sum);
    return write_text_attribute(w->file, DATASET_SUM, text) ? failed(w) : OK;
}

int dataset_finish(struct dataset_writer *w) {
    int code = write_prompts(w);
    if (!code) code = write_sums(w);
    if (code) {
        dataset_discard(w);
        return code;
    }
    int bad = H5Fflush(w->file, H5F_SCOPE_GLOBAL) < 0;
    bad |= H5Fclose(w->file) < 0;
    w->file = -1;
    code = bad ? failed(w) : file_replace(w->temporary, w->path);
    dataset_discard(w);
    return code;
}

void dataset_discard(struct dataset_writer *w) {
    if (!w) return;
    if (w->file >= 0) H5Fclose(w->file);
    if (*w->temporary) unlink(w->temporary);
    for (int i = 0; i < w->prompts; i++) free(w->prompt_texts[i]);
    free(w->prompt_texts);
    free(w->text_start);
    free(w->text_sums);
    free(w->row_sums);
    free(w);
}

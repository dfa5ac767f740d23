/* foreign.c: see foreign.h. */
#include "base/foreign.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/error.h"

enum { START = 4096 };

struct magic {
    const char *bytes;
    size_t at, length;
    const char *name;
    enum foreign_kind kind;
};
#define CONVERT ", which PyTorch converts: save_file(torch.load(F, weights_only=True), G)"
#define MAGIC(at, bytes, name)                                                                                         \
    { bytes, at, sizeof bytes - 1, name, FOREIGN_OTHER }
#define MEDIA(at, bytes, name)                                                                                         \
    { bytes, at, sizeof bytes - 1, name, FOREIGN_MEDIA }
/* Pickles begin with their protocol (0x80, 2 to 5); PyTorch's first files with one that holds a number of 80 bits. */
static const struct magic magics[] = {
    MAGIC(0, "GGUF", "a GGUF file (llama.cpp's weights)"),
    MAGIC(0, "version https://git-lfs.github.com/spec/", "a Git LFS pointer: `git lfs pull` fetches the file itself"),
    MAGIC(0, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46", "a PyTorch file of the old kind (pickle)" CONVERT),
    MAGIC(0, "\x80\x02", "a Python pickle, as PyTorch's files are" CONVERT),
    MAGIC(0, "\x80\x03", "a Python pickle, as PyTorch's files are" CONVERT),
    MAGIC(0, "\x80\x04", "a Python pickle, as PyTorch's files are" CONVERT),
    MAGIC(0, "\x80\x05", "a Python pickle, as PyTorch's files are" CONVERT),
    MAGIC(0, "\x93NUMPY", "a NumPy array"),
    {"\x89HDF\r\n\x1a\n", 0, 8, "an HDF5 file (a data set or a training state)", FOREIGN_HDF5},
    MAGIC(257, "ustar", "a tar archive"),
    MAGIC(0, "\x1f\x8b", "a gzip archive"),
    MAGIC(0,
          "\xfd"
          "7zXZ",
          "an xz archive"),
    MAGIC(0, "BZh", "a bzip2 archive"),
    MAGIC(0, "\x28\xb5\x2f\xfd", "a zstd archive"),
    MAGIC(0, "7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    MAGIC(0, "Rar!", "a RAR archive"),
    MAGIC(0, "%PDF", "a PDF document"),
    MEDIA(0, "\x89PNG\r\n\x1a\n", "a PNG picture"),
    MEDIA(0, "\xff\xd8\xff", "a JPEG picture"),
    MEDIA(0, "GIF8", "a GIF picture"),
    MEDIA(4, "ftyp", "an MP4 or QuickTime video"),
    MEDIA(0, "\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    MEDIA(8, "WAVE", "a WAV file"),
    MEDIA(8, "WEBP", "a WebP picture"),
    MEDIA(8, "AVI ", "an AVI video"),
    MEDIA(0, "OggS", "an Ogg file"),
    MAGIC(0,
          "\x7f"
          "ELF",
          "a program (ELF)"),
};
enum { MAGICS = sizeof magics / sizeof *magics };

static int contains(const unsigned char *bytes, size_t count, const char *text) {
    return memmem(bytes, count, text, strlen(text)) != NULL;
}

/* PyTorch's zip has its pickle first, ARCHIVE/data.pkl; NumPy's .npz arrays. */
static const char *zip_name(const unsigned char *bytes, size_t count) {
    if (contains(bytes, count, "data.pkl")) return "a PyTorch file (zip)" CONVERT;
    if (contains(bytes, count, ".npy")) return "a NumPy .npz file";
    return "a zip archive";
}

/* Recognises HTML and XML, which may begin with a byte order mark and white space. */
static const char *page_name(const unsigned char *bytes, size_t count) {
    static const char *const starts[] = {"<!doctype html", "<html", "<head", "<body"};
    const char *text = (const char *)bytes;
    size_t skip = count >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3) ? 3 : 0;
    while (skip < count && strchr(" \t\r\n", bytes[skip]) && bytes[skip]) skip++;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (count - skip >= strlen(starts[i]) && !strncasecmp(text + skip, starts[i], strlen(starts[i])))
            return "an HTML page, as a download leaves that needs a login or had another address";
    if (count - skip >= 5 && !memcmp(text + skip, "<?xml", 5))
        return contains(bytes, count, "<html") ? "an HTML page, as a failed download leaves"
                                               : "an XML document, as a failed download leaves";
    return NULL;
}

/* A safetensors file begins with the length of its header (8 bytes, here below 4 GiB), then the header's brace. */
static int is_safetensors(const unsigned char *bytes, size_t count) {
    return count > 8 && bytes[8] == '{' && !bytes[4] && !bytes[5] && !bytes[6] && !bytes[7];
}

const char *foreign_name(const unsigned char *bytes, size_t count, enum foreign_kind *kind) {
    *kind = FOREIGN_OTHER;
    if (!count) return "an empty file";
    for (int i = 0; i < MAGICS; i++)
        if (count >= magics[i].at + magics[i].length &&
            !memcmp(bytes + magics[i].at, magics[i].bytes, magics[i].length)) {
            *kind = magics[i].kind;
            return magics[i].name;
        }
    if (is_safetensors(bytes, count)) {
        *kind = FOREIGN_TENSORS;
        return "a safetensors file";
    }
    return count >= 4 && !memcmp(bytes, "PK\3\4", 4) ? zip_name(bytes, count) : page_name(bytes, count);
}

int foreign_refuse(const char *path, enum foreign_kind wanted, const char *expected) {
    unsigned char bytes[START];
    struct stat info;
    if (stat(path, &info) || !S_ISREG(info.st_mode)) return 0; /* bytes of a pipe are gone once they are read */
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    size_t count = fread(bytes, 1, sizeof bytes, file);
    int bad = ferror(file);
    fclose(file);
    enum foreign_kind kind;
    const char *name = bad ? NULL : foreign_name(bytes, count, &kind);
    if (!name || (wanted != FOREIGN_OTHER && kind == wanted)) return 0;
    return error_set(ERR_INPUT, "%s: is %s; expected %s", path, name, expected);
}

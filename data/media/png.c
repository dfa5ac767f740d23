/* png.c: reads and writes PNG files through libpng. See media.h. */
#include "data/media.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fileio.h"

enum { SIDE_MAX = 1 << 16, PIXELS_MAX = 1 << 28 };

int png_write(const char *path, const unsigned char *rgb, int height, int width) {
    if (height < 1 || width < 1 || height > SIDE_MAX || width > SIDE_MAX)
        return error_set(ERR_USAGE, "%s: a picture of %d x %d", path, height, width);
    struct file_writer w;
    TRY(file_create(&w, path));
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = (unsigned)width, .height = (unsigned)height, .format = PNG_FORMAT_RGB};
    int good = png_image_write_to_stdio(&image, w.file, 0, rgb, 3 * width, NULL);
    if (!good) {
        int code = error_set(ERR_INPUT, "%s: %s", path, image.message);
        png_image_free(&image);
        file_discard(&w);
        return code;
    }
    return file_commit(&w);
}

int png_read(const char *path, unsigned char **rgb, int *height, int *width) {
    *rgb = NULL;
    png_image image = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_file(&image, path)) return error_set(ERR_INPUT, "%s: %s", path, image.message);
    int code = OK;
    if (image.width > SIDE_MAX || image.height > SIDE_MAX || (size_t)image.width * image.height > PIXELS_MAX)
        code = error_set(ERR_INPUT, "%s: a picture of %u x %u", path, image.height, image.width);
    image.format = PNG_FORMAT_RGB;
    const png_color white = {255, 255, 255};
    if (!code && !(*rgb = malloc(PNG_IMAGE_SIZE(image)))) code = error_set(ERR_DEVICE, "%s: out of memory", path);
    if (!code && !png_image_finish_read(&image, &white, *rgb, 0, NULL))
        code = error_set(ERR_INPUT, "%s: %s", path, image.message);
    *height = (int)image.height;
    *width = (int)image.width;
    png_image_free(&image);
    if (code) {
        free(*rgb);
        *rgb = NULL;
    }
    return code;
}

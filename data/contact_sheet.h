/* contact_sheet.h: rows of frames in one PNG, each row with a label drawn in an 8x8 font. */
#ifndef DATA_CONTACT_SHEET_H
#define DATA_CONTACT_SHEET_H

struct sheet_row {
    const char *label;
    const float *frames; /* [count, 3, H, W] in [-1, 1], host */
    int count;
};
/* Frames are drawn `zoom` times as large, at most `columns` a row, evenly picked. */
int contact_sheet_write(const char *path, const struct sheet_row *rows, int row_count, int height, int width,
                        int columns, int zoom);

#endif

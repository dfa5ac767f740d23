/* contact_sheet.h: writes rows of frames into one PNG, each row with a label in an 8x8 font. */
#ifndef DATA_CONTACT_SHEET_H
#define DATA_CONTACT_SHEET_H

struct sheet_row {
    const char *label;
    const float *frames; /* [count, 3, H, W] in [-1, 1], host */
    int count;
};
/* Writes the sheet. Frames are drawn `zoom` times as large; of a row with more than `columns` frames that many are
   shown, evenly spaced. */
int contact_sheet_write(const char *path, const struct sheet_row *rows, int row_count, int height, int width,
                        int columns, int zoom);

#endif

/* page.h: the web page of `serve` (page.html), which is part of the program itself. */
#ifndef INFER_SERVE_PAGE_H
#define INFER_SERVE_PAGE_H

#include <stddef.h>

const char *page_html(size_t *length);

#endif

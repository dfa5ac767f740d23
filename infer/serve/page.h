/* page.h: the page that people talk to (page.html), in the program itself. */
#ifndef INFER_SERVE_PAGE_H
#define INFER_SERVE_PAGE_H

#include <stddef.h>

const char *page_html(size_t *length);

#endif

/* page.c: see page.h. The assembler includes the file's bytes as they are. */
#include "infer/serve/page.h"

__asm__(".section .rodata\n"
        ".global page_begin, page_end\n"
        "page_begin: .incbin \"infer/serve/page.html\"\n"
        "page_end: .byte 0\n"
        ".previous\n");
extern const char page_begin[], page_end[];

const char *page_html(size_t *length) {
    *length = (size_t)(page_end - page_begin);
    return page_begin;
}

/* absent.c: stands for the tests of this folder where cuDNN is not installed. */
#include <stdio.h>

int main(void) {
    puts("no cuDNN in CUDA_HOME");
    return 77;
}

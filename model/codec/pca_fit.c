/* pca_fit.c: fits the pca codec (pca.c) to groups of frames.
   Adds up the covariance of the patch vectors, in blocks of fp32 summed in double, and finds its leading eigenvectors
   by subspace iteration with Rayleigh-Ritz projection (Golub and Van Loan, "Matrix Computations", 8.2.4 and 8.4), all
   on the host. Every sum runs in an order that does not depend on the number of threads. 60000 patches of 8 x 8 take
   about two seconds on two cores. */
#include "model/codec/codec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/philox.h"
#include "model/codec/internal.h"
#include "model/codec/pca.h"

enum { PANEL = 8, BLOCK = 256, PATCH_MAX = 32 };
typedef float lanes __attribute__((vector_size(PANEL * sizeof(float))));

struct covariance {
    int size, panels; /* numbers of a patch vector; ceil(size / PANEL) */
    float *shift;     /* [size]: about the mean; subtracted before squaring, so that fp32 loses nothing */
    int shifted;
    lanes *block;     /* [panels][BLOCK]: patch vectors; PANEL numbers of a patch are neighbours */
    int filled;       /* patches in the block */
    double *sum;      /* [size] */
    double *products; /* [size, size], the upper triangle of panels */
    double count;
};

/* Adds the block's products of 4 rows of panel i with panel j to `products`. */
static void multiply_panels(struct covariance *cov, int i, int row, int j) {
    const lanes *a = cov->block + (size_t)i * BLOCK, *b = cov->block + (size_t)j * BLOCK;
    lanes sum[4] = {{0}, {0}, {0}, {0}};
    for (int n = 0; n < BLOCK; n++) {
        sum[0] += a[n][row] * b[n];
        sum[1] += a[n][row + 1] * b[n];
        sum[2] += a[n][row + 2] * b[n];
        sum[3] += a[n][row + 3] * b[n];
    }
    for (int r = 0; r < 4; r++) {
        int y = i * PANEL + row + r;
        for (int c = 0; c < PANEL; c++) {
            int x = j * PANEL + c;
            if (y < cov->size && x < cov->size) cov->products[(size_t)y * cov->size + x] += (double)sum[r][c];
        }
    }
}

/* Adds the block, its unused end zeroed, and empties it. */
static void covariance_flush(struct covariance *cov) {
    for (int i = 0; i < cov->panels; i++)
        memset(cov->block + (size_t)i * BLOCK + cov->filled, 0, (size_t)(BLOCK - cov->filled) * sizeof(lanes));
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < cov->panels; i++) {
        lanes total = {0};
        for (int n = 0; n < BLOCK; n++) total += cov->block[(size_t)i * BLOCK + n];
        for (int c = 0; c < PANEL && i * PANEL + c < cov->size; c++) cov->sum[i * PANEL + c] += (double)total[c];
        for (int j = i; j < cov->panels; j++) {
            multiply_panels(cov, i, 0, j);
            multiply_panels(cov, i, 4, j);
        }
    }
    cov->count += cov->filled;
    cov->filled = 0;
}

/* Adds the first `count` lanes of a gathered tile. */
static void covariance_add(struct covariance *cov, const float *tile, int count) {
    if (!cov->shifted)
        for (int k = 0; k < cov->size; k++) cov->shift[k] = tile[(size_t)k * PCA_LANES];
    cov->shifted = 1;
    for (int lane = 0; lane < count; lane++) {
        for (int k = 0; k < cov->size; k++)
            cov->block[(size_t)(k / PANEL) * BLOCK + cov->filled][k % PANEL] =
                tile[(size_t)k * PCA_LANES + lane] - cov->shift[k];
        if (++cov->filled == BLOCK) covariance_flush(cov);
    }
}

/* Turns `products` into the whole covariance matrix and `sum` into the mean. */
static void covariance_finish(struct covariance *cov) {
    covariance_flush(cov);
    int n = cov->size;
    for (int y = 0; y < n; y++)
        for (int x = y; x < n; x++) {
            double c = (cov->products[(size_t)y * n + x] - cov->sum[y] * cov->sum[x] / cov->count) / cov->count;
            cov->products[(size_t)y * n + x] = cov->products[(size_t)x * n + y] = c;
        }
    for (int k = 0; k < n; k++) cov->sum[k] = cov->sum[k] / cov->count + cov->shift[k];
}

/* Computes eigenvalues (descending) and eigenvectors (columns of v [n, n]) of a symmetric matrix a, by Jacobi's cyclic
   rotations (Golub and Van Loan 8.5); a is destroyed. */
static void jacobi(double *a, double *v, double *values, int n) {
    memset(v, 0, sizeof *v * (size_t)n * n);
    for (int i = 0; i < n; i++) v[(size_t)i * n + i] = 1;
    for (int sweep = 0; sweep < 50; sweep++) {
        double off = 0, all = 0;
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) {
                double square = a[(size_t)i * n + j] * a[(size_t)i * n + j];
                all += square;
                if (i != j) off += square;
            }
        if (off <= 1e-28 * all) break;
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) {
                double apq = a[(size_t)p * n + q];
                if (apq == 0) continue;
                double tau = (a[(size_t)q * n + q] - a[(size_t)p * n + p]) / (2 * apq);
                double t = (tau >= 0 ? 1 : -1) / (fabs(tau) + sqrt(1 + tau * tau));
                double c = 1 / sqrt(1 + t * t), s = t * c;
                for (int k = 0; k < n; k++) {
                    double x = a[(size_t)k * n + p], y = a[(size_t)k * n + q];
                    a[(size_t)k * n + p] = c * x - s * y;
                    a[(size_t)k * n + q] = s * x + c * y;
                }
                for (int k = 0; k < n; k++) {
                    double x = a[(size_t)p * n + k], y = a[(size_t)q * n + k];
                    a[(size_t)p * n + k] = c * x - s * y;
                    a[(size_t)q * n + k] = s * x + c * y;
                    x = v[(size_t)k * n + p], y = v[(size_t)k * n + q];
                    v[(size_t)k * n + p] = c * x - s * y;
                    v[(size_t)k * n + q] = s * x + c * y;
                }
            }
    }
    for (int i = 0; i < n; i++) values[i] = a[(size_t)i * n + i];
    for (int i = 0; i < n; i++) { /* selection sort that moves the columns too */
        int best = i;
        for (int j = i + 1; j < n; j++)
            if (values[j] > values[best]) best = j;
        if (best == i) continue;
        double swap = values[i];
        values[i] = values[best];
        values[best] = swap;
        for (int k = 0; k < n; k++) {
            swap = v[(size_t)k * n + i];
            v[(size_t)k * n + i] = v[(size_t)k * n + best];
            v[(size_t)k * n + best] = swap;
        }
    }
}

/* y [n, m] = a [n, k] b [k, m] */
static void multiply(double *y, const double *a, const double *b, int n, int k, int m) {
#pragma omp parallel for schedule(static)
    for (int i = 0; i < n; i++) {
        double *row = y + (size_t)i * m;
        memset(row, 0, sizeof *row * (size_t)m);
        for (int l = 0; l < k; l++) {
            double f = a[(size_t)i * k + l];
            const double *from = b + (size_t)l * m;
#pragma omp simd
            for (int j = 0; j < m; j++) row[j] += f * from[j];
        }
    }
}

/* Makes the rows of q [m, n] orthonormal (Gram-Schmidt, twice); a row that depends on those above becomes a new
   random one. */
static void orthonormalise(double *q, int m, int n, uint32_t *drawn) {
    for (int i = 0; i < m; i++) {
        double *row = q + (size_t)i * n;
        for (int attempt = 0; attempt < 3; attempt++) {
            double before = 0, after = 0;
            for (int k = 0; k < n; k++) before += row[k] * row[k];
            for (int pass = 0; pass < 2; pass++)
                for (int j = 0; j < i; j++) {
                    const double *other = q + (size_t)j * n;
                    double dot = 0;
                    for (int k = 0; k < n; k++) dot += row[k] * other[k];
                    for (int k = 0; k < n; k++) row[k] -= dot * other[k];
                }
            for (int k = 0; k < n; k++) after += row[k] * row[k];
            if (after > 1e-24 * before && after > 1e-200) {
                double r = 1 / sqrt(after);
                for (int k = 0; k < n; k++) row[k] *= r;
                break;
            }
            struct random_address address = {.purpose = RANDOM_INIT, .frame = (*drawn)++};
            for (int k = 0; k < n; k++) row[k] = random_uniform(&address, (uint32_t)k) - 0.5;
        }
    }
}

static void transpose(double *to, const double *from, int rows, int columns) {
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) to[(size_t)j * rows + i] = from[(size_t)i * columns + j];
}

/* Computes the `wanted` leading eigenpairs of a symmetric a [n, n]: vectors as rows of q [m, n], m >= wanted the width
   of the subspace, values [m] descending. work: 2 m n + 3 m^2 + m doubles. */
static void leading_eigenvectors(double *q, double *values, const double *a, int n, int m, int wanted, double *work) {
    double *columns = work, *image = columns + (size_t)m * n, *small = image + (size_t)m * n,
           *vectors = small + (size_t)m * m, *turned = vectors + (size_t)m * m, *last = turned + (size_t)m * m;
    uint32_t drawn = 1;
    struct random_address address = {.purpose = RANDOM_INIT};
    for (int i = 0; i < m * n; i++) q[i] = random_uniform(&address, (uint32_t)i) - 0.5;
    orthonormalise(q, m, n, &drawn);
    memset(last, 0, sizeof *last * (size_t)m);
    for (int iteration = 1; iteration <= 400; iteration++) {
        transpose(columns, q, m, n);
        multiply(image, a, columns, n, n, m); /* [n, m] */
        if (iteration % 4) {
            transpose(q, image, n, m);
            orthonormalise(q, m, n, &drawn);
            continue;
        }
        multiply(small, q, image, m, n, m);
        jacobi(small, vectors, values, m);
        transpose(turned, vectors, m, m);
        memcpy(columns, q, sizeof *q * (size_t)m * n);
        multiply(q, turned, columns, m, m, n);
        double change = 0;
        for (int i = 0; i < wanted; i++) change = fmax(change, fabs(values[i] - last[i]) / (values[0] + 1e-300));
        memcpy(last, values, sizeof *values * (size_t)m);
        if (change < 1e-10) break;
    }
}

/* products = W products W^T, W as in pca.c: over rows, then over columns. */
static void weigh_motion(struct covariance *cov, double weight) {
    int n = cov->size, frame = n / FRAMES_PER_LATENT;
    if (weight == 1) return;
    for (int side = 0; side < 2; side++)
        for (int line = 0; line < n; line++)
            for (int k = 0; k < frame; k++) {
                double *at[FRAMES_PER_LATENT], mean = 0;
                for (int f = 0; f < FRAMES_PER_LATENT; f++) {
                    int other = f * frame + k;
                    at[f] = cov->products + (side ? (size_t)line * n + other : (size_t)other * n + line);
                    mean += *at[f] / FRAMES_PER_LATENT;
                }
                for (int f = 0; f < FRAMES_PER_LATENT; f++) *at[f] = mean + weight * (*at[f] - mean);
            }
}

/* Opens the codec that covariance and mean give. */
static int open_fitted(struct codec *codec, const struct codec_fit *fit, const struct covariance *cov) {
    int n = cov->size, C = fit->channels, m = C + (C / 2 > 8 ? C / 2 : 8);
    if (m > n) m = n;
    size_t work_size = 2 * (size_t)m * n + 3 * (size_t)m * m + (size_t)m;
    double *q = malloc(sizeof *q * (size_t)m * n), *values = malloc(sizeof *values * (size_t)m),
           *work = malloc(sizeof *work * work_size);
    float *basis = malloc(sizeof *basis * (size_t)C * n), *mean = malloc(sizeof *mean * (size_t)n),
          *scale = malloc(sizeof *scale * (size_t)C);
    float motion_weight = (float)fit->motion_weight;
    int code = OK;
    if (!q || !values || !work || !basis || !mean || !scale) code = error_set(ERR_DEVICE, "codec pca: out of memory");
    if (!code) {
        leading_eigenvectors(q, values, cov->products, n, m, C, work);
        if (!(values[0] > 1e-10)) code = error_set(ERR_INPUT, "codec pca: the frames it is fitted to do not vary");
    }
    if (!code) {
        double square = 0;
        for (int c = 0; c < C; c++) {
            double variance = fmax(values[c], 1e-8 * values[0]); /* keeps components without variance finite */
            double divisor = pow(variance, 0.5 * fit->scale_power);
            scale[c] = (float)(1 / divisor);
            square += variance / (divisor * divisor) / C;
            double *row = q + (size_t)c * n, largest = 0;
            for (int k = 0; k < n; k++)
                if (fabs(row[k]) > fabs(largest)) largest = row[k];
            for (int k = 0; k < n; k++) basis[(size_t)c * n + k] = (float)(largest < 0 ? -row[k] : row[k]);
        }
        for (int c = 0; c < C; c++) scale[c] /= (float)sqrt(square);
        for (int k = 0; k < n; k++) mean[k] = (float)cov->sum[k];
        const struct codec_tensor tensors[] = {{"pca.basis", 2, {C, n}, basis},
                                               {"pca.mean", 1, {n}, mean},
                                               {"pca.scale", 1, {C}, scale},
                                               {"pca.motion_weight", 1, {1}, &motion_weight}};
        code = codec_open(codec, "pca", fit->height, fit->width, tensors, sizeof tensors / sizeof *tensors);
    }
    free(q);
    free(values);
    free(work);
    free(basis);
    free(mean);
    free(scale);
    return code;
}

int codec_pca_fit(struct codec *codec, const struct codec_fit *fit, int (*next)(void *user, float *group), void *user) {
    memset(codec, 0, sizeof *codec);
    int p = fit->patch;
    if (p < 1 || p > PATCH_MAX || fit->height < p || fit->width < p || fit->height > CODEC_PIXELS_MAX ||
        fit->width > CODEC_PIXELS_MAX || fit->height % p || fit->width % p)
        return error_set(ERR_USAGE, "codec pca: %d x %d pixels do not divide into patches of %d", fit->height,
                         fit->width, p);
    if (fit->channels < 1 || fit->channels > pca_values(p))
        return error_set(ERR_USAGE, "codec pca: channels is %d, but a patch of %d has 1 to %d components",
                         fit->channels, p, (int)pca_values(p));
    if (!(fit->motion_weight >= 1e-3 && fit->motion_weight <= 1e3))
        return error_set(ERR_USAGE, "codec pca: motion_weight is %g, not 0.001 to 1000", fit->motion_weight);
    struct covariance cov = {.size = (int)pca_values(p), .panels = ((int)pca_values(p) + PANEL - 1) / PANEL};
    size_t frame = 3 * (size_t)fit->height * fit->width;
    float *group = malloc(FRAMES_PER_LATENT * frame * sizeof *group),
          *tile = malloc(sizeof *tile * (size_t)cov.size * PCA_LANES);
    cov.shift = malloc(sizeof *cov.shift * (size_t)cov.size);
    cov.block = aligned_alloc(64, sizeof *cov.block * (size_t)cov.panels * BLOCK);
    cov.sum = calloc((size_t)cov.size, sizeof *cov.sum);
    cov.products = calloc((size_t)cov.size * cov.size, sizeof *cov.products);
    int code = OK;
    if (!group || !tile || !cov.shift || !cov.block || !cov.sum || !cov.products)
        code = error_set(ERR_DEVICE, "codec pca: out of memory");
    else
        memset(cov.block, 0, sizeof *cov.block * (size_t)cov.panels * BLOCK);
    int patches = fit->height / p * (fit->width / p), more = 0;
    while (!code && (more = next(user, group)) > 0)
        for (int first = 0; first < patches; first += PCA_LANES) {
            int count = patches - first < PCA_LANES ? patches - first : PCA_LANES;
            pca_gather(tile, group, frame, fit->height, fit->width, p, first, count);
            covariance_add(&cov, tile, count);
        }
    if (!code && more < 0) code = -more;
    if (!code && cov.count + cov.filled < 2) code = error_set(ERR_INPUT, "codec pca: no frames to fit it to");
    if (!code) {
        covariance_finish(&cov);
        weigh_motion(&cov, fit->motion_weight);
        code = open_fitted(codec, fit, &cov);
    }
    free(group);
    free(tile);
    free(cov.shift);
    free(cov.block);
    free(cov.sum);
    free(cov.products);
    return code;
}

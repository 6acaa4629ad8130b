// Kernels that use each part of the language, for tests of the emulator; arrays are (block, thread) unless noted.
#include "sums.cuh"

#ifndef REAL
#define REAL float
#endif

// out (block,) = the sum of each block's part of in (n,): static shared memory of a template, and shuffles.
extern "C" __global__ void __launch_bounds__(256) block_sums(const REAL *__restrict__ in, REAL *__restrict__ out, int n) {
    REAL x = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) x += in[i];
    x = block_sum<REAL, 8>(x);
    if (threadIdx.x == 0) out[blockIdx.x] = x;
}

// out (n,) = in (n,) of a block backwards: dynamic shared memory.
extern "C" __global__ void reverse(const REAL *in, REAL *out) {
    extern __shared__ REAL mine[];
    mine[threadIdx.x] = in[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = mine[blockDim.x - 1 - threadIdx.x];
}

// out (row, column) = in (column, row), by tiles in two dimensions; size is (rows, columns) of in.
extern "C" __global__ void transpose(const float *in, float *out, int rows, int columns) {
    __shared__ float tile[16][17], copy[16][17];
    int r = blockIdx.y * 16 + threadIdx.y, c = blockIdx.x * 16 + threadIdx.x;
    tile[threadIdx.y][threadIdx.x] = r < rows && c < columns ? in[r * columns + c] : 0;
    __syncthreads();
    copy[threadIdx.x][threadIdx.y] = tile[threadIdx.y][threadIdx.x];
    __syncthreads();
    r = blockIdx.x * 16 + threadIdx.y, c = blockIdx.y * 16 + threadIdx.x;
    if (r < columns && c < rows) out[r * rows + c] = copy[threadIdx.y][threadIdx.x];
}

// out (thread, 12): what each intrinsic answers; lanes whose bit is set in `part` meet apart from the others.
extern "C" __global__ void warp(const int *in, unsigned *out, unsigned part) {
    int x = in[threadIdx.x], lane = threadIdx.x % 32;
    unsigned *mine = out + threadIdx.x * 12, mask = part >> lane & 1 ? part : ~part;
    if (part >> lane & 1)
        mine[0] = __ballot_sync(part, x & 1);
    else
        mine[0] = __ballot_sync(~part, x & 1);
    mine[1] = __any_sync(mask, x == 7);
    mine[2] = __all_sync(mask, x != 7);
    mine[3] = __shfl_sync(~0u, x, x & 31);
    mine[4] = __shfl_sync(~0u, x, 3, 8);
    mine[5] = __shfl_up_sync(~0u, x, 5);
    mine[6] = __shfl_down_sync(~0u, x, 5, 16);
    mine[7] = __shfl_xor_sync(~0u, x, 9);
    mine[8] = __reduce_add_sync(mask, (unsigned)x);
    double wide = __shfl_xor_sync(~0u, 1.0 / (x + 1), 1);
    mine[9] = wide == 1.0 / (__shfl_xor_sync(~0u, x, 1) + 1);
    __syncwarp();
    mine[10] = __popc(__ballot_sync(~0u, lane < 5));
    mine[11] = __shfl_sync(mask, x, __ffs(mask) - 1);
}

// out (thread, 3): the answers of barriers that count.
extern "C" __global__ void votes(const int *in, int *out) {
    int x = in[threadIdx.x];
    for (int n = 0; n < 5; ++n) {  // results of one barrier must outlive the next one's arrivals
        out[threadIdx.x * 3] = __syncthreads_count(x > n);
        out[threadIdx.x * 3 + 1] = __syncthreads_or(x > n);
        out[threadIdx.x * 3 + 2] = __syncthreads_and(x > n);
    }
}

// bins (16,) += how many of in (n,) have each value; extremes (2,): the least and the greatest; bits: all or-ed.
extern "C" __global__ void histogram(const int *in, int n, unsigned *bins, int *extremes, unsigned *bits) {
    __shared__ unsigned mine[16];
    if (threadIdx.x < 16) mine[threadIdx.x] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        atomicAdd(&mine[in[i]], 1u);
        atomicMin(&extremes[0], in[i]);
        atomicMax(&extremes[1], in[i]);
        atomicOr(bits, 1u << in[i]);
    }
    __syncthreads();
    if (threadIdx.x < 16) atomicAdd(&bins[threadIdx.x], mine[threadIdx.x]);
}

// out (n, 8): functions of bits.
extern "C" __global__ void bits(const unsigned *in, unsigned *out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned x = in[i], *mine = out + 8 * i;
    mine[0] = __popc(x);
    mine[1] = __ffs(x);
    mine[2] = __clz(x);
    mine[3] = __brev(x);
    mine[4] = __popcll((unsigned long long)x << 20 | x);
    mine[5] = __clzll((long long)x << 7);
    mine[6] = __funnelshift_l(x, ~x, 5);
    mine[7] = __byte_perm(x, ~x, 0x7210);
}

// out (n, 4) of float = in of bytes, four at a time: vectors in and out.
extern "C" __global__ void vectors(const unsigned char *in, float *out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    uchar4 four = reinterpret_cast<const uchar4 *>(in)[i];
    reinterpret_cast<float4 *>(out)[i] = make_float4(four.x, four.y, four.z, four.w);
}

struct Pair {
    REAL scale;
    int shift;
};

// out (n,) = in · scale + shift: a struct by value, a product and a sum that may be one operation.
extern "C" __global__ void affine(const REAL *in, REAL *out, Pair pair, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = in[i] * pair.scale + pair.shift;
}

// Warps that pass values on through shared memory with __syncwarp alone.
extern "C" __global__ void by_warp(const int *in, int *out) {
    __shared__ int mine[256];
    mine[threadIdx.x] = in[threadIdx.x];
    __syncwarp();
    out[threadIdx.x] = mine[threadIdx.x ^ 1];
}

// Kernels for timing the emulator.
extern "C" __global__ void barriers(int *out, int n) {
    for (int i = 0; i < n; ++i) __syncthreads();
    out[threadIdx.x] = n;
}

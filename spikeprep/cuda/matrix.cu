// Operands of the matrix products of a fully connected layer (docs/cuda.md). Only float32; all kernels write with `=`.
//
// Low halves are multiplied by 2^11, so that they are as exact as high ones however small a number is.
#include "gradient.cuh"
#include "halves.cuh"

#define LOW_SCALE 2048.0f

// Bits → halves 0 and 1. A thread converts one word.
//   words   [row, word]        in
//   dense   [row, 32 · word]   out
//   count (words)
extern "C" __global__ void spread(const Word *words, Half *dense, long long count) {
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < count; n += (long long)gridDim.x * blockDim.x) {
        Word word = words[n];
        unsigned int *to = reinterpret_cast<unsigned int *>(dense + 32 * n);
#pragma unroll
        for (int k = 0; k < 16; ++k)  // two halves at a time; 0x3C00 is 1
            to[k] = (word >> (2 * k) & 1) * 0x3C00u | (word >> (2 * k + 1) & 1) * 0x3C000000u;
    }
}

__device__ __forceinline__ void split_number(float x, Half *high, Half *low) {
    *high = to_half(x);
    *low = to_half((x - from_half(*high)) * LOW_SCALE);
}

// Split numbers into halves, with rows of zeros behind the last.
//   numbers     [row, width]          in
//   high, low   [padded row, width]   out
//   count (elements of numbers), padded (elements of high)
extern "C" __global__ void split(const float *numbers, Half *high, Half *low, long long count, long long padded) {
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < padded; n += (long long)gridDim.x * blockDim.x)
        split_number(n < count ? numbers[n] : 0, high + n, low + n);
}

// slopes = δ γ (1 + σ), σ from a = Σ_t G Σ_j w_ij S_j[t]. A warp computes one tile of one sample.
//   gates            [sample, tile, step, lane]   in
//   drive            [sample, step, width]        in
//   counts           [sample, unit]               in
//   error            [sample, unit]               in: d = ∂E/∂o; δ = d/ν
//   scale            [sample, unit]               in if `scaled`: γ
//   scaled
//   fan_in           [width]                      in: Σ_j w_ij
//   psp                                           constants
//   gain_floor                                    1 + σ is at least this; −∞: no floor
//   slopes, silent   [sample, width]              out: of neurons that fire, of silent ones; 0 for the others
//   samples, longest, units, tiles
extern "C" __global__ void slopes(
    const float *gates, const float *drive, const int *counts, const float *error, const float *scale, int scaled,
    const float *fan_in, Psp psp, float gain_floor, float *slopes, float *silent, int samples, int longest, int units,
    int tiles) {
    int lane = threadIdx.x & 31, width = tiles * LANES;
    long long all = (long long)samples * tiles, warps = (long long)gridDim.x * (blockDim.x >> 5);
    for (long long n = blockIdx.x * (long long)(blockDim.x >> 5) + (threadIdx.x >> 5); n < all; n += warps) {
        int sample = (int)(n / tiles), unit = (int)(n % tiles) * LANES + lane;
        const float *gate = gates + (size_t)n * longest * LANES + lane;
        const float *arriving = drive + (size_t)sample * longest * width + unit;
        float sum[4] = {0, 0, 0, 0};
        int t = 0;
        for (; t + 4 <= longest; t += 4)
#pragma unroll
            for (int k = 0; k < 4; ++k) sum[k] += gate[(size_t)(t + k) * LANES] * arriving[(size_t)(t + k) * width];
        for (; t < longest; ++t) sum[0] += gate[(size_t)t * LANES] * arriving[(size_t)t * width];
        size_t pair = (size_t)sample * units + unit, at = (size_t)sample * width + unit;
        bool live = unit < units;
        int fired = live ? counts[pair] : 0;
        float share = fired ? (sum[0] + sum[2] + (sum[1] + sum[3])) / fired : psp.silent_share * fan_in[unit];
        float slope = live ? slope_of(error[pair] / psp.nu, share, gain_floor, psp) : 0;
        if (live && scaled) slope *= scale[pair];
        slopes[at] = fired ? slope : 0;
        silent[at] = fired ? 0 : slope;
    }
}

// Split slope · gate / largest into halves. A thread computes one element.
//   gates       [sample, tile, step, lane]   in
//   slopes      [sample, width]              in
//   largest     [1]                          in
//   high, low   [sample, step, width]        out
//   samples, longest, tiles
extern "C" __global__ void split_gates(
    const float *gates, const float *slopes, const float *largest, Half *high, Half *low, int samples, int longest,
    int tiles) {
    int width = tiles * LANES;
    long long all = (long long)samples * longest * width;
    float inverse = largest[0] > 0 ? 1 / largest[0] : 0;
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < all; n += (long long)gridDim.x * blockDim.x) {
        int unit = (int)(n % width), t = (int)(n / width % longest), sample = (int)(n / width / longest);
        float gate = gates[(((size_t)sample * tiles + unit / LANES) * longest + t) * LANES + unit % LANES];
        split_number(slopes[(size_t)sample * width + unit] * inverse * gate, high + n, low + n);
    }
}

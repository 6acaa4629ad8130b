// Conversions between representations of spikes (layouts in common.cuh). All kernels write with `=`, all elements.
#include "common.cuh"

// Packed bits → words by unit; bits at and past a sample's length are cleared. A thread writes one word.
//   bits      bytes [sample, unit, byte]   in
//   lengths   [sample]                     in
//   by_unit   [sample, unit, word]         out
//   rows (sample · unit), units, width (bytes of a row), words
extern "C" __global__ void unpack(
    const unsigned char *bits, const int *lengths, Word *by_unit, long long rows, int units, int width, int words) {
    long long all = rows * words;
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < all; n += (long long)gridDim.x * blockDim.x) {
        long long row = n / words;
        int w = (int)(n - row * words);
        int left = lengths[row / units] - 32 * w;
        Word word = 0;
        for (int k = 0; k < 4; ++k)
            if (4 * w + k < width) word |= (Word)bits[row * width + 4 * w + k] << (8 * k);
        if (left < 32) word = left > 0 ? word & ((1u << left) - 1) : 0;
        by_unit[n] = word;
    }
}

// Transpose the bits of each sample.
//   in    [sample, row, in_words]       in
//   out   [sample, column, out_words]   out
//   samples, rows, columns, in_words, out_words
// A block computes 32 of a sample's out_words. A warp transposes 32 × 32 bits at a time by 32 ballots; the words are
// transposed in shared memory, so that both reads and writes are contiguous.
extern "C" __global__ void __launch_bounds__(1024) transpose(
    const Word *in, Word *out, int samples, int rows, int columns, int in_words, int out_words) {
    __shared__ Word transposed[32][33];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    int parts = (out_words + 31) / 32;
    for (long long task = blockIdx.x; task < (long long)samples * parts; task += gridDim.x) {
        int sample = (int)(task / parts), first = (int)(task % parts) * 32;
        int count = min(32, out_words - first);
        for (int c = 0; c < in_words; ++c) {
            for (int w = warp; w < count; w += warps) {
                int row = (first + w) * 32 + lane;
                Word word = row < rows ? in[((size_t)sample * rows + row) * in_words + c] : 0, column = 0;
                for (int k = 0; k < 32; ++k) {
                    Word ballot = __ballot_sync(ALL, word >> k & 1);
                    if (lane == k) column = ballot;
                }
                transposed[lane][w] = column;
            }
            __syncthreads();
            for (int k = warp; k < 32; k += warps) {
                int column = 32 * c + k;
                if (column < columns && lane < count)
                    out[((size_t)sample * columns + column) * out_words + first + lane] = transposed[k][lane];
            }
            __syncthreads();
        }
    }
}

// Words by step → spikes as numbers 0 and 1. A thread writes one element.
//   by_step   [sample, step, word]   in
//   dense     [sample, step, unit]   out
//   rows (sample · step), units, columns (words of a row)
extern "C" __global__ void expand(const Word *by_step, Real *dense, long long rows, int units, int columns) {
    long long all = rows * units;
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < all; n += (long long)gridDim.x * blockDim.x) {
        long long row = n / units;
        int unit = (int)(n - row * units);
        dense[n] = by_step[row * columns + (unit >> 5)] >> (unit & 31) & 1;
    }
}

// Words → events. A warp converts one row.
//   words    [row, width]    in
//   counts   [row]           out
//   lists    [row, stride]   out, the first `counts` ids of each row
//   rows, width, stride
extern "C" __global__ void events(
    const Word *words, int *counts, Id *lists, long long rows, int width, int stride) {
    int lane = threadIdx.x & 31;
    long long warps = (long long)gridDim.x * (blockDim.x >> 5);
    for (long long row = blockIdx.x * (long long)(blockDim.x >> 5) + (threadIdx.x >> 5); row < rows; row += warps) {
        Id *list = lists + row * stride;
        int total = 0;
        for (int first = 0; first < width; first += 32) {
            int w = first + lane;
            Word word = w < width ? words[row * width + w] : 0;
            int count = __popc(word), upto = count;
            for (int by = 1; by < 32; by *= 2) {
                int below = __shfl_up_sync(ALL, upto, by);
                if (lane >= by) upto += below;
            }
            for (int at = total + upto - count; word; word &= word - 1, ++at)
                list[at] = (Id)(32 * w + __ffs(word) - 1);
            total += __shfl_sync(ALL, upto, 31);
        }
        if (lane == 0) counts[row] = total;
    }
}

// Count the spikes of each unit. A thread counts one row.
//   by_unit   [row, word]   in, row = sample · unit
//   counts    [row]         out
//   rows, words
extern "C" __global__ void counts(const Word *by_unit, int *counts, long long rows, int words) {
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < rows; n += (long long)gridDim.x * blockDim.x) {
        int total = 0;
        for (int w = 0; w < words; ++w) total += __popc(by_unit[n * words + w]);
        counts[n] = total;
    }
}

// Overwrite train unit[b] of each sample b by spikes at p, 2 p, …, p = period[b], unless that is 0.
//   by_unit   [sample, unit, word]   in and out
//   lengths   [sample]               in
//   unit, period   [sample]          in
//   samples, units, words
extern "C" __global__ void regular_trains(
    Word *by_unit, const int *lengths, const long long *unit, const long long *period, int samples, int units, int words) {
    long long all = (long long)samples * words;
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < all; n += (long long)gridDim.x * blockDim.x) {
        int b = (int)(n / words), w = (int)(n % words);
        if (period[b] == 0) continue;
        Word word = 0;
        for (int k = 0; k < 32; ++k) {
            int t = 32 * w + k;
            if (t > 0 && t < lengths[b] && t % period[b] == 0) word |= 1u << k;
        }
        by_unit[((size_t)b * units + unit[b]) * words + w] = word;
    }
}

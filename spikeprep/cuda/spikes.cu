// Forms of spikes (layouts in common.cuh). Every kernel writes `=`, and every element of what it writes.
#include "common.cuh"

// Packed bits, bytes [sample, unit, width] → words by unit: bits at and past a sample's own steps are cleared.
extern "C" __global__ void unpack(
    const unsigned char *bits, const int *steps, Word *by_unit, long long rows, int units, int width, int words) {
    long long all = rows * words;
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < all; n += (long long)gridDim.x * blockDim.x) {
        long long row = n / words;
        int w = (int)(n - row * words);
        int left = steps[row / units] - 32 * w;
        Word word = 0;
        for (int k = 0; k < 4; ++k)
            if (4 * w + k < width) word |= (Word)bits[row * width + 4 * w + k] << (8 * k);
        if (left < 32) word = left > 0 ? word & ((1u << left) - 1) : 0;
        by_unit[n] = word;
    }
}

// Turn the bits of each sample round: words [sample, row, in_words] of `rows` rows and `columns` columns → words
// [sample, column, out_words]. A block takes 32 words of out_words of one sample; warp w transposes 32 × 32 bits at a
// time by 32 ballots, and shared memory turns the words so that both sides read and write runs of neighbours.
extern "C" __global__ void __launch_bounds__(1024) transpose(
    const Word *in, Word *out, int samples, int rows, int columns, int in_words, int out_words) {
    __shared__ Word turned[32][33];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    int parts = (out_words + 31) / 32;
    for (long long task = blockIdx.x; task < (long long)samples * parts; task += gridDim.x) {
        int sample = (int)(task / parts), first = (int)(task % parts) * 32;
        int wanted = min(32, out_words - first);
        for (int c = 0; c < in_words; ++c) {
            for (int w = warp; w < wanted; w += warps) {
                int row = (first + w) * 32 + lane;
                Word mine = row < rows ? in[((size_t)sample * rows + row) * in_words + c] : 0, column = 0;
                for (int k = 0; k < 32; ++k) {
                    Word ballot = __ballot_sync(ALL, mine >> k & 1);
                    if (lane == k) column = ballot;
                }
                turned[lane][w] = column;
            }
            __syncthreads();
            for (int k = warp; k < 32; k += warps) {
                int column = 32 * c + k;
                if (column < columns && lane < wanted)
                    out[((size_t)sample * columns + column) * out_words + first + lane] = turned[k][lane];
            }
            __syncthreads();
        }
    }
}

// Rows of words → events. A warp takes a row.
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
            int own = __popc(word), upto = own;
            for (int by = 1; by < 32; by *= 2) {
                int below = __shfl_up_sync(ALL, upto, by);
                if (lane >= by) upto += below;
            }
            for (int at = total + upto - own; word; word &= word - 1, ++at)
                list[at] = (Id)(32 * w + __ffs(word) - 1);
            total += __shfl_sync(ALL, upto, 31);
        }
        if (lane == 0) counts[row] = total;
    }
}

// Spikes of each unit: counts [row] of words by unit.
extern "C" __global__ void counts(const Word *by_unit, int *counts, long long rows, int words) {
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < rows; n += (long long)gridDim.x * blockDim.x) {
        int total = 0;
        for (int w = 0; w < words; ++w) total += __popc(by_unit[n * words + w]);
        counts[n] = total;
    }
}

// Overwrite the train unit[b] of each sample whose period[b] is not 0 by spikes at every multiple of it but 0.
extern "C" __global__ void regular_trains(
    Word *by_unit, const int *steps, const long long *unit, const long long *period, int samples, int units, int words) {
    long long all = (long long)samples * words;
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < all; n += (long long)gridDim.x * blockDim.x) {
        int b = (int)(n / words), w = (int)(n % words);
        if (period[b] == 0) continue;
        Word word = 0;
        for (int k = 0; k < 32; ++k) {
            int t = 32 * w + k;
            if (t > 0 && t < steps[b] && t % period[b] == 0) word |= 1u << k;
        }
        by_unit[((size_t)b * units + unit[b]) * words + w] = word;
    }
}

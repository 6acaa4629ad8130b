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

// Transpose 32 × 32 bits: lane i gives row i and gets column i.
__device__ __forceinline__ Word transposed(Word row, int lane) {
    Word low = 0x0000ffffu;  // of each pair of squares, the columns of the left one
#pragma unroll
    for (int by = 16; by; by /= 2, low ^= low << by) {
        Word other = __shfl_xor_sync(ALL, row, by);
        row = lane & by ? (row & ~low) | (other >> by & low) : (row & low) | (other << by & ~low);
    }
    return row;
}

#define WORDS_AT_ONCE 8  // of a row: 32 bytes

// Transpose the bits of each sample.
//   in    [sample, row, in_words]       in
//   out   [sample, column, out_words]   out
//   samples, rows, columns, in_words, out_words
// A block computes 256 columns in 32 of a sample's out_words, and has a warp for each of these, which transposes their
// rows. The words of a row are read together, as they share sectors; columns pass through shared memory to be contiguous.
extern "C" __global__ void __launch_bounds__(1024) transpose(
    const Word *in, Word *out, int samples, int rows, int columns, int in_words, int out_words) {
    __shared__ Word to[32][33];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    int parts = (out_words + 31) / 32, spans = (in_words + WORDS_AT_ONCE - 1) / WORDS_AT_ONCE;
    for (long long task = blockIdx.x; task < (long long)samples * parts * spans; task += gridDim.x) {
        int span = (int)(task % spans) * WORDS_AT_ONCE, first = (int)(task / spans % parts) * 32;
        int sample = (int)(task / spans / parts), count = min(32, out_words - first);
        int row = (first + warp) * 32 + lane;
        Word words[WORDS_AT_ONCE];
#pragma unroll
        for (int c = 0; c < WORDS_AT_ONCE; ++c)
            words[c] = row < rows && span + c < in_words ? in[((size_t)sample * rows + row) * in_words + span + c] : 0;
#pragma unroll
        for (int c = 0; c < WORDS_AT_ONCE; ++c) {
            if (span + c >= in_words) break;  // uniform over the block
            to[lane][warp] = transposed(words[c], lane);
            __syncthreads();
            for (int k = warp; k < 32; k += warps) {
                int column = 32 * (span + c) + k;
                if (column < columns && lane < count)
                    out[((size_t)sample * columns + column) * out_words + first + lane] = to[k][lane];
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
//   lists    [row, stride]   out, the first `counts` ids of each row, then 0 up to a multiple of 16 bytes
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
            int count = __popc(word), below = sum_below(count, lane);
            for (int at = total + below; word; word &= word - 1, ++at) list[at] = (Id)(32 * w + __ffs(word) - 1);
            total += __shfl_sync(ALL, below + count, 31);
        }
        // lists are read 16 bytes at a time, the first 16 also where a row has no event
        int end = min(max((total + Ids::COUNT - 1) / Ids::COUNT, 1) * Ids::COUNT, stride);
        if (total + lane < end) list[total + lane] = 0;
        if (lane == 0) counts[row] = total;
    }
}

#define SPIKE_CLASSES 256

// Order each sample's units by their spikes, most first and silent ones last; units of about equally many keep their order.
//   counts   [sample, unit]   in
//   order    [sample, unit]   out: units
//   active   [sample]         out: units with a spike
//   samples, units, longest
// A warp computes one sample, as a counting sort: all lanes of one class find each other by eight ballots.
extern "C" __global__ void __launch_bounds__(32) order_units(
    const int *counts, int *order, int *active, int samples, int units, int longest) {
    __shared__ int places[SPIKE_CLASSES];
    int lane = threadIdx.x;
    for (int sample = blockIdx.x; sample < samples; sample += gridDim.x) {
        const int *fired = counts + (size_t)sample * units;
        for (int c = lane; c < SPIKE_CLASSES; c += 32) places[c] = 0;
        __syncwarp();
        for (int pass = 0; pass < 2; ++pass) {
            int next = lane < units ? fired[lane] : 0;
            for (int first = 0; first < units; first += 32) {
                int unit = first + lane, count = next;
                next = unit + 32 < units ? fired[unit + 32] : 0;
                // 0 for most spikes, the last class for none
                int spikes = min((int)((long long)count * (SPIKE_CLASSES - 1) / max(longest, 1)), SPIKE_CLASSES - 2);
                int at = count ? SPIKE_CLASSES - 2 - spikes : SPIKE_CLASSES - 1;
                Word same = __ballot_sync(ALL, unit < units);
                for (int k = 0; k < 8; ++k) {
                    Word ones = __ballot_sync(ALL, at >> k & 1);
                    same &= at >> k & 1 ? ones : ~ones;
                }
                int before = __popc(same & ((1u << lane) - 1)), place = places[at] + before;
                __syncwarp();
                if (unit < units) {
                    if (pass) order[(size_t)sample * units + place] = unit;
                    if (before == 0) places[at] += __popc(same);
                }
                __syncwarp();
            }
            if (pass) break;
            // numbers of units → first places
            int sum = 0;
            for (int c = 0; c < SPIKE_CLASSES; c += 32) {
                int here = places[c + lane], below = sum_below(here, lane);
                places[c + lane] = sum + below;
                sum += __shfl_sync(ALL, below + here, 31);
            }
            __syncwarp();
            if (lane == 0) active[sample] = places[SPIKE_CLASSES - 1];
        }
        __syncwarp();
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
        by_unit[((size_t)b * units + unit[b]) * words + w] = regular_word(w, period[b], lengths[b]);
    }
}

// Spiking pools under HM2-BP (docs/hm2bp.md, docs/cuda.md).
#include "gate.cuh"
#include "grids.cuh"

// Where a post unit's window begins among the pre units.
__device__ __forceinline__ int window_of(int unit, const Windows &windows) {
    int places = windows.places(), channel = unit / places, place = unit % places;
    return channel * windows.channel_stride + place / windows.out_columns * windows.down * windows.row_stride +
           place % windows.out_columns * windows.right * windows.column_stride;
}

// Simulate a pool's neurons; each input has weight 1. A warp computes 32 post units of one sample. How many units of a
// window fire is counted for 32 steps at once: bit k of plane p is bit p of the number at step k.
//   pre_trains   [sample, pre, word]    in
//   lengths      [sample]               in
//   windows, neuron                     constants
//   by_unit      [sample, unit, word]   out
//   counts       [sample, unit]         out
//   samples, pre, words
// PLANES: bits of the number of units of a window.
template <int PLANES>
__device__ __forceinline__ void pool(
    const Word *pre_trains, const int *lengths, const Windows &windows, const Neuron &neuron, Word *by_unit, int *counts,
    int samples, int pre, int words) {
    int lane = threadIdx.x & 31, units = windows.out_channels * windows.places(), tiles = (units + 31) / 32;
    long long all = (long long)samples * tiles, warps = (long long)gridDim.x * (blockDim.x >> 5);
    for (long long n = blockIdx.x * (long long)(blockDim.x >> 5) + (threadIdx.x >> 5); n < all; n += warps) {
        int sample = (int)(n / tiles), unit = (int)(n % tiles) * 32 + lane, length = lengths[sample], fired_in_all = 0;
        bool live = unit < units;
        const Word *window = pre_trains + ((size_t)sample * pre + (live ? window_of(unit, windows) : 0)) * words;
        Word *train = by_unit + ((size_t)sample * units + unit) * words;
        Membrane membrane = {0, 0, 0};
        Word before[PLANES];  // the planes of the words before
#pragma unroll
        for (int p = 0; p < PLANES; ++p) before[p] = 0;
        for (int w = 0; w < words; ++w) {
            Word planes[PLANES];
#pragma unroll
            for (int p = 0; p < PLANES; ++p) planes[p] = 0;
            for (int a = 0; live && a < windows.kernel_rows; ++a)
                for (int d = 0; d < windows.kernel_columns; ++d) {
                    Word carry = window[(size_t)(a * windows.row_stride + d * windows.column_stride) * words + w];
#pragma unroll
                    for (int p = 0; p < PLANES; ++p) {
                        Word both = planes[p] & carry;
                        planes[p] ^= carry;
                        carry = both;
                    }
                }
            Word arriving[PLANES], fired_now = 0;  // a spike arrives one step later
#pragma unroll
            for (int p = 0; p < PLANES; ++p) {
                arriving[p] = planes[p] << 1 | before[p] >> 31;
                before[p] = planes[p];
            }
            for (int k = 0; k < 32; ++k) {
                int t = 32 * w + k;
                if (t == 0 || t >= length) continue;
                int number = 0;
#pragma unroll
                for (int p = 0; p < PLANES; ++p) number |= (int)(arriving[p] >> k & 1) << p;
                bool fired = membrane.step((Real)number, neuron) && live;
                membrane.reset(fired, neuron);
                fired_now |= (Word)fired << k;
                fired_in_all += fired;
            }
            if (live) train[w] = fired_now;
        }
        if (live) counts[(size_t)sample * units + unit] = fired_in_all;
    }
}

#define POOL(NAME, PLANES)                                                                                       \
    extern "C" __global__ void NAME(                                                                             \
        const Word *pre_trains, const int *lengths, Windows windows, Neuron neuron, Word *by_unit, int *counts,  \
        int samples, int pre, int words) {                                                                       \
        pool<PLANES>(pre_trains, lengths, windows, neuron, by_unit, counts, samples, pre, words);                \
    }

POOL(pool_forward, 3)
POOL(pool_forward_wide, 8)
POOL(pool_forward_widest, 30)

#define TAPS 4  // of a window that are added up at a time

// Compute e of the post units that fire and have an error, each with the units of its window. A warp scans the gates of
// 32 post units of one sample, TAPS pre units of each at a time.
//   pre_trains    [sample, pre, word]                in
//   post_trains   [sample, unit, word]               in
//   post_counts   [sample, unit]                     in
//   lengths       [sample]                           in
//   error         [sample, unit]                     in
//   leaving       see scan_gates                     in
//   psp, windows                                     constants
//   pairs         [sample, channel, tap, place]      out, where a post unit fires and has an error
//   samples, pre, words
extern "C" __global__ void pool_pairs(
    const Word *pre_trains, const Word *post_trains, const int *post_counts, const int *lengths, const Real *error,
    const Real *leaving, Psp psp, Windows windows, Real *pairs, int samples, int pre, int words) {
    int lane = threadIdx.x & 31, places = windows.places(), taps = windows.kernel();
    int units = windows.out_channels * places, tiles = (units + 31) / 32;
    long long all = (long long)samples * tiles, warps = (long long)gridDim.x * (blockDim.x >> 5);
    for (long long n = blockIdx.x * (long long)(blockDim.x >> 5) + (threadIdx.x >> 5); n < all; n += warps) {
        int sample = (int)(n / tiles), unit = (int)(n % tiles) * 32 + lane;
        size_t i = (size_t)sample * units + unit;
        bool counted = unit < units && post_counts[i] > 0 && error[i] != 0;
        if (!__any_sync(ALL, counted)) continue;
        const Word *window = pre_trains + ((size_t)sample * pre + (counted ? window_of(unit, windows) : 0)) * words;
        Real *out = pairs + ((size_t)sample * windows.out_channels + unit / places) * taps * places + unit % places;
        for (int first = 0; first < taps; first += TAPS) {
            const Word *trains[TAPS];
            Word seen[TAPS];
            Real e[TAPS];
#pragma unroll
            for (int q = 0; q < TAPS; ++q) {
                int a = (first + q) / windows.kernel_columns, d = (first + q) % windows.kernel_columns;
                trains[q] = window + (size_t)(a * windows.row_stride + d * windows.column_stride) * words;
                e[q] = 0;
            }
            int word = -1;
            scan_gates(post_trains + i * words, words, lengths[sample], counted, psp, leaving, [&](int t, Real gate) {
                if (t >> 5 != word) {  // uniform over the warp
                    word = t >> 5;
#pragma unroll
                    for (int q = 0; q < TAPS; ++q) seen[q] = counted && first + q < taps ? trains[q][word] : 0;
                }
#pragma unroll
                for (int q = 0; q < TAPS; ++q)
                    if (seen[q] >> (t & 31) & 1) e[q] += gate;
            });
#pragma unroll
            for (int q = 0; q < TAPS; ++q)
                if (counted && first + q < taps) out[(size_t)(first + q) * places] = e[q];
        }
    }
}

// Write the error at the pre units, Σ δ ρ over the post units that see them (docs/hm2bp.md section 4). A thread computes one.
//   error         [sample, unit]                     in: ∂E/∂o; δ = error · `share`
//   pairs         [sample, channel, tap, place]      in: of `pool_pairs`
//   pre_counts    [sample, pre], post_counts [sample, unit]   in
//   units         [pre]                              in: see conv_forward
//   share, psp, windows                              constants
//   sent          [sample, pre]                      out, all elements
//   samples
extern "C" __global__ void pool_send(
    const Real *error, const Real *pairs, const int *pre_counts, const int *post_counts, const int2 *units, Real share,
    Psp psp, Windows windows, Real *sent, int samples) {
    int taps = windows.kernel(), places = windows.places(), pre = windows.channels * windows.rows * windows.columns;
    long long all = (long long)samples * pre;
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < all; n += (long long)gridDim.x * blockDim.x) {
        int sample = (int)(n / pre), j = (int)(n % pre), spikes = pre_counts[n];
        int y = units[j].x >> 16, x = units[j].x & 0xffff;
        int channel = (units[j].y - y * windows.kernel_columns - x) / taps;
        size_t first = ((size_t)sample * windows.out_channels + channel) * places;
        Real sum = 0;
        for (int a = 0; a < windows.kernel_rows; ++a) {
            int row = y - a;
            if (row < 0 || row % windows.down || row / windows.down >= windows.out_rows) continue;
            for (int d = 0; d < windows.kernel_columns; ++d) {
                int column = x - d;
                if (column < 0 || column % windows.right || column / windows.right >= windows.out_columns) continue;
                int place = row / windows.down * windows.out_columns + column / windows.right;
                Real delta = error[first + place] * share;
                if (delta == 0) continue;
                bool both = spikes > 0 && post_counts[first + place] > 0;
                int tap = a * windows.kernel_columns + d;
                sum += delta * (both ? pairs[first * taps + (size_t)tap * places + place] / (Real)spikes : psp.silent_ratio);
            }
        }
        sent[n] = sum;
    }
}

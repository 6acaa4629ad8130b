// Gates (docs/hm2bp.md section 8) and spike-train PSPs of pairs of neurons (section 2). All kernels write with `=`.
#include "common.cuh"

// Return the word whose bit k is step first + k of a train; 0 outside the train.
__device__ __forceinline__ Word steps_from(const Word *train, int words, int first) {
    int w = first >> 5, shift = first & 31;
    Word low = w < words ? train[w] : 0, high = w + 1 < words ? train[w + 1] : 0;
    return (Word)((((unsigned long long)high << 32) | low) >> shift);
}

// Return how many steps before `firing` the membrane was last reset: at step 1, or R steps after the previous spike.
// Any number above `reach` stands for all that are larger than it.
__device__ __forceinline__ int since_reset(const Word *train, int firing, const Psp &psp) {
    int w = firing >> 5;
    Word below = train[w] & ((1u << (firing & 31)) - 1);
    for (;;) {
        if (below) return firing - (32 * w + 31 - __clz(below)) - psp.refractory;
        if (w == 0) return firing - 1;
        if (firing - 32 * w > psp.reach + psp.refractory) return psp.reach + 1;
        below = train[--w];
    }
}

// Compute the gates: what a pre spike at each step adds to e_{i|j}.
//   by_unit   [sample, unit, word]          in
//   lengths   [sample]                      in
//   psp                                     constants
//   leaving   [s], s ≤ reach                in: the term B of a firing s steps after the reset
//   error     [sample, unit]                in if `skip`: tiles where it is 0 are not written
//   skip
//   gates     [sample, tile, step, lane]    out, all steps
//   samples, longest, units, words, tiles
// A warp scans one tile of one sample backwards. x is a lane's distance to its next firing, near_m and near_s are
// e^{−x/τm} and e^{−x/τs}, `later` (Q in section 8) is the contribution of later firings.
extern "C" __global__ void gate(
    const Word *by_unit, const int *lengths, Psp psp, const Real *leaving, const Real *error, int skip, Real *gates,
    int samples, int longest, int units, int words, int tiles) {
    int lane = threadIdx.x & 31;
    long long all = (long long)samples * tiles, warps = (long long)gridDim.x * (blockDim.x >> 5);
    for (long long n = blockIdx.x * (long long)(blockDim.x >> 5) + (threadIdx.x >> 5); n < all; n += warps) {
        int sample = (int)(n / tiles), unit = (int)(n % tiles) * LANES + lane, length = lengths[sample];
        bool live = unit < units;
        if (skip && !__any_sync(ALL, live && error[(size_t)sample * units + unit] != 0)) continue;
        const Word *train = by_unit + ((size_t)sample * units + unit) * words;
        Real *out = gates + (size_t)n * longest * LANES + lane;
        int reset = psp.refractory;
        // no firing can follow these steps
        for (int t = max(1, length - reset); t < longest; ++t) out[(size_t)t * LANES] = 0;
        out[0] = 0;
        Word between = reset > 1 ? ALL << (33 - reset) : 0;  // of the 32 steps before u, those after u − R
        int x = psp.reach;  // no firing within the window
        Real near_m = 0, near_s = 0, later = 0;
        for (int w = (length - 1) >> 5; w >= 0; --w) {
            Word here = live ? train[w] : 0, before = live && w > 0 ? train[w - 1] : 0;
            Word far = live ? steps_from(train, words, 32 * w + psp.reach + 1) : 0;
            int u = min(length - 1, 32 * w + 31), bottom = max(reset + 1, 32 * w);
            Real *to = out + (ptrdiff_t)(u - reset) * LANES;
#pragma unroll 4
            for (; u >= bottom; --u, to -= LANES) {
                int bit = u & 31;
                Word past = (Word)((((unsigned long long)here << 32) | before) >> bit);  // bit 31 is step u − 1
                bool fires = here >> bit & 1;
                x = fires ? 0 : x + 1;
                near_m = fires ? (Real)1 : near_m * psp.decay_m;
                near_s = fires ? (Real)1 : near_s * psp.decay_s;
                // 0 if the next firing's reset lies between, or the firing is outside the window
                Real direct = (past & between) || x > psp.reach ? (Real)0 : psp.norm * (near_m - near_s);
                later *= psp.decay_s;
                if (far >> bit & 1) {
                    int s = since_reset(train, u + psp.reach + 1, psp);
                    if (s > 0 && s <= psp.reach) later -= leaving[s];
                }
                *to = later + direct;
                if (past >> (32 - reset) & 1) later += direct;
            }
        }
    }
}

// Compute e_{i|j}, the rules of silent neurons included. A warp computes one tile of post neurons and one pre neuron.
//   gates          [sample, tile, step, lane]   in
//   event_counts   [sample · pre], lists [sample · pre, stride]   in: events of the pre neurons by unit
//   post_counts    [sample, post]               in
//   psp                                         constants
//   out            [sample, post, pre]          out
//   samples, pre, longest, stride, units, tiles
extern "C" __global__ void psp(
    const Real *gates, const int *event_counts, const Id *lists, const int *post_counts, Psp psp, Real *out, int samples,
    int pre, int longest, int stride, int units, int tiles) {
    int lane = threadIdx.x & 31;
    long long all = (long long)samples * tiles * pre, warps = (long long)gridDim.x * (blockDim.x >> 5);
    for (long long n = blockIdx.x * (long long)(blockDim.x >> 5) + (threadIdx.x >> 5); n < all; n += warps) {
        int j = (int)(n % pre), tile = (int)(n / pre % tiles), sample = (int)(n / pre / tiles);
        int unit = tile * LANES + lane;
        size_t row = (size_t)sample * pre + j;
        int count = event_counts[row];
        const Id *list = lists + row * stride;
        Ids ids = count ? first_ids(list) : Ids{};
        Rows<LANES, false> rows(gates + ((size_t)sample * tiles + tile) * longest * LANES, lane, LANES);
        Real e = sum_rows<1>(rows, list, count, ids).at[0];
        if (unit < units) {
            if (count && post_counts[(size_t)sample * units + unit] == 0) e = psp.silent_psp;
            out[((size_t)sample * units + unit) * pre + j] = e;
        }
    }
}

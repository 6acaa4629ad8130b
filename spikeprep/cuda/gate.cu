// Gates (docs/hm2bp.md section 8) and the spike-train PSPs of single pairs. Every kernel writes `=`, all elements.
#include "common.cuh"

// The word whose bit k is step first + k of a train; 0 outside it.
__device__ __forceinline__ Word steps_from(const Word *train, int words, int first) {
    int w = first >> 5, shift = first & 31;
    Word low = w < words ? train[w] : 0, high = w + 1 < words ? train[w + 1] : 0;
    return (Word)((((unsigned long long)high << 32) | low) >> shift);
}

// How many steps before `firing` a neuron's membrane was last reset: from step 1 on, or R steps after its last spike.
// Looks back no further than `reach`: beyond, any number above it is returned.
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

// gates [sample, tile, step, lane]: what a pre spike at a step adds to e_{i|j}.
//
// A warp scans one tile of one sample backwards; x is a lane's distance to its next firing, near_m and near_s are
// e^{−x/τm} and e^{−x/τs}, `later` (section 8: Q) what further firings pass down, and leaving [s], s ≤ reach, is the
// term B of a firing s steps after the reset. With `skip`, a tile whose delta [sample, unit] is 0 is not written.
extern "C" __global__ void gate(
    const Word *by_unit, const int *steps, Psp psp, const Real *leaving, const Real *delta, int skip, Real *gates,
    int samples, int longest, int units, int words, int tiles) {
    int lane = threadIdx.x & 31;
    long long all = (long long)samples * tiles, warps = (long long)gridDim.x * (blockDim.x >> 5);
    for (long long n = blockIdx.x * (long long)(blockDim.x >> 5) + (threadIdx.x >> 5); n < all; n += warps) {
        int sample = (int)(n / tiles), unit = (int)(n % tiles) * LANES + lane, own = steps[sample];
        bool live = unit < units;
        if (skip && !__any_sync(ALL, live && delta[(size_t)sample * units + unit] != 0)) continue;
        const Word *train = by_unit + ((size_t)sample * units + unit) * words;
        Real *out = gates + (size_t)n * longest * LANES + lane;
        int reset = psp.refractory;
        // steps from which no firing can be reached
        for (int t = max(1, own - reset); t < longest; ++t) out[(size_t)t * LANES] = 0;
        out[0] = 0;
        Word between = reset > 1 ? ALL << (33 - reset) : 0;  // of the 32 steps before u: those after u − R
        int x = psp.reach;  // as good as no firing
        Real near_m = 0, near_s = 0, later = 0;
        for (int w = (own - 1) >> 5; w >= 0; --w) {
            Word here = live ? train[w] : 0, before = live && w > 0 ? train[w - 1] : 0;
            Word far = live ? steps_from(train, words, 32 * w + psp.reach + 1) : 0;
            int u = min(own - 1, 32 * w + 31), bottom = max(reset + 1, 32 * w);
            Real *to = out + (ptrdiff_t)(u - reset) * LANES;
#pragma unroll 4
            for (; u >= bottom; --u, to -= LANES) {
                int bit = u & 31;
                Word past = (Word)((((unsigned long long)here << 32) | before) >> bit);  // bit 31 is step u − 1
                bool fires = here >> bit & 1;
                x = fires ? 0 : x + 1;
                near_m = fires ? (Real)1 : near_m * psp.decay_m;
                near_s = fires ? (Real)1 : near_s * psp.decay_s;
                // closed: the next firing's reset lies between, or the window is over
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

// out [sample, post, pre] = e_{i|j}, silent rules included. A warp takes one tile of post and one pre neuron; events of
// the pre neurons by unit, counts of the post neurons.
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

// The backward scan that makes gates (docs/hm2bp.md section 8).
#pragma once
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

// Call use(t, gate) for the steps t = length − 1 − R … 1, the last first; at all others the gate is 0.
//   train [word]        of the lane's neuron; not read unless `live`
//   leaving [s]         s ≤ reach: the term B of a firing s steps after the reset
// x is the distance to the next firing, near_m and near_s are e^{−x/τm} and e^{−x/τs}, `later` (Q in section 8) is the
// contribution of later firings. All lanes of a warp have the same length.
template <class Use>
__device__ __forceinline__ void scan_gates(
    const Word *train, int words, int length, bool live, const Psp &psp, const Real *leaving, Use use) {
    int reset = psp.refractory;
    Word between = reset > 1 ? ALL << (33 - reset) : 0;  // of the 32 steps before u, those after u − R
    int x = psp.reach;  // no firing within the window
    Real near_m = 0, near_s = 0, later = 0;
    for (int w = (length - 1) >> 5; w >= 0; --w) {
        Word here = live ? train[w] : 0, before = live && w > 0 ? train[w - 1] : 0;
        Word far = live ? steps_from(train, words, 32 * w + psp.reach + 1) : 0;
        int u = min(length - 1, 32 * w + 31), bottom = max(reset + 1, 32 * w);
#pragma unroll 4
        for (; u >= bottom; --u) {
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
            use(u - reset, later + direct);
            if (past >> (32 - reset) & 1) later += direct;
        }
    }
}

// The backward scan that makes gates (docs/hm2bp.md section 8).
#pragma once
#include "common.cuh"

// Return the word whose bit k is step first + k of a train; 0 outside the train. `first` may be negative.
__device__ __forceinline__ Word steps_from(const Word *train, int words, int first) {
    int w = first >> 5, shift = first & 31;
    Word low = (unsigned int)w < (unsigned int)words ? train[w] : 0;
    Word high = (unsigned int)(w + 1) < (unsigned int)words ? train[w + 1] : 0;
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

// A lane's scan of the train of its neuron, from the last step to the first. The gate of step t is made at step
// u = t + R.
struct GateScan {
    const Word *train;  // of the lane's neuron; not read unless `live`
    int words;
    bool live;
    const Real *leaving;  // [s], s ≤ reach: the term B of a firing s steps after the reset

    int first;          // of the 32 steps that are scanned
    Word here, before;  // firings of these steps and of the 32 before
    Word far;           // of those reach + 1 later, which leave the window
    Word between;       // of the 32 steps before u, those after u − R
    Word at_reset;      // of these, u − R

    int next;             // the next firing, if it is within the window
    Real near_m, near_s;  // e^{−x/τm} and e^{−x/τs}, x the distance to it; else 0
    Real later;           // Q in section 8: the contribution of later firings

    // Start behind the last step.
    __device__ __forceinline__ GateScan(const Word *train, int words, bool live, const Psp &psp, const Real *leaving)
        : train(train), words(words), live(live), leaving(leaving), next(0), near_m(0), near_s(0), later(0) {
        between = psp.refractory > 1 ? ALL << (33 - psp.refractory) : 0;
        at_reset = 1u << (32 - psp.refractory);
    }

    // Start below step u0 instead, as if all steps from u0 on had been scanned.
    //   decays [3, longest + 1]: e^{−x/τm}, e^{−x/τs}, α(x)
    // Two consecutive firings p < f contribute α(f − l) e^{−(l − u0)/τs}, l = p + R the reset of f, from u0 ≤ l on and
    // while f is in the window; less than 2^-30 is left out.
    __device__ __forceinline__ void start_below(int u0, const Psp &psp, const Real *decays, int longest) {
        if (!live) return;
        const Real *fast = decays + longest + 1, *alpha = fast + longest + 1;
        int from = max(u0 - psp.refractory, 0), last = u0 + psp.reach, w = from >> 5, previous = -1;
        bool found = false;
        Word left = w < words ? train[w] & (ALL << (from & 31)) : 0;
        for (;;) {
            while (!left) {
                if (++w >= words || 32 * w > last) return;
                left = train[w];
            }
            int firing = 32 * w + __ffs(left) - 1;
            left &= left - 1;
            if (firing > last) return;
            if (!found && firing >= u0) {
                found = true;
                next = firing;
                near_m = decays[firing - u0];
                near_s = fast[firing - u0];
            }
            int reset = previous + psp.refractory, s = firing - reset;
            if (previous >= 0) {
                Real share = fast[reset - u0];
                if (share < (Real)0x1p-30) return;
                if (s > 0 && s <= psp.reach) later += alpha[s] * share;
            }
            previous = firing;
        }
    }

    // Go on to the 32 steps from `start` on, before the highest of them.
    __device__ __forceinline__ void enter(int start, const Psp &psp) {
        first = start;
        here = live ? steps_from(train, words, first) : 0;
        before = live ? steps_from(train, words, first - 32) : 0;
        far = live ? steps_from(train, words, first + psp.reach + 1) : 0;
    }

    // Return the gate that is made at step first + bit, the highest that was not yet scanned.
    __device__ __forceinline__ Real step(int bit, const Psp &psp) {
        return step(bit, here >> bit & 1, far >> bit & 1, psp);
    }

    // The same; the bits of `here` and `far` are given.
    __device__ __forceinline__ Real step(int bit, bool fires, bool leaves, const Psp &psp) {
        Word past = (Word)((((unsigned long long)here << 32) | before) >> bit);  // bit 31 is the step before
        next = fires ? first + bit : next;
        near_m = fires ? (Real)1 : near_m * psp.decay_m;
        near_s = fires ? (Real)1 : near_s * psp.decay_s;
        later *= psp.decay_s;
        if (leaves) {
            int firing = first + bit + psp.reach + 1, s = since_reset(train, firing, psp);
            if (s > 0 && s <= psp.reach) later -= leaving[s];
            if (next == firing) near_m = near_s = 0;
        }
        // 0 if the next firing's reset lies between
        Real direct = past & between ? (Real)0 : psp.norm * (near_m - near_s);
        Real gate = later + direct;
        if (past & at_reset) later = gate;
        return gate;
    }
};

// Call use(t, gate) for the steps t = length − 1 − R … 1, the last first; at all others the gate is 0. All lanes of a
// warp have the same length.
template <class Use>
__device__ __forceinline__ void scan_gates(
    const Word *train, int words, int length, bool live, const Psp &psp, const Real *leaving, Use use) {
    GateScan scan(train, words, live, psp, leaving);
    for (int w = (length - 1) >> 5; w >= 0; --w) {
        scan.enter(32 * w, psp);
        int bit = min(length - 1 - 32 * w, 31), bottom = max(psp.refractory + 1 - 32 * w, 0);
#pragma unroll 4
        for (; bit >= bottom; --bit) use(32 * w + bit - psp.refractory, scan.step(bit, psp));
    }
}

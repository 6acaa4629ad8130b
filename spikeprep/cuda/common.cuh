// What every kernel here shares: numbers, lanes, and the sum of rows that forward and backward are made of.
//
// REAL is float or double, ID_BITS (16 or 32) the width of an event. A warp carries a *tile* of LANES post neurons, one a lane.
//
// Layouts, C order, `word` = 32 bits:
//   words by unit   [sample, unit, word]   bit k of word w is step 32 w + k; 0 at and past the sample's own steps
//   words by step   [sample, step, word]   bit k of word w is unit 32 w + k
//   events          counts [row] and lists [row, stride]: the set bits of each row of such words, ascending;
//                   stride is a multiple of a vector's ids, so that every list starts on 16 bytes
//   weights         [pre, width]           width: post neurons, rounded up to LANES; 0 past the last neuron
//   gates           [sample, tile, step, lane]
#pragma once

#ifndef REAL
#define REAL float
#endif
#ifndef ID_BITS
#define ID_BITS 16
#endif

typedef REAL Real;
typedef unsigned int Word;
#if ID_BITS == 16
typedef unsigned short Id;
#else
typedef unsigned int Id;
#endif

#define LANES 32
#define ALL 0xffffffffu

// Constants of a neuron (docs/hm2bp.md section 1).
struct Neuron {
    Real threshold;  // ν − slack
    Real keep_m;     // 1 − 1/τm
    Real keep_s;     // 1 − 1/τs
    Real gain;       // 1/τs
    int refractory;
};

// Constants of the spike-train PSP (sections 2, 4 and 8).
struct Psp {
    Real decay_m;  // e^{−1/τm}
    Real decay_s;
    Real norm;     // 1 / (1 − τs/τm)
    Real silent_psp, silent_share, silent_ratio;
    Real inverse_nu;
    int refractory;
    int reach;     // W − R: the furthest distance to a firing that the window admits
};

// Sums and products rounded one by one, whatever the compiler may fuse elsewhere: a neuron then does what it does on a
// CPU, to the bit.
__device__ __forceinline__ float add(float a, float b) { return __fadd_rn(a, b); }
__device__ __forceinline__ float multiply(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ double add(double a, double b) { return __dadd_rn(a, b); }
__device__ __forceinline__ double multiply(double a, double b) { return __dmul_rn(a, b); }

// Sixteen bytes of a list of events: one load.
struct alignas(16) Ids {
    static constexpr int COUNT = 128 / ID_BITS;
    unsigned int part[4];

    // The k-th id; k is known to the compiler wherever loops are unrolled.
    __device__ __forceinline__ unsigned int get(int k) const {
#if ID_BITS == 16
        return k & 1 ? part[k >> 1] >> 16 : part[k >> 1] & 0xffffu;
#else
        return part[k];
#endif
    }

    // Move the ids down by `by` ids, which fill whole parts.
    __device__ __forceinline__ void drop(int by) {
        int parts = by * ID_BITS / 32;
#pragma unroll
        for (int k = 0; k < 4; ++k)
            if (k + parts < 4) part[k] = part[k + parts];
    }
};

__device__ __forceinline__ Ids first_ids(const Id *list) { return *reinterpret_cast<const Ids *>(list); }

// TILES tiles of a lane's own neurons.
template <int TILES>
struct Lane {
    Real at[TILES];
};

// Add table[id · stride + q · LANES] to sum.at[q]; the caller has added its lane to `table`.
template <int TILES>
__device__ __forceinline__ void add_row(Lane<TILES> &sum, const Real *table, unsigned int id, int stride) {
    const Real *row = table + (size_t)id * stride;
#pragma unroll
    for (int q = 0; q < TILES; ++q) sum.at[q] = add(sum.at[q], row[q * LANES]);
}

// Return Σ_{k < n} table[id_k · stride + q · LANES] over a list of events whose first ids are `ids`.
//
// The order of addition is the CPU backend's: four interleaved sums, 0 + 2 and 1 + 3 and then the two, then what is
// left over; so that both backends round alike. All lanes have the same list.
template <int TILES>
__device__ __forceinline__ Lane<TILES> sum_rows(const Real *table, int stride, const Id *list, int n, Ids ids) {
    constexpr int COUNT = Ids::COUNT;
    Lane<TILES> sum[4];
#pragma unroll
    for (int u = 0; u < 4; ++u)
#pragma unroll
        for (int q = 0; q < TILES; ++q) sum[u].at[q] = 0;
    int k = 0;
    for (; k + COUNT <= n; k += COUNT) {
        Ids next = ids;
        if (k + COUNT < n) next = first_ids(list + k + COUNT);
#pragma unroll
        for (int u = 0; u < COUNT; ++u) add_row<TILES>(sum[u & 3], table, ids.get(u), stride);
        ids = next;
    }
    if (COUNT > 4 && (n & 4)) {
#pragma unroll
        for (int u = 0; u < 4; ++u) add_row<TILES>(sum[u], table, ids.get(u), stride);
        ids.drop(4);
    }
    Lane<TILES> total;
#pragma unroll
    for (int q = 0; q < TILES; ++q)
        total.at[q] = add(add(sum[0].at[q], sum[2].at[q]), add(sum[1].at[q], sum[3].at[q]));
    if (n & 2) {
        add_row<TILES>(total, table, ids.get(0), stride);
        add_row<TILES>(total, table, ids.get(1), stride);
        ids.drop(2);
    }
    if (n & 1) add_row<TILES>(total, table, ids.get(0), stride);
    return total;
}

// A neuron between two steps; `held` is positive while it is refractory.
struct Membrane {
    Real voltage, current;
    int held;

    // Advance by a step on the drive that arrives; afterwards voltage is as compared with the threshold, until `reset`.
    __device__ __forceinline__ bool step(Real drive, const Neuron &neuron) {
        current = add(multiply(current, neuron.keep_s), drive);
        voltage = add(multiply(voltage, neuron.keep_m), multiply(current, neuron.gain));
        if (held > 0) voltage = 0;
        return voltage > neuron.threshold;
    }

    __device__ __forceinline__ void reset(bool fired, const Neuron &neuron) {
        if (fired) voltage = 0;
        held = fired ? neuron.refractory : held - 1;
    }
};

// What leaves a tile while it is simulated: its spikes in both orders, 32 steps at a time.
struct Record {
    Word own;    // the lane's own train, the last (up to) 32 steps
    Word masks;  // lane k: the tile's spikes at step k of these
    int count;

    __device__ __forceinline__ void start() { own = masks = count = 0; }

    __device__ __forceinline__ void add_step(int t, bool fired, Word mask, int lane) {
        own |= (Word)fired << (t & 31);
        if (lane == (t & 31)) masks = mask;
        count += fired;
    }

    // Write word w of the lane's train to `train` and 32 steps to `steps` [step, words], where the tile's word is.
    __device__ __forceinline__ void flush(int w, Word *train, Word *steps, int words, int longest, bool live, int lane) {
        if (live) train[w] = own;
        int t = 32 * w + lane;
        if (t < longest) steps[(size_t)t * words] = masks;
        own = masks = 0;
    }
};

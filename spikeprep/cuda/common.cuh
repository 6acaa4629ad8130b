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

#if defined(__CUDACC_RTC__) || defined(__NVCC__)
#define IN_BACKGROUND  // a compiler that knows the instructions; an emulator copies at once
#endif

// Copy 16 bytes from global to shared memory, in the background until `copies_done` and a barrier.
__device__ __forceinline__ void copy_async(void *to, const void *from) {
#ifdef IN_BACKGROUND
    unsigned int address = (unsigned int)__cvta_generic_to_shared(to);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(from) : "memory");
#else
    struct alignas(16) Sixteen { unsigned int part[4]; };
    *reinterpret_cast<Sixteen *>(to) = *reinterpret_cast<const Sixteen *>(from);
#endif
}

__device__ __forceinline__ void copies_done() {
#ifdef IN_BACKGROUND
    asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

// Sixteen bytes of a list of events: one load.
struct alignas(16) Ids {
    static constexpr int COUNT = 128 / ID_BITS;
    unsigned int part[4];

    // The k-th id; k is known to the compiler wherever loops are unrolled.
    __device__ __forceinline__ unsigned int get(int k) const {
#if ID_BITS == 16
        return __byte_perm(part[k >> 1], 0, k & 1 ? 0x4432 : 0x4410);  // a shift or a mask would be merged with others
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

// Rows of Real, a lane's view of them. STRIDE is in elements; 0 where it is known at run time only. SHARED: they are in
// shared memory.
template <int STRIDE, bool SHARED>
struct Rows {
    const char *own;  // the lane's element of row 0
    int stride;

    __device__ __forceinline__ Rows(const Real *table, int lane, int stride) : stride(stride) {
#ifdef IN_BACKGROUND
        if (SHARED) {
            // hidden from the compiler, which would else join lane and id anew for every row: an instruction more
            unsigned int address = (unsigned int)__cvta_generic_to_shared(table + lane);
            asm("" : "+r"(address));
            own = reinterpret_cast<const char *>(__cvta_shared_to_generic(address));
            return;
        }
#endif
        own = reinterpret_cast<const char *>(table + lane);
    }

    // Add the row `id` to sum, LANES apart for each tile.
    template <int TILES>
    __device__ __forceinline__ void add_to(Lane<TILES> &sum, unsigned int id) const {
        // a table of known stride has less than 4 GiB
        size_t at = STRIDE ? (size_t)(id * (unsigned int)(STRIDE * sizeof(Real))) : (size_t)id * stride * sizeof(Real);
        const Real *row = reinterpret_cast<const Real *>(own + at);
#pragma unroll
        for (int q = 0; q < TILES; ++q) sum.at[q] = add(sum.at[q], row[q * LANES]);
    }
};

// Return the sum of the rows that a list of n events names; its first ids are `ids`, and all lanes have the same list.
//
// The order of addition is the CPU backend's: four interleaved sums, 0 + 2 and 1 + 3 and then the two, then what is
// left over; so that both backends round alike.
template <int TILES, int STRIDE, bool SHARED>
__device__ __forceinline__ Lane<TILES> sum_rows(const Rows<STRIDE, SHARED> &rows, const Id *list, int n, Ids ids) {
    constexpr int COUNT = Ids::COUNT;
    Lane<TILES> sum[4];
#pragma unroll
    for (int u = 0; u < 4; ++u)
#pragma unroll
        for (int q = 0; q < TILES; ++q) sum[u].at[q] = 0;
#pragma unroll 1
    for (int left = n; left >= COUNT; left -= COUNT) {
        Ids now = ids;
        list += COUNT;
        if (left > COUNT) ids = first_ids(list);
#pragma unroll
        for (int u = 0; u < COUNT; ++u) rows.add_to(sum[u & 3], now.get(u));
    }
    if (COUNT > 4 && (n & 4)) {
#pragma unroll
        for (int u = 0; u < 4; ++u) rows.add_to(sum[u], ids.get(u));
        ids.drop(4);
    }
    Lane<TILES> total;
#pragma unroll
    for (int q = 0; q < TILES; ++q)
        total.at[q] = add(add(sum[0].at[q], sum[2].at[q]), add(sum[1].at[q], sum[3].at[q]));
    if (n & 2) {
        rows.add_to(total, ids.get(0));
        rows.add_to(total, ids.get(1));
        ids.drop(2);
    }
    if (n & 1) rows.add_to(total, ids.get(0));
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

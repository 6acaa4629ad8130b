// Types, layouts and device functions of all kernels: neurons, spike recording, and the sum of rows that forward and
// backward passes consist of.
//
// REAL is float or double, ID_BITS (16 or 32) the width of an event. A warp computes a tile of LANES post neurons, one
// neuron per lane. Lanes past the last neuron never fire; nothing is counted or written for them.
//
// Layouts, C order, a word has 32 bits:
//   words by unit   [sample, unit, word]   bit k of word w is step 32 w + k; 0 at and past the sample's length
//   words by step   [sample, step, word]   bit k of word w is unit 32 w + k; 0 past the last unit
//   events          counts [row] and lists [row, stride]: the set bits of each row of such words, ascending;
//                   stride is a multiple of the ids in 16 bytes, so that every list is aligned to 16 bytes
//   weights         [pre, width]           width: post neurons, rounded up to LANES; 0 past the last neuron
//   gates           [sample, tile, step, lane]
// `longest` is the number of steps of the longest sample, `lengths` [sample] are the samples' numbers of steps, `words`
// the words of a train of `longest` steps, `tiles` the tiles of a layer, `units` its neurons.
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
    Real nu, inverse_nu;
    int refractory;
    int reach;     // W − R: the largest distance to a firing inside the window
};

// Sums and products that are rounded separately, never fused: neurons are then bit-equal to the CPU backend's.
__device__ __forceinline__ float add(float a, float b) { return __fadd_rn(a, b); }
__device__ __forceinline__ float multiply(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ double add(double a, double b) { return __dadd_rn(a, b); }
__device__ __forceinline__ double multiply(double a, double b) { return __dmul_rn(a, b); }

#if defined(__CUDACC_RTC__) || defined(__NVCC__)
#define FOR_GPU  // compiled for a GPU, not for the emulator of the tests
#if __CUDA_ARCH__ >= 800  // compute capability 8.0 and higher
#define ASYNC_COPIES      // copy to shared memory in the background
#define TENSOR_CORES      // multiply halves by mma.m16n8k16
#endif
#endif

// Start to copy 16 bytes from global to shared memory; they are there after `copies_done` and a barrier.
__device__ __forceinline__ void copy_async(void *to, const void *from) {
#ifdef ASYNC_COPIES
    unsigned int address = (unsigned int)__cvta_generic_to_shared(to);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(from) : "memory");
#else
    struct alignas(16) Sixteen { unsigned int part[4]; };
    *reinterpret_cast<Sixteen *>(to) = *reinterpret_cast<const Sixteen *>(from);
#endif
}

__device__ __forceinline__ void copies_done() {
#ifdef ASYNC_COPIES
    asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

// 16 bytes of a list of events: one load.
struct alignas(16) Ids {
    static constexpr int COUNT = 128 / ID_BITS;
    unsigned int part[4];

    // Return the k-th id; k is a constant in unrolled loops.
    __device__ __forceinline__ unsigned int get(int k) const {
#if ID_BITS == 16
        return __byte_perm(part[k >> 1], 0, k & 1 ? 0x4432 : 0x4410);  // the compiler would merge a shift or mask with others
#else
        return part[k];
#endif
    }

    // Drop the first `by` ids, a multiple of those in one element of `part`.
    __device__ __forceinline__ void drop(int by) {
        int parts = by * ID_BITS / 32;
#pragma unroll
        for (int k = 0; k < 4; ++k)
            if (k + parts < 4) part[k] = part[k + parts];
    }
};

__device__ __forceinline__ Ids first_ids(const Id *list) { return *reinterpret_cast<const Ids *>(list); }

// One lane's values in TILES tiles.
template <int TILES>
struct Lane {
    Real at[TILES];
};

// A lane's view of rows of Real. STRIDE is in elements, 0 if known at run time only. SHARED: the rows are in shared
// memory.
template <int STRIDE, bool SHARED>
struct Rows {
    const char *base;  // the lane's element of row 0
    int stride;

    __device__ __forceinline__ Rows(const Real *table, int lane, int stride) : stride(stride) {
#ifdef FOR_GPU
        if (SHARED) {
            // hidden from the compiler, which would add lane and id again for every row: one more instruction
            unsigned int address = (unsigned int)__cvta_generic_to_shared(table + lane);
            asm("" : "+r"(address));
            base = reinterpret_cast<const char *>(__cvta_shared_to_generic(address));
            return;
        }
#endif
        base = reinterpret_cast<const char *>(table + lane);
    }

    // Add row `id` to `sum`; a row's tiles are LANES elements apart.
    template <int TILES>
    __device__ __forceinline__ void add_to(Lane<TILES> &sum, unsigned int id) const {
        // a table of known stride is smaller than 4 GiB
        size_t at = STRIDE ? (size_t)(id * (unsigned int)(STRIDE * sizeof(Real))) : (size_t)id * stride * sizeof(Real);
        const Real *row = reinterpret_cast<const Real *>(base + at);
#pragma unroll
        for (int q = 0; q < TILES; ++q) sum.at[q] = add(sum.at[q], row[q * LANES]);
    }
};

// Return the sum of the rows that a list of n events names. `ids` are its first ids; all lanes have the same list.
//
// The order of addition is the CPU backend's, so that both round alike: four interleaved sums, then 0 + 2 and 1 + 3,
// then these two, then the remaining events.
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

// Return word w of a train of `length` steps with spikes at p, 2 p, …
__device__ __forceinline__ Word regular_word(int w, long long period, int length) {
    Word word = 0;
    for (int k = 0; k < 32; ++k) {
        int t = 32 * w + k;
        if (t > 0 && t < length && t % period == 0) word |= 1u << k;
    }
    return word;
}

// Return the sum over a warp's lanes, to all of them.
__device__ __forceinline__ Real warp_sum(Real value) {
    for (int by = 16; by; by /= 2) value += __shfl_xor_sync(ALL, value, by);
    return value;
}

// Return the sum of the values of the lanes below this one.
__device__ __forceinline__ int sum_below(int value, int lane) {
    int sum = value;
    for (int by = 1; by < 32; by *= 2) {
        int other = __shfl_up_sync(ALL, sum, by);
        if (lane >= by) sum += other;
    }
    return sum - value;
}

// A neuron's state between two steps; `held` > 0 while it is refractory.
struct Membrane {
    Real voltage, current;
    int held;

    // Advance by one step and return whether the neuron fires; voltage is what was compared, until `reset`.
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

// The spikes of a tile in both orders, collected for 32 steps at a time.
struct Record {
    Word train;  // the lane's train in the current 32 steps
    Word masks;  // lane k: the tile's spikes at step k of these
    int count;   // the lane's spikes so far

    __device__ __forceinline__ void start() { train = masks = count = 0; }

    __device__ __forceinline__ void add_step(int t, bool fired, Word mask, int lane) {
        train |= (Word)fired << (t & 31);
        if (lane == (t & 31)) masks = mask;
        count += fired;
    }

    // Write word w of the lane's train to `by_unit` [word], and the masks of 32 steps to `by_step` [step, tiles].
    __device__ __forceinline__ void flush(
        int w, Word *by_unit, Word *by_step, int tiles, int longest, bool live, int lane) {
        if (live) by_unit[w] = train;
        int t = 32 * w + lane;
        if (t < longest) by_step[(size_t)t * tiles] = masks;
        train = masks = 0;
    }
};

// Dropout: which units are kept, and spikes and errors without those that are not. All kernels write with `=`.
#include "common.cuh"

typedef unsigned long long Number;

// Number `number` of the stream that SplitMix64 starts at `key`; see spikeprep/random.py.
__device__ __forceinline__ Number split_mix(Number key, Number number) {
    Number x = key + (number + 1) * 0x9E3779B97F4A7C15ull;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ x >> 27) * 0x94D049BB133111EBull;
    return x ^ x >> 31;
}

// Which units are kept: those whose number is at least `least`.
//   keys   [sample]         in
//   kept   [sample, unit]   out, 0 or 1
//   first (number of the first unit), least, samples, units
extern "C" __global__ void kept_units(
    const Number *keys, bool *kept, Number first, Number least, int samples, int units) {
    long long all = (long long)samples * units;
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < all; n += (long long)gridDim.x * blockDim.x) {
        int sample = (int)(n / units);
        kept[n] = split_mix(keys[sample], first + (Number)(n - (long long)sample * units)) >= least;
    }
}

// Spikes of the units that are kept. A thread writes one word, and the first of a unit its count.
//   by_unit   [sample, unit, word]   in
//   kept      [sample, unit]         in
//   counts    [sample, unit]         in
//   words_out, counts_out            out, alike
//   rows (sample · unit), words
extern "C" __global__ void masked_spikes(
    const Word *by_unit, const bool *kept, const int *counts, Word *words_out, int *counts_out, long long rows, int words) {
    long long all = rows * words;
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < all; n += (long long)gridDim.x * blockDim.x) {
        long long row = n / words;
        words_out[n] = kept[row] ? by_unit[n] : 0;
        if (n == row * words) counts_out[row] = kept[row] ? counts[row] : 0;
    }
}

// Errors of the units that are kept.
//   error   [element]   in
//   kept    [element]   in
//   out     [element]   out
//   count (elements)
extern "C" __global__ void masked_error(const Real *error, const bool *kept, Real *out, long long count) {
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < count; n += (long long)gridDim.x * blockDim.x)
        out[n] = kept[n] ? error[n] : (Real)0;
}

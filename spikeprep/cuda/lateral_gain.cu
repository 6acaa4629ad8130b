// The loops of an output layer's lateral inhibition, for rules that compose their error of arrays.
#include "lateral.cuh"

// gain = Σ_{l≠i} ρ_{l|i} g_l ρ_{i|l} g_i (paper, A-28); writes with `=`. A thread computes one unit.
//   e            [sample, post, pre]   in: of a layer with itself
//   counts       [sample, unit]        in
//   labels       [sample]              in
//   inverse_nu                         1/ν
//   gain         [sample, unit]        out
//   samples, units
extern "C" __global__ void lateral_gain(
    const Real *e, const long long *counts, const int *labels, Real inverse_nu, Real *gain, int samples, int units) {
    long long all = (long long)samples * units;
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < all; n += (long long)gridDim.x * blockDim.x) {
        int b = (int)(n / units), i = (int)(n % units);
        const Real *pairs = e + (size_t)b * units * units;
        gain[n] = lateral_loops(pairs, counts + (size_t)b * units, labels[b], inverse_nu, i, units);
    }
}

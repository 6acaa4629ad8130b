// The output layer's lateral factor, in one launch instead of many on arrays (sample, class).
#include "common.cuh"

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
        int b = (int)(n / units), i = (int)(n % units), label = labels[b];
        const Real *pairs = e + (size_t)b * units * units;
        const long long *fired = counts + (size_t)b * units;
        Real sum = 0;
        for (int l = 0; l < units; ++l) {
            if (l == i || !(fired[l] || l == label)) continue;
            Real loop = 1;
            if (fired[i] && fired[l])
                loop = pairs[(size_t)l * units + i] / fired[i] * (pairs[(size_t)i * units + l] / fired[l]);
            sum += loop;
        }
        gain[n] = fired[i] || i == label ? sum * inverse_nu * inverse_nu : 0;
    }
}

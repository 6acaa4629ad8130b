// Loops of lateral inhibition (paper, A-28).
#pragma once
#include "common.cuh"

// Return Σ_{l≠i} ρ_{l|i} g_l ρ_{i|l} g_i of one sample, `e` [post, pre] of its layer with itself, `fired` its counts.
template <class Count>
__device__ __forceinline__ Real lateral_loops(
    const Real *e, const Count *fired, int label, Real inverse_nu, int i, int units) {
    if (!(fired[i] || i == label)) return 0;
    Real sum = 0;
    for (int l = 0; l < units; ++l) {
        if (l == i || !(fired[l] || l == label)) continue;
        Real loop = 1;
        if (fired[i] && fired[l]) loop = e[(size_t)l * units + i] / fired[i] * (e[(size_t)i * units + l] / fired[l]);
        sum += loop;
    }
    return sum * inverse_nu * inverse_nu;
}

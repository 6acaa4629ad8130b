// What the kernels share that compute gradients (docs/hm2bp.md section 4).
#pragma once
#include "common.cuh"

// The samples of a launch, begin ≤ b < end, that a group adds up: a fixed share of all samples, whatever the launches.
struct Group {
    int first, last;

    __device__ __forceinline__ Group(int group, int groups, int samples, int begin, int end)
        : first(max(begin, (int)((long long)samples * group / groups))),
          last(min(end, (int)((long long)samples * (group + 1) / groups))) {}
};

// Return δ (1 + σ), σ = share / ν; 1 + σ is at least gain_floor.
__device__ __forceinline__ Real slope_of(Real delta, Real share, Real gain_floor, const Psp &psp) {
    Real gain = 1 + share * psp.inverse_nu;
    return delta * (gain < gain_floor ? gain_floor : gain);
}

// Return Σ_l w_il of the lane's neuron, which silent neurons need: 0 where none of the tile's is silent in a sample of
// the group. All warps of a block take part; weight [pre, width] is the lane's column, post_counts [sample, unit].
__device__ __forceinline__ Real silent_fan_in(
    const Group &group, const int *post_counts, int unit, int units, const Real *weight, int pre, int width,
    Real (*parts)[LANES]) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    bool silent = false;
    for (int b = group.first; b < group.last; ++b)
        silent |= unit < units && post_counts[(size_t)b * units + unit] == 0;
    if (!__any_sync(ALL, silent)) return 0;
    Real sum = 0;
    for (int j = warp; j < pre; j += warps) sum += weight[(size_t)j * width];
    parts[warp][lane] = sum;
    __syncthreads();
    sum = 0;
    for (int w = 0; w < warps; ++w) sum += parts[w][lane];
    __syncthreads();
    return sum;
}

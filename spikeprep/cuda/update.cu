// Optimiser steps with the exponential regularisation (docs/hm2bp.md section 5).
#include "common.cuh"

struct Update {
    Real mean;  // 1 / batch
    Real rate, beta1, beta2, rest1, rest2;  // rest: 1 − β
    Real inverse1, inverse2;                // 1 / (1 − β^t)
    Real epsilon;
    Real pull, steepness, inverse_scale;    // λ β / s, β, 1/s
};

// pull = reg_ij / w_ij = λ β / s · exp(β (mean_j (w_ij/s)² − 1)); writes with `=`. A block computes one tile.
//   weight   [pre, width]   in
//   pull     [width]        out
//   step                    constants
//   pre, width
extern "C" __global__ void __launch_bounds__(1024) regularisation(
    const Real *weight, Real *pull, Update step, int pre, int width) {
    __shared__ Real parts[32][LANES];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    int unit = blockIdx.x * LANES + lane;
    Real sum = 0;
#pragma unroll 4
    for (int j = warp; j < pre; j += warps) {
        Real scaled = weight[(size_t)j * width + unit] * step.inverse_scale;
        sum += scaled * scaled;
    }
    parts[warp][lane] = sum;
    __syncthreads();
    if (warp) return;
    for (int w = 1; w < warps; ++w) sum += parts[w][lane];
    pull[unit] = step.pull * exp(step.steepness * (sum / pre - 1));
}

// Return the gradient sum of weight n, of the groups `slice`, `slice` + `slices`, … in order, and clear it. IN_FLIGHT
// loads are issued at once.
__device__ __forceinline__ Real collect(Real *gradient, size_t n, size_t count, int slice, int groups, int slices) {
    const int IN_FLIGHT = 8;
    Real sum = 0;
    for (int first = slice; first < groups; first += IN_FLIGHT * slices) {
        Real part[IN_FLIGHT];
#pragma unroll
        for (int k = 0; k < IN_FLIGHT; ++k) {
            int group = first + k * slices;
            part[k] = group < groups ? gradient[group * count + n] : 0;
        }
#pragma unroll
        for (int k = 0; k < IN_FLIGHT; ++k) {
            int group = first + k * slices;
            sum += part[k];
            if (group < groups) gradient[group * count + n] = 0;
        }
    }
    return sum;
}

// Call step(n, gradient sum) for each weight. `slices` threads of a block share a weight's groups.
template <class Step>
__device__ __forceinline__ void for_each_weight(Real *gradient, long long count, int groups, int slices, Step step) {
    __shared__ Real parts[256];
    int weights = blockDim.x / slices, slice = threadIdx.x / weights;
    for (long long first = blockIdx.x * (long long)weights; first < count; first += gridDim.x * (long long)weights) {
        long long n = first + threadIdx.x - slice * weights;
        Real sum = n < count ? collect(gradient, n, count, slice, groups, slices) : 0;
        if (slices > 1) {
            parts[threadIdx.x] = sum;
            __syncthreads();
            if (slice == 0)
                for (int k = 1; k < slices; ++k) sum += parts[k * weights + threadIdx.x];
            __syncthreads();
        }
        if (slice == 0 && n < count) step(n, sum);
    }
}

// Adam: w ← w − lr m̂ / (√v̂ + ε).
//   weight             [pre, width]          in and out
//   gradient           [group, pre, width]   in, 0 afterwards
//   moment, variance   [pre, width]          in and out
//   pull               [width]               in if `regularised`
//   regularised
//   step                                     constants
//   count (pre · width), width, groups, slices
extern "C" __global__ void __launch_bounds__(256) adam_update(
    Real *weight, Real *gradient, Real *moment, Real *variance, const Real *pull, int regularised, Update step, long long count,
    int width, int groups, int slices) {
    for_each_weight(gradient, count, groups, slices, [&](long long n, Real sum) {
        Real w = weight[n], slope = sum * step.mean;
        if (regularised) slope += pull[n % width] * w;
        Real m = step.beta1 * moment[n] + step.rest1 * slope;
        Real v = step.beta2 * variance[n] + step.rest2 * slope * slope;
        moment[n] = m;
        variance[n] = v;
        weight[n] = w - step.rate * (m * step.inverse1) / (sqrt(v * step.inverse2) + step.epsilon);
    });
}

// Gradient descent with momentum, m ← β1 m + g, w ← w − lr m; arguments as of `adam_update`, without `variance`.
extern "C" __global__ void __launch_bounds__(256) sgd_update(
    Real *weight, Real *gradient, Real *moment, const Real *pull, int regularised, Update step, long long count, int width,
    int groups, int slices) {
    for_each_weight(gradient, count, groups, slices, [&](long long n, Real sum) {
        Real w = weight[n], slope = sum * step.mean;
        if (regularised) slope += pull[n % width] * w;
        Real m = step.beta1 * moment[n] + slope;
        moment[n] = m;
        weight[n] = w - step.rate * m;
    });
}

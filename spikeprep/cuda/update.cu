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

// Return the gradient sum of one weight, over all groups in order, and clear it. IN_FLIGHT loads are issued at once.
__device__ __forceinline__ Real collect(Real *gradient, size_t at, size_t count, int groups) {
    const int IN_FLIGHT = 8;
    Real sum = 0;
    for (int first = 0; first < groups; first += IN_FLIGHT) {
        Real part[IN_FLIGHT];
#pragma unroll
        for (int k = 0; k < IN_FLIGHT; ++k) part[k] = first + k < groups ? gradient[(first + k) * count + at] : 0;
#pragma unroll
        for (int k = 0; k < IN_FLIGHT; ++k) {
            sum += part[k];
            if (first + k < groups) gradient[(first + k) * count + at] = 0;
        }
    }
    return sum;
}

// Adam: w ← w − lr m̂ / (√v̂ + ε).
//   weight             [pre, width]          in and out
//   gradient           [group, pre, width]   in, 0 afterwards
//   moment, variance   [pre, width]          in and out
//   pull               [width]               in if `regularised`
//   regularised
//   step                                     constants
//   count (pre · width), width, groups
extern "C" __global__ void adam_update(
    Real *weight, Real *gradient, Real *moment, Real *variance, const Real *pull, int regularised, Update step, long long count,
    int width, int groups) {
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < count; n += (long long)gridDim.x * blockDim.x) {
        Real w = weight[n], slope = collect(gradient, n, count, groups) * step.mean;
        if (regularised) slope += pull[n % width] * w;
        Real m = step.beta1 * moment[n] + step.rest1 * slope;
        Real v = step.beta2 * variance[n] + step.rest2 * slope * slope;
        moment[n] = m;
        variance[n] = v;
        weight[n] = w - step.rate * (m * step.inverse1) / (sqrt(v * step.inverse2) + step.epsilon);
    }
}

// Gradient descent with momentum, m ← β1 m + g, w ← w − lr m; arguments as of `adam_update`, without `variance`.
extern "C" __global__ void sgd_update(
    Real *weight, Real *gradient, Real *moment, const Real *pull, int regularised, Update step, long long count, int width,
    int groups) {
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < count; n += (long long)gridDim.x * blockDim.x) {
        Real w = weight[n], slope = collect(gradient, n, count, groups) * step.mean;
        if (regularised) slope += pull[n % width] * w;
        Real m = step.beta1 * moment[n] + slope;
        moment[n] = m;
        weight[n] = w - step.rate * m;
    }
}

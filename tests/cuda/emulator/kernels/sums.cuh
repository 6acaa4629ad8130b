// The sum of a block's values, WARPS warps; every thread gets it.
#pragma once

template <class T, int WARPS>
__device__ __forceinline__ T block_sum(T x) {
    __shared__ T parts[WARPS];
    for (int by = 16; by; by >>= 1) x += __shfl_xor_sync(0xffffffffu, x, by);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
    __syncthreads();
    x = 0;
#pragma unroll
    for (int n = 0; n < WARPS; ++n) x += parts[n];
    return x;
}

// What a training step reports, in few launches and one array.
#include "common.cuh"

// Add up the spikes of a layer in parts, one a block.
//   counts   [element]   in
//   parts    [block]     out
//   count (elements)
extern "C" __global__ void __launch_bounds__(256) count_parts(const int *counts, long long *parts, long long count) {
    __shared__ long long sums[8];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    long long sum = 0;
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < count; n += (long long)gridDim.x * blockDim.x)
        sum += counts[n];
    for (int by = 16; by; by /= 2) sum += __shfl_xor_sync(ALL, sum, by);
    if (lane == 0) sums[warp] = sum;
    __syncthreads();
    if (threadIdx.x) return;
    for (int w = 1; w < warps; ++w) sum += sums[w];
    parts[blockIdx.x] = sum;
}

// What a training step reports, in one array.
//   loss     [sample]         in
//   parts    [layer, part]    in, of `count_parts`
//   units    [layer]          in: each layer's neurons
//   counts   [sample, class]  in, of the output
//   values                    out: loss [sample], mean count [layer], counts [sample · class]
//   samples, layers, parts_each, classes
extern "C" __global__ void step_values(
    const Real *loss, const long long *parts, const long long *units, const int *counts, double *values, int samples,
    int layers, int parts_each, int classes) {
    long long all = samples + layers + (long long)samples * classes;
    for (long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x; n < all; n += (long long)gridDim.x * blockDim.x) {
        if (n < samples) {
            values[n] = loss[n];
        } else if (n < samples + layers) {
            int layer = (int)(n - samples);
            long long sum = 0;
            for (int k = 0; k < parts_each; ++k) sum += parts[(long long)layer * parts_each + k];
            values[n] = (double)sum / ((double)units[layer] * samples);
        } else {
            values[n] = counts[n - samples - layers];
        }
    }
}

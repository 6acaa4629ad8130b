// A fully connected layer's drive and its forward pass (layouts in common.cuh). Every kernel writes `=`, all elements.
#include "common.cuh"

// drive [row, width] = Σ of the weight rows of the units in events [row]. A warp takes one tile of one row.
extern "C" __global__ void dense_drive(
    const Real *weight, const int *counts, const Id *lists, Real *drive, long long rows, int stride, int tiles) {
    int lane = threadIdx.x & 31, width = tiles * LANES;
    long long all = rows * tiles, warps = (long long)gridDim.x * (blockDim.x >> 5);
    for (long long n = blockIdx.x * (long long)(blockDim.x >> 5) + (threadIdx.x >> 5); n < all; n += warps) {
        long long row = n / tiles;
        int at = (int)(n % tiles) * LANES + lane;
        const Id *list = lists + row * stride;
        int count = counts[row];
        Ids ids = count ? first_ids(list) : Ids{};
        drive[row * width + at] = sum_rows<1>(weight + at, width, list, count, ids).at[0];
    }
}

// Simulate TILES tiles of a layer on the samples of this block's share, a sample a warp; events of the input by step.
// TABLE: the tiles' weights are copied to shared memory, [pre, TILES · LANES]; else they come through the cache.
template <int TILES, bool TABLE>
__device__ __forceinline__ void forward(
    const Real *weight, const int *event_counts, const Id *lists, const int *steps, const Neuron &neuron, Word *by_unit,
    Word *by_step, int *counts, Real *table, int samples, int pre, int longest, int stride, int units, int words,
    int tiles) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    int width = tiles * LANES, tile = blockIdx.x * TILES;
    const int own_width = TILES * LANES;
    if (TABLE) {
#pragma unroll 4
        for (int n = threadIdx.x; n < pre * own_width; n += blockDim.x) {
            int j = n / own_width, at = tile * LANES + n % own_width;
            table[n] = at < width ? weight[(size_t)j * width + at] : 0;
        }
        __syncthreads();
    }
    const Real *rows = TABLE ? table + lane : weight + tile * LANES + lane;
    for (int sample = blockIdx.y * warps + warp; sample < samples; sample += gridDim.y * warps) {
        int own = steps[sample];
        size_t row = (size_t)sample * longest;
        Membrane membrane[TILES];
        Record record[TILES];
#pragma unroll
        for (int q = 0; q < TILES; ++q) {
            membrane[q] = {0, 0, 0};
            record[q].start();
        }
        int next_count = own > 1 ? event_counts[row] : 0;
        Ids next_ids = own > 1 ? first_ids(lists + row * stride) : Ids{};
        for (int w = 0; w < words; ++w) {
            int last = min(own, 32 * w + 32);
            for (int t = max(1, 32 * w); t < last; ++t) {
                const Id *list = lists + (row + t - 1) * stride;
                int count = next_count;
                Ids ids = next_ids;
                if (t + 1 < own) {
                    next_count = event_counts[row + t];
                    next_ids = first_ids(list + stride);
                }
                Lane<TILES> drive = sum_rows<TILES>(rows, TABLE ? own_width : width, list, count, ids);
#pragma unroll
                for (int q = 0; q < TILES; ++q) {
                    bool fired = membrane[q].step(drive.at[q], neuron);
                    membrane[q].reset(fired, neuron);
                    record[q].add_step(t, fired, __ballot_sync(ALL, fired), lane);
                }
            }
#pragma unroll
            for (int q = 0; q < TILES; ++q) {
                if (tile + q >= tiles) continue;
                int unit = (tile + q) * LANES + lane;
                record[q].flush(
                    w, by_unit + ((size_t)sample * units + unit) * words, by_step + row * tiles + tile + q, tiles,
                    longest, unit < units, lane);
                if (w == words - 1 && unit < units) counts[(size_t)sample * units + unit] = record[q].count;
            }
        }
    }
}

// Two tiles a warp, weights in shared memory: one reading of an event serves 64 neurons.
extern "C" __global__ void __launch_bounds__(1024) dense_forward_wide(
    const Real *weight, const int *event_counts, const Id *lists, const int *steps, Neuron neuron, Word *by_unit,
    Word *by_step, int *counts, int samples, int pre, int longest, int stride, int units, int words, int tiles) {
    extern __shared__ __align__(16) unsigned char memory[];
    forward<2, true>(
        weight, event_counts, lists, steps, neuron, by_unit, by_step, counts, reinterpret_cast<Real *>(memory), samples,
        pre, longest, stride, units, words, tiles);
}

// One tile a warp, weights in shared memory.
extern "C" __global__ void __launch_bounds__(1024) dense_forward_narrow(
    const Real *weight, const int *event_counts, const Id *lists, const int *steps, Neuron neuron, Word *by_unit,
    Word *by_step, int *counts, int samples, int pre, int longest, int stride, int units, int words, int tiles) {
    extern __shared__ __align__(16) unsigned char memory[];
    forward<1, true>(
        weight, event_counts, lists, steps, neuron, by_unit, by_step, counts, reinterpret_cast<Real *>(memory), samples,
        pre, longest, stride, units, words, tiles);
}

// One tile a warp, weights through the cache: for layers of more inputs than shared memory has rows for.
extern "C" __global__ void __launch_bounds__(1024) dense_forward_cached(
    const Real *weight, const int *event_counts, const Id *lists, const int *steps, Neuron neuron, Word *by_unit,
    Word *by_step, int *counts, int samples, int pre, int longest, int stride, int units, int words, int tiles) {
    forward<1, false>(
        weight, event_counts, lists, steps, neuron, by_unit, by_step, counts, nullptr, samples, pre, longest, stride,
        units, words, tiles);
}

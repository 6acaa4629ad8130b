// Drive and forward pass of a fully connected layer (layouts in common.cuh). All kernels write with `=`, all elements.
#include "common.cuh"

// Sum the weights of each step's input spikes. A warp computes one tile of one row.
//   weight  [pre, width]        in
//   counts  [row], lists [row, stride]   in: events by step, row = sample · step
//   drive   [row, width]        out
//   rows, stride, tiles
extern "C" __global__ void dense_drive(
    const Real *weight, const int *counts, const Id *lists, Real *drive, long long rows, int stride, int tiles) {
    int lane = threadIdx.x & 31, width = tiles * LANES;
    long long all = rows * tiles, warps = (long long)gridDim.x * (blockDim.x >> 5);
    for (long long n = blockIdx.x * (long long)(blockDim.x >> 5) + (threadIdx.x >> 5); n < all; n += warps) {
        long long row = n / tiles;
        int at = (int)(n % tiles) * LANES;
        const Id *list = lists + row * stride;
        int count = counts[row];
        Ids ids = count ? first_ids(list) : Ids{};
        Rows<0, false> rows(weight + at, lane, width);
        drive[row * width + at + lane] = sum_rows<1>(rows, list, count, ids).at[0];
    }
}

// Simulate TILES tiles of a layer on this block's share of the samples, one sample per warp. TABLE: the tiles' weights
// are copied to shared memory, [pre, TILES · LANES]; otherwise they are read through the cache.
template <int TILES, bool TABLE>
__device__ __forceinline__ void forward(
    const Real *weight, const int *event_counts, const Id *lists, const int *lengths, const Neuron &neuron, Word *by_unit,
    Word *by_step, int *counts, Real *table, int samples, int pre, int longest, int stride, int units, int words,
    int tiles) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    int width = tiles * LANES, tile = blockIdx.x * TILES;
    const int table_width = TILES * LANES;
    if (TABLE) {
        constexpr int EACH = 16 / sizeof(Real), PARTS = TILES * LANES / EACH;
#pragma unroll 1
        for (int n = threadIdx.x; n < pre * PARTS; n += blockDim.x) {
            int j = n / PARTS, at = n % PARTS * EACH;
            Real *to = table + j * table_width + at;
            if (tile * LANES + at < width)
                copy_async(to, weight + (size_t)j * width + tile * LANES + at);
            else
                for (int k = 0; k < EACH; ++k) to[k] = 0;
        }
        copies_done();
        __syncthreads();
    }
    Rows<TABLE ? table_width : 0, TABLE> rows(TABLE ? table : weight + tile * LANES, lane, width);
    bool live[TILES];
#pragma unroll
    for (int q = 0; q < TILES; ++q) live[q] = (tile + q) * LANES + lane < units;
    for (int sample = blockIdx.y * warps + warp; sample < samples; sample += gridDim.y * warps) {
        int length = lengths[sample];
        size_t row = (size_t)sample * longest;
        Membrane membrane[TILES];
        Record record[TILES];
#pragma unroll
        for (int q = 0; q < TILES; ++q) {
            membrane[q] = {0, 0, 0};
            record[q].start();
        }
        const int *next_counts = event_counts + row;
        const Id *next_list = lists + row * stride;
        int next_count = length > 1 ? *next_counts : 0;
        Ids next_ids = length > 1 ? first_ids(next_list) : Ids{};
        for (int w = 0; w < words; ++w) {
            int last = min(length, 32 * w + 32);
            for (int t = max(1, 32 * w); t < last; ++t) {
                const Id *list = next_list;
                int count = next_count;
                Ids ids = next_ids;
                next_list += stride;
                if (t + 1 < length) {  // load the next step's events while this step's are summed
                    next_count = *++next_counts;
                    next_ids = first_ids(next_list);
                }
                Lane<TILES> drive = sum_rows<TILES>(rows, list, count, ids);
#pragma unroll
                for (int q = 0; q < TILES; ++q) {
                    bool fired = membrane[q].step(drive.at[q], neuron) && live[q];
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
                    longest, live[q], lane);
                if (w == words - 1 && live[q]) counts[(size_t)sample * units + unit] = record[q].count;
            }
        }
    }
}

// Forward pass of a layer. The three kernels take the same arguments:
//   weight         [pre, width]          in
//   event_counts   [sample · step], lists [sample · step, stride]   in: events of the input by step
//   lengths        [sample]              in
//   neuron                               constants
//   by_unit        [sample, unit, word]  out
//   by_step        [sample, step, tile]  out
//   counts         [sample, unit]        out
//   samples, pre, longest, stride, units, words, tiles
// Grid (columns of TILES tiles, shares of the samples).

// Two tiles per warp, weights in shared memory: reading an event once serves 64 neurons.
extern "C" __global__ void __launch_bounds__(512) dense_forward_wide(
    const Real *weight, const int *event_counts, const Id *lists, const int *lengths, Neuron neuron, Word *by_unit,
    Word *by_step, int *counts, int samples, int pre, int longest, int stride, int units, int words, int tiles) {
    extern __shared__ __align__(16) unsigned char memory[];
    forward<2, true>(
        weight, event_counts, lists, lengths, neuron, by_unit, by_step, counts, reinterpret_cast<Real *>(memory), samples,
        pre, longest, stride, units, words, tiles);
}

// One tile per warp, weights in shared memory.
extern "C" __global__ void __launch_bounds__(768) dense_forward_narrow(
    const Real *weight, const int *event_counts, const Id *lists, const int *lengths, Neuron neuron, Word *by_unit,
    Word *by_step, int *counts, int samples, int pre, int longest, int stride, int units, int words, int tiles) {
    extern __shared__ __align__(16) unsigned char memory[];
    forward<1, true>(
        weight, event_counts, lists, lengths, neuron, by_unit, by_step, counts, reinterpret_cast<Real *>(memory), samples,
        pre, longest, stride, units, words, tiles);
}

// One tile per warp, weights through the cache: for layers with too many inputs for shared memory.
extern "C" __global__ void __launch_bounds__(1024) dense_forward_cached(
    const Real *weight, const int *event_counts, const Id *lists, const int *lengths, Neuron neuron, Word *by_unit,
    Word *by_step, int *counts, int samples, int pre, int longest, int stride, int units, int words, int tiles) {
    forward<1, false>(
        weight, event_counts, lists, lengths, neuron, by_unit, by_step, counts, nullptr, samples, pre, longest, stride,
        units, words, tiles);
}
